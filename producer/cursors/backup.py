"""A copy of the cursors on the producer's own disk, for the day on which Redis has lost them.

Where Redis holds a cursor that a producer of this node wrote, that one counts, always. An emptied or new Redis holds
none, and somebody else may have written one; then the copy says where to go on, instead of at the end of the log.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

from common.json_depth import check_depth

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_log = logging.getLogger("courier.producer")


class CursorBackup:
    """The copy in `path`. Not to be able to write it is no reason to stop."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._saved: dict[str, str] | None = None
        self._write_failed = False
        self.saved_at_s: float | None = None
        """When a former process saved it last, in seconds since 1970, once it is loaded."""

    def load(self) -> dict[str, str]:
        """Return the cursors by integration; none if there is no copy, or no readable one."""
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
        """Keep these, if they are not the ones that are kept already."""
        if cursors == self._saved:
            return
        fresh = self._path.with_name(f".{self._path.name}")
        try:
            fresh.write_text(json.dumps(cursors))
            fresh.replace(self._path)
        except OSError as error:
            if not self._write_failed:
                _log.warning(
                    "%s: %s; the places in the log are kept in Redis only", self._path, error.strerror or error
                )
            self._write_failed = True
        else:
            self._saved, self._write_failed = dict(cursors), False
