"""Keeps rejected log lines for the operator, and logs each reason at most once a minute.

One JSON object a line, in a file of limited size: a full file is renamed to `….1` and replaces the previous one. If it
cannot be written (such as on a full disk), the producer continues and only counts the lines.
"""

from __future__ import annotations

import json
import logging
import os
from collections import Counter
from typing import TYPE_CHECKING, Final

from common.logs import Condition

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SAMPLE_BYTES: Final = 2048
"""How much of a line is kept: enough to see what wrote it."""

LOG_INTERVAL_S: Final = 60.0

_log = logging.getLogger("courier.producer")


class Quarantine:
    """Keeps lines in `path`, which holds at most `max_bytes`. `now` is seconds since the epoch."""

    def __init__(self, path: Path, max_bytes: int, now: Callable[[], float]) -> None:
        self._path, self._max_bytes, self._now = path, max_bytes, now
        self._unlogged: Counter[str] = Counter()
        self._logged_at_s: dict[str, float] = {}
        self._write_error = Condition(_log)

    def add(self, reason: str, detail: str, sample: bytes = b"") -> None:
        """Log and keep a rejected line or range; `detail` says where and why, `sample` holds its first bytes."""
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
            self._write_error.set(f"{self._path}: {error.strerror or error}; rejected lines are only counted")
        else:
            self._write_error.clear(f"{self._path}: rejected lines are kept again")

    def _write(self, line: bytes) -> None:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "ab") as file:
            if file.tell() and file.tell() + len(line) > self._max_bytes // 2:
                self._path.replace(self._path.with_name(f"{self._path.name}.1"))
                self._write(line)
                return
            file.write(line)

    def _log(self, reason: str, detail: str) -> None:
        """Log the first line with a reason at once, and later ones once a minute with their number."""
        self._unlogged[reason] += 1
        now_s = self._now()
        if now_s - self._logged_at_s.get(reason, float("-inf")) < LOG_INTERVAL_S:
            return
        count = self._unlogged.pop(reason)
        self._logged_at_s[reason] = now_s
        more = f" (and {count - 1} more like it)" if count > 1 else ""
        _log.warning("rejected: %s%s", detail, more, extra={"reason": reason, "kept_in": str(self._path)})
