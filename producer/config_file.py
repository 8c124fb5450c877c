"""ossec.conf as it is in force: read at the start, and again whenever it changes.

A new file is taken over only if it is well-formed and every block of it can be used: it may be half written. Otherwise
the old one stays in force and the operator is told why. At the start there is no old one: there the good blocks run
without the bad ones (D6), and the place in the log of what may be missing is kept.
"""

from __future__ import annotations

import hashlib
import logging
import time
from typing import TYPE_CHECKING, Final

from common.errors import ConfigError
from producer.ossec_conf import read_ossec_conf

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from common.integration import Integration
    from producer.ossec_conf import Configuration

FileSignature = tuple[int, int, int]

DIGEST_BYTES: Final = 6
"""So much of the SHA-256 that a metric, which is a double, holds it exactly."""

_log = logging.getLogger("courier.producer")


class ConfigFile:
    """The file at `path`. `trouble` is what is wrong with it now, for status; empty if nothing is.

    `digest` are 48 bits of what is in force, `loaded_ms` is when that was taken over; `now` is seconds since the epoch.
    What is in force is `whole` if nothing is wrong with it, and came to be there at `changed_at_s`.
    """

    def __init__(self, path: Path, now: Callable[[], float] = time.time) -> None:
        self.path, self._now = path, now
        self.error, self.is_complete, self.digest, self.loaded_ms = "", True, 0, 0
        self._signature: FileSignature | None = None
        self.changed_at_s = 0.0

    def load(self) -> tuple[Integration, ...]:
        """Return the integrations that can be used. Raises ConfigError if the file cannot be read at all."""
        self._signature = self._stat()
        configuration = read_ossec_conf(self.path)
        _log_problems(configuration)
        self.error = "; ".join(map(str, configuration.refused))
        self.is_complete = not configuration.problems
        self._record()
        return configuration.integrations

    def reload(self, *, forced: bool = False) -> tuple[Integration, ...] | None:
        """Return the integrations of a changed file, None if it has not changed or cannot be used as a whole."""
        stamp = self._stat()
        if stamp == self._signature and not forced:
            return None
        self._signature = stamp
        try:
            configuration = read_ossec_conf(self.path)
        except ConfigError as error:
            self._reject(str(error))
            return None
        _log_problems(configuration)
        if configuration.problems:
            self._reject("; ".join(configuration.problems))
            return None
        self.error, self.is_complete = "", True
        self._record()
        _log.info("taking over the changed configuration", extra={"config": str(self.path)})
        return configuration.integrations

    def _reject(self, trouble: str) -> None:
        self.error = trouble
        _log.error("the changed configuration is not taken over, the old one stays in force: %s", trouble)

    def _record(self) -> None:
        """Remember which content is in force since when. If it changed since it was read, the next look reads it."""
        try:
            content = self.path.read_bytes()
            # Not the modification time, which a copy can keep: that may be long before the file came here.
            self.changed_at_s = self.path.stat().st_ctime
        except OSError:
            return
        self.digest = int.from_bytes(hashlib.sha256(content).digest()[:DIGEST_BYTES], "big")
        self.loaded_ms = round(self._now() * 1000)

    def _stat(self) -> FileSignature | None:
        try:
            status = self.path.stat()
        except OSError:
            return None
        return status.st_ino, status.st_size, status.st_mtime_ns


def _log_problems(configuration: Configuration) -> None:
    for warning in configuration.warnings:
        _log.warning("%s", warning)
    for error in configuration.refused:
        _log.error("refused: %s", error)
    if not configuration.integrations:
        _log.warning("no integration is configured; waiting for the file to change")
