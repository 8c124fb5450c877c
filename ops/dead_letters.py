"""Which dead letters an operator means: by integration, reason, rule and age, or one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from common.alert import Alert

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from common.ledger import DeadLetter, Ledger


class Found(NamedTuple):
    """A dead letter and the integration that it belongs to."""

    integration_id: str
    letter: DeadLetter


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """What must hold of a letter; empty parts ask nothing. Ages are seconds since the death."""

    deliveries: frozenset[str] = frozenset()
    reasons: frozenset[str] = frozenset()
    rules: frozenset[str] = frozenset()
    older_s: float | None = None
    newer_s: float | None = None

    def holds(self, letter: DeadLetter, now_ms: int) -> bool:
        """Say whether it is one of those that are meant."""
        age_s = (now_ms - letter.died_ms) / 1000
        return (
            (not self.deliveries or letter.delivery.id in self.deliveries)
            and (not self.reasons or reason(letter) in self.reasons)
            and (not self.rules or rule(letter)[0] in self.rules)
            and (self.older_s is None or age_s >= self.older_s)
            and (self.newer_s is None or age_s <= self.newer_s)
        )


def find(ledger: Ledger, integration_ids: Sequence[str], wanted: Filter) -> Iterator[Found]:
    """Yield the letters that are meant, integration by integration, the oldest first."""
    now_ms = ledger.now_ms()
    for integration_id in integration_ids:
        for letter in ledger.dead_letters(integration_id):
            if wanted.holds(letter, now_ms):
                yield Found(integration_id, letter)


def reason(letter: DeadLetter) -> str:
    """Return why it died: the reason of its last attempt."""
    history = letter.delivery.header.history
    return history[-1].reason if history else "worker_lost"


def detail(letter: DeadLetter) -> str:
    """Return what the last attempt had to say."""
    history = letter.delivery.header.history
    return history[-1].detail if history else "the worker died with it every time"


def rule(letter: DeadLetter) -> tuple[str, str]:
    """Return the id and the description of the alert's rule, empty where the alert has none."""
    try:
        found = Alert(letter.delivery.alert).fields.get("rule")
    except ValueError:
        return "", ""
    if not isinstance(found, dict):
        return "", ""
    return str(found.get("id", "")), str(found.get("description", ""))
