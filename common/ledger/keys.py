"""The names of the ledger's keys. The docstring of this package describes their contents."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from common.integration import MANAGER_ID

FAILED_OFFSET_MS = 10**13
"""Added to the due time of a waiting delivery that has failed, in ms; FAILED in `prelude.lua`."""


class Keys(NamedTuple):
    """The keys of one integration, in the order that `prelude.lua` expects.

    The cursors are not among them (`cursor_key`), because workers run scripts and have no access to cursors.
    """

    records: str
    waiting: str
    released: str
    dead: str
    control: str
    totals: str
    leases: str
    spent: str


KEY_NAMES = Keys._fields


@lru_cache(maxsize=1024)  # each transition of a delivery needs them
def keys_of(integration_id: str) -> Keys:
    """Return the keys of one integration."""
    return Keys._make(f"courier:{{{integration_id}}}:{name}" for name in KEY_NAMES)


def cursor_key(integration_id: str) -> str:
    """Return the key of an integration's cursors. Only `commit` gets it: workers have no access to it."""
    return f"courier:{{{integration_id}}}:cursor"


def history_key(integration_id: str) -> str:
    """Return the key of an integration's history. Scripts derive it from the key of the records (`prelude.lua`)."""
    return f"courier:{{{integration_id}}}:history"


def keys_with_cursor(integration_id: str) -> list[str]:
    """Return the keys of `keys_of` and the key of the cursors, for `commit` and for `courier status`."""
    return [*keys_of(integration_id), cursor_key(integration_id)]


def silenced_key(integration_id: str, silence_id: str) -> str:
    """Return the key of what a silence kept from an integration. Workers have no access to it."""
    return f"courier:{{{integration_id}}}:silenced:{silence_id}"


def groups_key(integration_id: str) -> str:
    """Return the key of the open groups of alerts, by the end of their window."""
    return f"courier:{{{integration_id}}}:groups"


def digest_key(integration_id: str) -> str:
    """Return the key of what these groups have. Scripts derive both from the key of the records (`digests.lua`)."""
    return f"courier:{{{integration_id}}}:digest"


def limit_keys(target: str) -> list[str]:
    """Return the keys that integrations with one credential share: state, then releases by minute and by hour."""
    key = f"courier:limits:{{{target}}}"
    return [key, f"{key}:min", f"{key}:h"]


def keys_with_limits(integration_id: str, target: str) -> list[str]:
    """Return the keys of an integration and those of the limits that it shares with others of the same `target`."""
    return [*keys_of(integration_id), *limit_keys(target or integration_id)]


def intake_keys(integration_id: str) -> list[str]:
    """Return the keys that a new delivery of an integration changes: records, waiting and totals."""
    keys = keys_of(integration_id)
    return [keys.records, keys.waiting, keys.totals]


def notification_keys(fallback: str) -> list[str]:
    """Return the keys that notifications change: those of the manager and of the fallback, if there is one."""
    return [*intake_keys(MANAGER_ID), *(intake_keys(fallback) if fallback else ())]
