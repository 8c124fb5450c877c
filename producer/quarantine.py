"""What of the log was no alert, kept for the operator: counted by reason, told once a minute, never a stall.

A JSON line each, in a file that is bounded: when it is full it becomes `….1`, and what was there before is gone. Not to
be able to write it (a full disk) is no reason to stop: then the lines are only counted.
"""

from __future__ import annotations

import json
import logging
import os
from collections import Counter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SAMPLE_BYTES: Final = 2048
"""So much of a line is kept: enough to see what wrote it."""

LOG_INTERVAL_S: Final = 60.0

_log = logging.getLogger("courier.producer")


class Quarantine:
    """Keeps lines in `path`, which holds at most `max_bytes`. `now` is seconds since the epoch."""

    def __init__(self, path: Path, max_bytes: int, now: Callable[[], float]) -> None:
        self._path, self._max_bytes, self._now = path, max_bytes, now
        self._unlogged: Counter[str] = Counter()
        self._logged_at_s: dict[str, float] = {}
        self._write_failed = False

    def add(self, reason: str, detail: str, sample: bytes = b"") -> None:
        """Keep what was passed over; `detail` says where and why, `sample` is how it begins."""
        self._log(reason, detail)
        entry = {
            "time": round(self._now(), 3),
            "reason": reason,
            "detail": detail,
            "sample": sample[:SAMPLE_BYTES].decode("utf-8", "backslashreplace"),
        }
        try:
            self._write(json.dumps(entry).encode() + b"\n")
        except OSError as error:
            if not self._write_failed:
                _log.warning("%s: %s; bad lines are only counted", self._path, error.strerror or error)
            self._write_failed = True
        else:
            self._write_failed = False

    def _write(self, line: bytes) -> None:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "ab") as file:
            if file.tell() and file.tell() + len(line) > self._max_bytes // 2:
                self._path.replace(self._path.with_name(f"{self._path.name}.1"))
                self._write(line)
                return
            file.write(line)

    def _log(self, reason: str, detail: str) -> None:
        """Say the first of a kind, and later ones once a minute with their number."""
        self._unlogged[reason] += 1
        now_s = self._now()
        if now_s - self._logged_at_s.get(reason, float("-inf")) < LOG_INTERVAL_S:
            return
        count = self._unlogged.pop(reason)
        self._logged_at_s[reason] = now_s
        more = f" (and {count - 1} more like it)" if count > 1 else ""
        _log.warning("passed over: %s%s", detail, more, extra={"reason": reason, "kept_in": str(self._path)})
