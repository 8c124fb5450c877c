"""A backup of the cursors on the producer's own disk, in case Redis loses them.

A cursor in Redis that a producer of this node signed always takes precedence. If Redis was emptied or replaced, or
holds a forged cursor, the producer continues from the backup instead of from the end of the log.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

from common.json_depth import check_depth
from common.logs import Condition

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_log = logging.getLogger("courier.producer")


class CursorBackup:
    """The backup in `path`. A write error is logged once and does not stop the producer."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._saved: dict[str, str] | None = None
        self._write_error = Condition(_log)
        self.saved_at_s: float | None = None
        """When a previous process last saved it, in seconds since 1970; None until it is loaded."""

    def load(self) -> dict[str, str]:
        """Return the cursors by integration; none if there is no backup, or it cannot be read."""
        try:
            raw = self._path.read_bytes()
            check_depth(raw)
            held = json.loads(raw)
            self.saved_at_s = self._path.stat().st_mtime
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            _log.warning("%s cannot be read: %s", self._path, error)
            return {}
        if not isinstance(held, dict):
            return {}
        return {name: cursor for name, cursor in held.items() if isinstance(cursor, str) and cursor}

    def save(self, cursors: Mapping[str, str]) -> None:
        """Write these cursors if they differ from the last ones written."""
        if cursors == self._saved:
            return
        fresh = self._path.with_name(f".{self._path.name}")
        try:
            fresh.write_text(json.dumps(cursors))
            fresh.replace(self._path)
        except OSError as error:
            self._write_error.set(f"{self._path}: {error.strerror or error}; cursors are kept in Redis only")
        else:
            self._saved = dict(cursors)
            self._write_error.clear(f"{self._path}: cursors are backed up again")
