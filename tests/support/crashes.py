"""Crashes that a test can wait for: a process by SIGKILL, a server that also forgets its last second."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ops.standalone.embedded_redis import EmbeddedServer


def pause(seconds: float) -> None:
    """Let the processes under test go on for a while."""
    threading.Event().wait(seconds)


def crash(server: EmbeddedServer, *, forgets_s: float, just_before: Callable[[], None] = lambda: None) -> bool:
    """End the server as a power cut does: by SIGKILL, without what it wrote in its last `forgets_s` seconds.

    Of an append-only file that is synced every second, that is what a machine may lose. Return whether it lost
    something: nothing is taken away if the file was written anew in that time.
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
