"""Follows courier.toml while a process runs, for the tables of integrations; all else is used after a restart."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Final

from common.errors import SettingsError
from common.files import file_signature
from common.settings.schema import STRUCTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from common.files import FileSignature
    from common.settings.load import Settings

SETTLE_S: Final = 0.3
"""A file that was written less than this ago is read at the next check: half a TOML file can be a valid one, in which
integrations are missing."""

_log = logging.getLogger("courier.settings")


class SettingsFile:
    """The file of `active`, the settings in force. `now` is seconds since the epoch."""

    def __init__(self, active: Settings, now: Callable[[], float] = time.time) -> None:
        self.active, self._now = active, now
        self._seen = active.file_signature
        self._is_required = self._seen is not None

    @property
    def exists(self) -> bool:
        """Whether there was a file when it was last read."""
        return self._seen is not None

    def changed(self) -> bool:
        """Return whether the file has changed since it was read, and is not being written at this moment."""
        signature = self._signature()
        if signature == self._seen:
            return False
        age_s = self._now() - signature[2] / 1e9 if signature else SETTLE_S
        return not 0 <= age_s < SETTLE_S

    def read(self) -> Settings:
        """Return the settings of the file as it is now; `activate` puts them in force.

        Raises SettingsError, also if the file is gone: an editor may be replacing it.
        """
        self._seen = self._signature()
        if self._is_required and self._seen is None:
            raise SettingsError(f"{self.active.file}: is gone; put it back, or restart this process to run without it")
        return self.active.read_again()

    def activate(self, settings: Settings) -> None:
        """Put settings in force, and log a warning if something changed that needs a restart."""
        changed = [f"[{name}]" for name in STRUCTS if getattr(settings, name) != getattr(self.active, name)]
        if changed:
            _log.warning("changes of %s are used after a restart", ", ".join(changed))
        self.active, self._is_required = settings, self._seen is not None

    def _signature(self) -> FileSignature | None:
        return file_signature(self.active.file)
