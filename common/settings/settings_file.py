"""Follows courier.toml while a process runs, for the tables of integrations; all else is used after a restart."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from common.errors import SettingsError
from common.files import file_signature, is_being_written
from common.settings.schema import STRUCTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from common.files import FileSignature
    from common.settings.load import Settings

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
        return self._signature() != self._seen and not self.is_being_written()

    def is_being_written(self) -> bool:
        """Return whether the file was written a moment ago, so that it may be half written."""
        return is_being_written(self.active.file, self._now())

    def read(self) -> Settings:
        """Return the settings of the file as it is now; `activate` puts them in force.

        Raises SettingsError, also if the file is gone or written meanwhile: an editor may be replacing it.
        """
        self._seen = self._signature()
        if self._is_required and self._seen is None:
            raise SettingsError(f"{self.active.file}: is gone; put it back, or restart this process to run without it")
        settings = self.active.read_again()
        if self._signature() != self._seen:
            raise SettingsError(f"{self.active.file}: was written while it was read; it is read again")
        return settings

    def activate(self, settings: Settings) -> None:
        """Put settings in force, and log a warning if something changed that needs a restart."""
        changed = [f"[{name}]" for name in STRUCTS if getattr(settings, name) != getattr(self.active, name)]
        if changed:
            _log.warning("changes of %s are used after a restart", ", ".join(changed))
        self.active, self._is_required = settings, self._seen is not None

    def _signature(self) -> FileSignature | None:
        return file_signature(self.active.file)
