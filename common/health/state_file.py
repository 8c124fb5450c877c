"""The file in which a process keeps whether it is healthy (`health.path`), for health checks without Python.

It has one line, `SECONDS healthy TEXT` or `SECONDS unhealthy REASON`, and is replaced each time; SECONDS is the time of
the check since the epoch. `ops/deploy/courier-health` reads it: a hung process is unhealthy because its line gets old.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from common.errors import CourierError
from common.logs import Condition
from common.printable import printable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MAX_CHARS: Final = 500
"""Maximum length of the text: an error may quote a response of Redis."""

START_INTERVAL_S: Final = 0.5
CHECK_INTERVAL_S: Final = 5.0
"""Time between two checks of `keep`, before and after the first one that succeeds. The reader accepts a line that is
six times as old."""

_log = logging.getLogger("courier.health")


class HealthFile:
    """Writes the file `path`; without a path it does nothing. One thread writes at a time.

    `clock` returns seconds since the epoch.
    """

    def __init__(self, path: Path | None, clock: Callable[[], float] = time.time) -> None:
        """Delete the file: it is a former process's."""
        self._path, self._clock = path, clock
        self._unwritable = Condition(_log)
        if path:
            with suppress(OSError):
                path.unlink()

    def record(self, check: Callable[[], str]) -> bool:
        """Write the text that `check` returns, or the reason if it raises a CourierError; return whether it is healthy.

        Without a path, `check` is not called and the result is False.
        """
        if not self._path:
            return False
        try:
            text = check()
        except CourierError as error:
            self.unhealthy(error)
            return False
        self._write("healthy", text)
        return True

    def unhealthy(self, reason: CourierError) -> None:
        """Write why the process is not healthy."""
        self._write("unhealthy", str(reason))

    def keep(self, check: Callable[[], str]) -> None:
        """Start a daemon thread that records `check` every few seconds, if there is a path."""
        if self._path:
            threading.Thread(target=self._keep, args=(check,), name="health", daemon=True).start()

    def _keep(self, check: Callable[[], str]) -> None:
        pause = threading.Event()
        while not self.record(check):
            pause.wait(START_INTERVAL_S)
        while True:
            pause.wait(CHECK_INTERVAL_S)
            self.record(check)

    def _write(self, state: str, text: str) -> None:
        if not self._path:
            return
        fresh = self._path.with_name(f".{self._path.name}")
        line = f"{self._clock():.0f} {state} {printable(text)[:MAX_CHARS]}\n"
        try:
            fresh.unlink(missing_ok=True)  # of a killed process, or a pipe of another user, which would block
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(line)
            fresh.replace(self._path)
        except OSError as error:
            self._unwritable.set(f"health.path: {self._path} cannot be written: {error.strerror}")
        else:
            self._unwritable.clear(f"health.path: {self._path} is written again")
