"""The part of a policy that the producer publishes, and how a worker merges it with its own.

It is published as texts, numbers and lists, in the form of courier.toml, and read by the same readers. So another
version of Courier can read it: it ignores keys that it does not know, and takes its own value for a key that is missing
or that it cannot read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from common.secret import Secret
from common.settings.schema import PUBLISHED_KEYS

if TYPE_CHECKING:
    from common.settings.schema import Policy
    from common.settings.values import Displayed

PublishedPolicy = Mapping[str, Any]
"""The values by the name of their key, not yet read. It holds secrets in plain text."""

MISSING: Final = object()


def publish_policy(policy: Policy) -> dict[str, Displayed]:
    """Return what workers need of a policy. It holds secrets in plain text: it must be encrypted."""
    return {name: _plain(getattr(policy, key.field), key.reader.show) for name, key in PUBLISHED_KEYS.items()}


def merge_policy(own: Policy, published: PublishedPolicy) -> Policy:
    """Return the worker's `own` policy with everything that is published in place of its values."""
    changes: dict[str, Any] = {}
    for name, key in PUBLISHED_KEYS.items():
        if (raw := published.get(name, MISSING)) is not MISSING:
            try:
                changes[key.field] = key.reader.parse(raw)
            except ValueError:  # of a newer version
                continue
    return msgspec.structs.replace(own, **changes)


def _plain(value: Any, show: Any) -> Displayed:
    if isinstance(value, Secret):
        return value.reveal()
    if isinstance(value, Mapping):
        return {name: one.reveal() for name, one in value.items()}
    shown: Displayed = show(value)
    return shown
