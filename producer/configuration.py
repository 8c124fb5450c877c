"""ossec.conf as it is in force: read at the start, and again whenever it changes.

A new file is taken over only if every block of it can be used; otherwise the old one stays in force and the operator is
told why. At the start there is no old one: there the good blocks run without the bad ones (D6).
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from common.errors import ConfigError
from common.ossec_conf import read_ossec_conf

if TYPE_CHECKING:
    from pathlib import Path

    from common.integration import Integration
    from common.ossec_conf import Configuration

Stamp = tuple[int, int, int]

_log = logging.getLogger("courier.producer")


class ConfigFile:
    """The file at `path`. `trouble` is what is wrong with it now, for status; empty if nothing is."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.trouble = ""
        self._stamp: Stamp | None = None

    def load(self) -> tuple[Integration, ...]:
        """Return the integrations that can be used. Raises ConfigError if the file cannot be read at all."""
        self._stamp = self._look()
        configuration = read_ossec_conf(self.path)
        _tell(configuration)
        self.trouble = "; ".join(map(str, configuration.refused))
        return configuration.integrations

    def reload(self, *, forced: bool = False) -> tuple[Integration, ...] | None:
        """Return the integrations of a changed file, None if it has not changed or cannot be used as a whole."""
        stamp = self._look()
        if stamp == self._stamp and not forced:
            return None
        self._stamp = stamp
        try:
            configuration = read_ossec_conf(self.path)
        except ConfigError as error:
            self._keep(str(error))
            return None
        _tell(configuration)
        if configuration.refused:
            self._keep("; ".join(map(str, configuration.refused)))
            return None
        self.trouble = ""
        _log.info("taking over the changed configuration", extra={"config": str(self.path)})
        return configuration.integrations

    def _keep(self, trouble: str) -> None:
        self.trouble = trouble
        _log.error("the changed configuration is not taken over, the old one stays in force: %s", trouble)

    def _look(self) -> Stamp | None:
        try:
            status = self.path.stat()
        except OSError:
            return None
        return status.st_ino, status.st_size, status.st_mtime_ns


def _tell(configuration: Configuration) -> None:
    for warning in configuration.warnings:
        _log.warning("%s", warning)
    for error in configuration.refused:
        _log.error("refused: %s", error)
    if not configuration.integrations:
        _log.warning("no integration is configured; waiting for the file to change")
