"""The names of the ledger's keys; what they hold stands in this package's `__init__`."""

from __future__ import annotations

FAILED_OFFSET_MS = 10**13
"""Added to the due time of what waits and has failed (`prelude.lua`), in ms."""

KEY_NAMES = ("records", "waiting", "released", "dead", "control", "totals", "leases", "spent")


def keys_of(integration_id: str) -> list[str]:
    """Return the keys of one integration, in the order of PARTS, in which the scripts take them."""
    return [f"courier:{{{integration_id}}}:{part}" for part in KEY_NAMES]


def cursor_key(integration_id: str) -> str:
    """Return the key of an integration's cursors, which only a producer's script is given: workers may not touch it."""
    return f"courier:{{{integration_id}}}:cursor"


def keys_with_cursor(integration_id: str) -> list[str]:
    """Return the keys of `keys_of`, then that of the cursors: what a commit takes and a status reads."""
    return [*keys_of(integration_id), cursor_key(integration_id)]


def limit_keys(target: str) -> list[str]:
    """Return the keys that all integrations with one credential share: state, then what went by minute and by hour."""
    key = f"courier:limits:{{{target}}}"
    return [key, f"{key}:min", f"{key}:h"]
