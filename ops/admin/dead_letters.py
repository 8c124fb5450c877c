"""Select dead letters by integration, reason, rule and age, or by id."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from common.errors import LedgerDamaged
from common.ledger import DeadLetter
from common.ledger.locate import Place
from common.outcome import Reason
from workers.alert.alert import Alert

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from common.ledger import Ledger


MAX_SUMMARY_CHARS: Final = 1_000
"""Characters of a field that are listed; an alert can have megabytes in place of the id of its rule."""


class FoundLetter(NamedTuple):
    """A dead letter and the id of its integration."""

    integration_id: str
    letter: DeadLetter


class AlertSummary(NamedTuple):
    """The fields that identify an alert for a person. A field is empty if the alert does not have it or is invalid."""

    alert_id: str = ""
    rule_id: str = ""
    level: str = ""
    description: str = ""
    agent_id: str = ""
    agent_name: str = ""


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """Conditions for a letter; an empty field matches every letter. Ages are seconds since it became a dead letter.

    `deliveries` contains ids of deliveries or of alerts.
    """

    deliveries: frozenset[str] = frozenset()
    reasons: frozenset[str] = frozenset()
    rules: frozenset[str] = frozenset()
    older_s: float | None = None
    newer_s: float | None = None

    def matches(self, letter: DeadLetter, now_ms: int) -> bool:
        """Return whether the letter meets all conditions."""
        age_s = (now_ms - letter.died_ms) / 1000
        return (
            (not self.deliveries or self._names(letter))
            and (not self.reasons or reason(letter) in self.reasons)
            and (not self.rules or summarize(letter).rule_id in self.rules)
            and (self.older_s is None or age_s >= self.older_s)
            and (self.newer_s is None or age_s <= self.newer_s)
        )

    def _names(self, letter: DeadLetter) -> bool:
        return letter.delivery.id in self.deliveries or summarize(letter).alert_id in self.deliveries


def find(ledger: Ledger, integration_ids: Sequence[str], wanted: Filter, *, chunk: int = 500) -> Iterator[FoundLetter]:
    """Yield the letters that match, by integration, oldest first. An integration with damaged keys yields none.

    `chunk` letters are read at a time, with their alerts.
    """
    now_ms = ledger.now_ms()
    for integration_id in integration_ids:
        with suppress(LedgerDamaged):  # the ledger logs it; the letters of other integrations are still readable
            for letter in ledger.dead_letters(integration_id, chunk=chunk):
                if wanted.matches(letter, now_ms):
                    yield FoundLetter(integration_id, letter)


def find_one(ledger: Ledger, integration_id: str, delivery_id: str) -> FoundLetter | None:
    """Return one dead letter; None if this delivery is none, or no longer."""
    for found in ledger.locate({integration_id: [delivery_id]}).get(integration_id, []):
        if found.place is Place.DEAD:
            letter = DeadLetter(found.delivery, found.died_ms, found.problem)
            return FoundLetter(integration_id, letter)
    return None


def reason(letter: DeadLetter) -> str:
    """Return the reason of the last attempt."""
    history = letter.delivery.header.history
    return history[-1].reason if history else Reason.UNREADABLE if letter.problem else "worker_lost"


def detail(letter: DeadLetter) -> str:
    """Return the error text of the last attempt."""
    history = letter.delivery.header.history
    if letter.problem:
        return letter.problem
    return history[-1].detail if history else "the worker process died during every attempt"


def summarize(letter: DeadLetter) -> AlertSummary:
    """Return the fields that identify the alert, each cut; all empty if it cannot be parsed."""
    try:
        fields = Alert(letter.delivery.alert).fields
    except ValueError:
        return AlertSummary()
    rule, agent = (part if isinstance(part := fields.get(name), dict) else {} for name in ("rule", "agent"))
    found = (fields.get("id"), *map(rule.get, ("id", "level", "description")), *map(agent.get, ("id", "name")))
    return AlertSummary(*("" if one is None else str(one)[:MAX_SUMMARY_CHARS] for one in found))
