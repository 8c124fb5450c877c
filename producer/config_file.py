"""The active configuration: ossec.conf, the tables of courier.toml, and the files of secrets and agents that they name.

It is read at the start, and again when one of these files changes. A change becomes active only if both files are
well-formed and every block and table is valid, because a file may be half written. Otherwise the error is logged and
the previous configuration stays active, as a whole. At the start there is no previous one: what is valid runs without
the rest (D6), and the cursors of integrations that may be missing are kept.
"""

from __future__ import annotations

import hashlib
import logging
import time
from typing import TYPE_CHECKING, Any, Final

from common.errors import ConfigError, SettingsError
from common.files import file_signature, is_being_written
from common.settings.settings_file import SettingsFile
from producer.configuration import policy_of, read_configuration
from producer.filters.decode import decode_alert
from producer.ossec_conf import Configuration
from producer.secret_references import SecretReferences

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from common.files import FileSignature
    from common.integration import Integration
    from common.settings.load import Settings
    from common.settings.schema import Policy
    from common.silences import FileSilence
    from common.windows import Window
    from producer.filters.agents import AgentGroups

DIGEST_BYTES: Final = 6
"""Bytes of the SHA-256 that a metric can hold exactly: it is a double."""

_log = logging.getLogger("courier.producer")


class ConfigFile:
    """The ossec.conf that `settings` name, and their tables.

    `error` says what is wrong, for status; it is empty if nothing is.

    `digest` holds 48 bits of the active ossec.conf, which was loaded at `loaded_ms`; the files were written at
    `changed_at_s`. `is_complete` says whether all was loaded without errors. `now` is seconds since the epoch.
    """

    def __init__(self, settings: Settings, now: Callable[[], float] = time.time) -> None:
        self.path, self._settings, self._now = settings.producer.config, SettingsFile(settings, now), now
        self.error, self.is_complete, self.digest, self.loaded_ms = "", True, 0, 0
        self._active = Configuration()
        self._references = SecretReferences()
        self._signature: FileSignature | None = None
        self._is_due = False
        self.changed_at_s = 0.0

    @property
    def conditions(self) -> Mapping[str, tuple[str, ...]]:
        """The active named conditions."""
        return self._active.conditions

    @property
    def windows(self) -> Mapping[str, Window]:
        """The active windows."""
        return self._active.windows

    @property
    def silences(self) -> tuple[FileSilence, ...]:
        """The active silences of courier.toml."""
        return self._active.silences

    @property
    def agents(self) -> AgentGroups:
        """The active groups of agents."""
        return self._active.agents

    @property
    def decode(self) -> Callable[[bytes], dict[str, Any]]:
        """Decodes the whole alert of a line, with the active groups of its agent. Raises InvalidAlert."""
        return self.agents.decode if self.agents else decode_alert

    def policy(self, integration: Integration) -> Policy:
        """Return the active policy of an integration."""
        return policy_of(integration, self._settings.active, self._active)

    def load(self) -> tuple[Integration, ...]:
        """Return the valid integrations. Raises ConfigError if ossec.conf cannot be read at all."""
        self._signature = file_signature(self.path)
        configuration = read_configuration(self._settings.active, references=self._references)
        _log_problems(configuration)
        self.error = "; ".join(map(str, configuration.refused))
        self.is_complete = not configuration.problems
        self._record(configuration)
        return configuration.integrations

    def reload(self, *, forced: bool = False) -> tuple[Integration, ...] | None:
        """Return the integrations if a file changed; None if none did or the change is not valid as a whole."""
        signature = file_signature(self.path)
        self._is_due |= any(
            (forced, signature != self._signature, self._settings.changed(), self._references.changed())
        )
        # All wait for a file that may be half written: another file or SIGHUP is no reason to read it.
        if not self._is_due or self._is_being_written():
            return None
        self._is_due = False
        self._signature = signature
        references = SecretReferences()
        try:
            settings = self._settings.read()
            configuration = read_configuration(settings, config=self.path, references=references)
        except (ConfigError, SettingsError) as error:
            self._references.mark_seen()
            self._reject(str(error))
            return None
        self._references = references
        _log_problems(configuration)
        if configuration.problems:
            self._reject("; ".join(configuration.problems))
            return None
        self._settings.activate(settings)
        self.error, self.is_complete = "", True
        self._record(configuration)
        _log.info("configuration reloaded", extra={"config": str(self.path), "settings": str(settings.file)})
        return configuration.integrations

    def _is_being_written(self) -> bool:
        now_s = self._now()
        paths = (self.path, *self._references.files)
        return self._settings.is_being_written() or any(is_being_written(path, now_s) for path in paths)

    def _reject(self, error: str) -> None:
        self.error = error
        _log.error("changed configuration rejected; the previous one stays active: %s", error)

    def _record(self, configuration: Configuration) -> None:
        """Record digest and time of the active content. If it changed since it was read, the next reload reads it."""
        self._active = configuration
        try:
            content = self.path.read_bytes()
            # Not the modification time: `cp -p` keeps that, so it can be long before the file was put here.
            self.changed_at_s = self.path.stat().st_ctime
            if self._settings.exists:
                self.changed_at_s = max(self.changed_at_s, self._settings.active.file.stat().st_ctime)
        except OSError:
            return
        self.digest = int.from_bytes(hashlib.sha256(content).digest()[:DIGEST_BYTES], "big")
        self.loaded_ms = round(self._now() * 1000)


def _log_problems(configuration: Configuration) -> None:
    for warning in configuration.warnings:
        _log.warning("%s", warning)
    for error in configuration.refused:
        _log.error("integration rejected: %s", error)
    if not configuration.integrations:
        _log.warning("no integration is configured; waiting for a change of the file")
