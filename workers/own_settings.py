"""The settings of a worker's own courier.toml for integrations: the six keys that concern its network and its size.

The producer publishes everything else. A worker that shares the producer's file has the same values, and a worker
without a file needs none. The file is followed while the worker runs.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from common.errors import SettingsError
from common.secret import Secret
from common.settings.schema import LOCAL_KEYS, PUBLISHED_KEYS
from common.settings.secret_values import is_reference
from common.settings.settings_file import SettingsFile

if TYPE_CHECKING:
    from collections.abc import Callable

    from common.integration import Integration
    from common.settings.load import Settings
    from common.settings.published_policy import PublishedPolicy
    from common.settings.schema import Policy

IGNORED_AFTER_S: Final = 15.0
"""How long an own key must differ from the published one before a warning says that it has no effect: a producer with
the same file may need a moment to publish it."""

_log = logging.getLogger("courier.worker")


class OwnSettings:
    """Follows the file of `settings`. `error` says why its last change was refused. `now` is monotonic, in seconds."""

    def __init__(self, settings: Settings, now: Callable[[], float]) -> None:
        self._file, self._now = SettingsFile(settings), now
        self.error = ""
        self._logged: set[tuple[str, str]] = set()
        self._ignored: dict[str, tuple[str, ...]] = {}
        self._ignored_since_s: float | None = None
        self._has_warned = False

    def policy(self, integration: Integration) -> Policy:
        """Return the policy of these settings, of which only the own keys count where one is published."""
        return self._file.active.policy(integration)

    def reload(self) -> bool:
        """Read the file if it changed; return whether its settings are now in force. To be called once a second."""
        self._warn_ignored()
        if not self._file.changed():
            return False
        try:
            settings = self._file.read()
            self.error = "; ".join(map(str, settings.refused))
        except SettingsError as error:
            self.error = str(error)
        if self.error:
            _log.error("changed settings rejected; the previous ones stay active: %s", self.error)
            return False
        self._file.activate(settings)
        _log.info("settings reloaded", extra={"settings": str(settings.file)})
        return True

    def is_usable(self, integration: Integration, published: PublishedPolicy) -> bool:
        """Return whether these settings are valid for an integration, and compare them with what is published."""
        settings = self._file.active
        if refused := settings.refused_for(integration):
            text = "; ".join(map(str, refused))
            if (integration.id, text) not in self._logged:
                self._logged.add((integration.id, text))
                _log.error("integration not served: %s", text, extra={"integration": integration.id})
            return False
        ours = settings.set_by_operator(integration)
        self._note_ignored(integration.id, tuple(name for name in published if _differs(name, ours, published)))
        return True

    def _note_ignored(self, integration_id: str, names: tuple[str, ...]) -> None:
        self._ignored = {one: keys for one, keys in self._ignored.items() if one != integration_id}
        if names:
            self._ignored[integration_id] = names
        if not self._ignored:
            self._ignored_since_s = None
        elif self._ignored_since_s is None:
            self._ignored_since_s = self._now()

    def _warn_ignored(self) -> None:
        """Log one line, once, for all keys that have no effect."""
        since_s = self._ignored_since_s
        if self._has_warned or since_s is None or self._now() - since_s < IGNORED_AFTER_S:
            return
        self._has_warned = True
        keys = sorted({key for names in self._ignored.values() for key in names})
        _log.warning(
            "these keys of [integrations] have no effect in a worker: the producer's count; set them in courier.toml "
            "of the producer, and here only %s",
            ", ".join(LOCAL_KEYS),
            extra={"keys": ", ".join(keys), "integrations": ", ".join(sorted(self._ignored))},
        )


def _differs(name: str, ours: dict[str, Any], published: PublishedPolicy) -> bool:
    """Return whether the operator set a key here to another value than the one that is published."""
    key = PUBLISHED_KEYS.get(name)
    if key is None or key.field not in ours:
        return False
    if isinstance(ours[key.field], Secret) and is_reference(ours[key.field].reveal()):
        return False  # the producer publishes its value
    try:
        return bool(ours[key.field] != key.reader.parse(published[name]))
    except ValueError:  # of a newer version
        return False
