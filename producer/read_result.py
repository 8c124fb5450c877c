"""What one read found for the integrations at its cursor, and how many alerts of each kind it has.

For each integration every alert is one of: not matched by its filters, excepted by its conditions, silenced, or a
match, which is enqueued. A commit stores these numbers together with the cursor, so they add up whatever happens.
Nothing is recorded for an alert that matches nothing: their number is the rest.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from common.ledger import SilenceCount

if TYPE_CHECKING:
    from collections.abc import Sequence

    from producer.source import Line, Lines


class Silenced(NamedTuple):
    """One silenced alert: how many matches are before it, the silence, when its counts are deleted, and the rule."""

    matches_before: int
    silence_id: str
    delete_ms: int
    rule_id: str


class Counts(msgspec.Struct, frozen=True):
    """Numbers of alerts, for one integration; `silenced` has them by silence."""

    read: int = 0
    matched: int = 0
    excepted: int = 0
    silenced: tuple[SilenceCount, ...] = ()

    def __add__(self, more: Counts) -> Counts:
        if not more.matched and not more.excepted and not more.silenced:  # nearly always
            return Counts(self.read + more.read, self.matched, self.excepted, self.silenced)
        silenced = self.silenced
        for one in more.silenced:
            silenced = one.added_to(silenced)
        return Counts(self.read + more.read, self.matched + more.matched, self.excepted + more.excepted, silenced)

    @property
    def totals(self) -> dict[str, int]:
        """What to add to the counters of the ledger, without zeros."""
        silenced = sum(one.number for one in self.silenced)
        not_matched = self.read - self.matched - self.excepted - silenced
        numbers = {"read": self.read, "not_matched": not_matched, "excepted": self.excepted, "silenced": silenced}
        return {name: number for name, number in numbers.items() if number}


NO_COUNTS: Final = Counts()


class Mark(NamedTuple):
    """A place in a read, for one integration: how much of each kind is before it."""

    alerts: int = 0
    matches: int = 0
    excepted: int = 0
    silenced: int = 0


START: Final = Mark()


class _Batch(NamedTuple):
    """The lines of one batch, None if none of them is a match; their number; corrections by position."""

    lines: Lines | None
    number: int
    corrections: Sequence[tuple[int, int]]


class ReadResult:
    """The results of one read.

    `matches`, by the id of the integration, are its matching lines. `excepted` has the number of matches before each
    alert that its conditions except, `silenced` each alert that a silence keeps from it; both are in order.
    """

    def __init__(self) -> None:
        self.matches: defaultdict[str, list[Line]] = defaultdict(list)
        self.excepted: defaultdict[str, list[int]] = defaultdict(list)
        self.silenced: defaultdict[str, list[Silenced]] = defaultdict(list)
        self._alerts = 0
        self._batches: list[_Batch] = []
        self._corrections: list[tuple[int, int]] = []

    def correct(self, line: Line, by: int) -> None:
        """Count a line of the next batch differently: it is no alert (-1), or a part of it is one (1)."""
        self._alerts += by
        self._corrections.append((line.end, by))

    def add_batch(self, lines: Lines, number: int, *, has_matches: bool) -> None:
        """Count `number` lines. They stay in memory only if there are matches among them."""
        self._alerts += number
        self._batches.append(_Batch(lines if has_matches else None, number, self._corrections))
        self._corrections = []

    def mark(self, integration_id: str, matches: int, line: Line) -> Mark:
        """Return the place behind the match `line`, with which an integration has `matches`."""
        excepted, silenced = self.excepted.get(integration_id, ()), self.silenced.get(integration_id, ())
        return Mark(
            self._alerts_until(line),
            matches,
            bisect_left(excepted, matches),
            bisect_left(silenced, matches, key=_matches_before),
        )

    def end(self, integration_id: str) -> Mark:
        """Return the place behind the last line."""
        return Mark(
            self._alerts,
            len(self.matches.get(integration_id, ())),
            len(self.excepted.get(integration_id, ())),
            len(self.silenced.get(integration_id, ())),
        )

    def all_counts(self, integration_id: str) -> Counts:
        """Return the numbers of all alerts. Costs little for an integration that none of them concerns."""
        if not any(integration_id in one for one in (self.matches, self.excepted, self.silenced)):
            return Counts(self._alerts)
        return self.counts(integration_id, START, self.end(integration_id))

    def counts(self, integration_id: str, start: Mark, end: Mark) -> Counts:
        """Return the numbers of alerts between two places."""
        silenced = self.silenced.get(integration_id, ())[start.silenced : end.silenced]
        return Counts(
            end.alerts - start.alerts,
            end.matches - start.matches,
            end.excepted - start.excepted,
            _by_silence(silenced) if silenced else (),
        )

    def _alerts_until(self, line: Line) -> int:
        number = 0
        for batch in self._batches:
            lines = batch.lines
            if lines is not None and lines.stream == line.stream and lines.start < line.end <= lines.end:
                corrected = sum(by for end, by in batch.corrections if end <= line.end)
                return number + bisect_right(lines, line.end, key=_end) + corrected
            number += batch.number + sum(by for _, by in batch.corrections)
        return number


def _by_silence(alerts: Sequence[Silenced]) -> tuple[SilenceCount, ...]:
    rules: defaultdict[tuple[str, int], Counter[str]] = defaultdict(Counter)
    for one in alerts:
        rules[one.silence_id, one.delete_ms][one.rule_id] += 1
    return tuple(SilenceCount(*silence, dict(counted)) for silence, counted in rules.items())


def _end(line: Line) -> int:
    return line.end


def _matches_before(one: Silenced) -> int:
    return one.matches_before
