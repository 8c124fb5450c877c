"""The active ossec.conf: read at the start, and again when the file changes.

A changed file becomes active only if it is well-formed and every block is valid, because it may be half written.
Otherwise the error is logged and the previous configuration stays active. At the start there is no previous one: valid
blocks run without the invalid ones (D6), and the cursors of integrations that may be missing are kept.
"""

from __future__ import annotations

import hashlib
import logging
import time
from typing import TYPE_CHECKING, Final

from common.errors import ConfigError
from producer.ossec_conf import read_ossec_conf

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from common.integration import Integration
    from producer.ossec_conf import Configuration

FileSignature = tuple[int, int, int]

DIGEST_BYTES: Final = 6
"""Bytes of the SHA-256 that a metric can hold exactly: it is a double."""

_log = logging.getLogger("courier.producer")


class ConfigFile:
    """The file at `path`. `error` says what is wrong with it, for status; empty if nothing is.

    `digest` holds 48 bits of the active content, which was loaded at `loaded_ms` and written at `changed_at_s`.
    `is_complete` says whether it was loaded without errors. `conditions` are the active named
    conditions. `now` is seconds since the epoch.
    """

    def __init__(self, path: Path, now: Callable[[], float] = time.time) -> None:
        self.path, self._now = path, now
        self.error, self.is_complete, self.digest, self.loaded_ms = "", True, 0, 0
        self.conditions: Mapping[str, tuple[str, ...]] = {}
        self._signature: FileSignature | None = None
        self.changed_at_s = 0.0

    def load(self) -> tuple[Integration, ...]:
        """Return the valid integrations. Raises ConfigError if the file cannot be read at all."""
        self._signature = self._stat()
        configuration = read_ossec_conf(self.path)
        _log_problems(configuration)
        self.error = "; ".join(map(str, configuration.refused))
        self.is_complete = not configuration.problems
        self._record()
        return configuration.integrations

    def reload(self, *, forced: bool = False) -> tuple[Integration, ...] | None:
        """Return the integrations of a changed file; None if it has not changed or is not valid as a whole."""
        signature = self._stat()
        if signature == self._signature and not forced:
            return None
        self._signature = signature
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
        _log.info("configuration reloaded", extra={"config": str(self.path)})
        return configuration.integrations

    def _reject(self, error: str) -> None:
        self.error = error
        _log.error("changed configuration rejected; the previous one stays active: %s", error)

    def _record(self) -> None:
        """Record digest and time of the active content. If it changed since it was read, the next reload reads it."""
        try:
            content = self.path.read_bytes()
            # Not the modification time: `cp -p` keeps that, so it can be long before the file was put here.
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
        _log.error("integration rejected: %s", error)
    if not configuration.integrations:
        _log.warning("no integration is configured; waiting for a change of the file")
