"""The filters of a block as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from common.services.sections import digest_of
from common.settings.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Iterator

    from common.integration import Integration
    from common.settings.digest import Digest
    from common.windows import Hold


def describe(integration: Integration) -> str:
    """Return which alerts the integration receives, such as `alerts of level 7 or higher`."""
    parts = list(_filters(integration))
    conditions = list(_conditions(integration))
    stock = f"alerts {' and '.join(parts)}" if parts else "every alert"
    filters = f"{stock} where {' and '.join(conditions)}" if conditions else stock
    held = f"; {_hold(integration.hold)}" if integration.hold else ""
    digest = digest_of(integration)
    return f"{filters}{held}; {_digest(digest)}" if digest else f"{filters}{held}"


def _filters(integration: Integration) -> Iterator[str]:
    if integration.level:
        yield f"of level {integration.level} or higher"
    if integration.rule_ids is not None:
        yield f"of {_one_of('rule', [str(number) for number in integration.rule_ids])}"
    if integration.group is not None:
        yield f"of {_one_of('group', integration.group.removesuffix(',').split(',') if integration.group else [])}"
    if integration.event_location is not None:
        negated = integration.event_location.startswith("!")
        pattern = integration.event_location.removeprefix("!")
        yield f"from a location that {'does not match' if negated else 'matches'} {pattern!r}"


def _conditions(integration: Integration) -> Iterator[str]:
    yield from integration.only
    yield from (f"not ({text})" for text in integration.except_)


def _hold(hold: Hold) -> str:
    levels = "" if hold.below is None else f" below level {hold.below}"
    then = ", then one digest" if hold.then_digest else ""
    return f"held{levels} {'outside' if hold.outside else 'in'} {hold.window}{then}"


def _digest(digest: Digest) -> str:
    """Return how alerts are folded, such as `digests by rule.id, every 10m`."""
    match = f" where {' and '.join(digest.match)}" if digest.match else ""
    first = f" after the first {digest.first}" if digest.first else ""
    by = f" by {', '.join(digest.by)}" if digest.by else " of all alerts"
    at = f" at {digest.at} {digest.zone}" if digest.at else ""
    least = f", for at least {digest.min_alerts} alerts" if digest.min_alerts > 1 else ""
    return f"digests{by}{first}{match}, every {format_duration(digest.every_s)}{at}{least}"


def _one_of(noun: str, items: list[str]) -> str:
    return f"{noun} {' or '.join(items)}" if items else f"no {noun} at all"
