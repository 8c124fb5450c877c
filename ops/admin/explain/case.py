"""One alert and one integration: all that the steps of an explanation may look at."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from ops.admin.explain.model import DigestReport, State
from ops.admin.terminal import age, pluralize

if TYPE_CHECKING:
    from common.integration import Integration
    from common.ledger import Group, HistoryEntry
    from common.settings.schema import Policy
    from common.silences import Silence
    from ops.admin.explain.subject import Subject
    from producer.filters.explain import MatchExplanation
    from producer.source import SearchableSource


class Conclusion(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the alert, and commands that can be run as they are.

    `outcome` is how its delivery, or that of its digest, ended, such as `delivered`; empty if that is unknown or it has
    not ended. `digest` is where it was folded.
    """

    state: State
    text: str
    outcome: str = ""
    notes: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    digest: DigestReport | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One alert for one integration; `policy` is that of this node.

    `changed_s` is when the configuration was last changed, in seconds since the epoch, None if that is unknown.
    `silence` is the one that keeps the alert back if the producer reads it when it is written, or else later; None if
    none does.
    `group` is the group into which it is folded if the producer reads it when it is written; None if it is not folded.
    `with_filters` is false if the integration is not configured here, or the alert itself is not known.
    `match` is None without filters, and if the alert is none: then `problem` says why.
    """

    integration: Integration
    policy: Policy
    subject: Subject
    source: SearchableSource
    changed_s: float | None = None
    silence: Silence | None = None
    group: Group | None = None
    match: MatchExplanation | None = None
    problem: str = ""
    with_filters: bool = True


def moment(at_ms: int, now_ms: int) -> str:
    """Return a time as text with its distance: `2026-01-31T08:00:00Z (3m ago)`."""
    distance_s = (at_ms - now_ms) / 1000
    distance = f"in {age(distance_s)}" if distance_s > 0 else f"{age(-distance_s)} ago"
    return f"{clock_time(at_ms)} ({distance})"


def describe_end(one: HistoryEntry, now_ms: int) -> str:
    """Return how a delivery ended as text: `delivered 2026-01-31T08:00:00Z (3m ago), after 1 attempt`."""
    reason = f" ({one.reason})" if one.reason else ""
    number = one.facts.attempts
    attempts = f", after {pluralize(number, 'attempt')}" if number else ""
    _, _, origin = one.delivery.partition("+fallback:")
    fallback = f"as the fallback of {origin}: " if origin else ""
    return f"{fallback}{one.outcome}{reason} {moment(one.ended_ms, now_ms)}{attempts}"


def valid(text: str) -> str:
    """Return a text from Redis, which can hold any bytes, without lone surrogates: JSON output cannot encode them."""
    return text.encode("utf-8", "replace").decode()


def clock_time(at_ms: int) -> str:
    """Return a time as text: ISO 8601 in UTC, with seconds. A time beyond the year 9999 is a number of ms."""
    try:
        return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return f"{at_ms} ms"
