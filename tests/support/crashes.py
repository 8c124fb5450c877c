"""Crashes in tests: SIGKILL of a process, and of a server that also loses its last second of writes."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ops.standalone.embedded_redis import EmbeddedServer


def pause(seconds: float) -> None:
    """Wait while the processes under test continue."""
    threading.Event().wait(seconds)


def crash(server: EmbeddedServer, *, forgets_s: float, just_before: Callable[[], None] = lambda: None) -> bool:
    """Stop the server like a power failure: by SIGKILL, without its writes of the last `forgets_s` seconds.

    With an append-only file that is synced every second, a machine can lose this much. Return whether it lost data:
    nothing is removed if the server rewrote the file in that time.
    """
    before = append_only_file(server)
    pause(forgets_s)
    just_before()
    after = append_only_file(server)
    server.kill()
    if before[0] != after[0]:
        return False
    path, size = before
    with path.open("r+b") as file:
        file.truncate(size)
    return size < after[1]


def append_only_file(server: EmbeddedServer) -> tuple[Path, int]:
    """Return the file that the server appends to, and its size."""
    folder = server.directory / "appendonlydir"
    newest = max(folder.glob("*.incr.aof"), key=lambda path: int(path.suffixes[-3][1:]))
    return newest, newest.stat().st_size
