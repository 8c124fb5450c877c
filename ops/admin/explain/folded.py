"""The digest into which an alert was folded, as far as one can tell: Redis does not store which alerts a digest has.

The group follows from the alert, with the producer's own code. A digest has its group and the beginning of its window
in its delivery id, and ends with its commit. So an alert is in the first digest of its group that ends after the alert
was written, unless its producer was behind, or its window had fewer alerts than `min`, of which nothing is left.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from common.digest import count_in, window_of
from common.ledger import Located, OpenGroup
from ops.admin.explain.case import Conclusion, describe_end, moment, valid
from ops.admin.explain.deliveries import report_delivery
from ops.admin.explain.model import DigestReport, State
from ops.admin.terminal import pluralize
from producer.filters.decode import InvalidAlert, decode_alert

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from common.ledger import Group, HistoryEntry
    from ops.admin.explain.case import Case
    from ops.admin.explain.ledger import Answer

LATE_MS: Final = 60_000
"""How long after an alert was written its window may begin: Redis gets it a second later, and clocks differ."""

NOT_STORED: Final = "Redis does not store which alerts a digest has: by group and time, the alert belongs to this one"
READ_LATER: Final = "Redis does not store which alerts a digest has: this is the first one of its group after the alert"
CHANGED: Final = "if the digest's settings were changed since, the alert may be in a digest of another group"


class _Window(NamedTuple):
    """A window of the alert's group. `ids` are those of alerts that it names, such as the first and the last one."""

    group: str
    from_ms: int
    to_ms: int
    number: int | None
    ids: frozenset[str]
    source: HistoryEntry | Located | OpenGroup

    @property
    def is_open(self) -> bool:
        """Whether alerts are still folded into it, also after its end until the next release closes it."""
        return isinstance(self.source, OpenGroup)


class _Content(msgspec.Struct):
    """What is read of a digest that the ledger holds."""

    count: int
    first_id: str
    last_id: str
    samples: list[dict[str, Any]]


def folded(case: Case, answer: Answer) -> Conclusion | None:
    """It was folded into a digest."""
    group, written_s = case.group, case.subject.written_s
    if group is None or written_s is None or not _total(case, answer, "folded"):
        return None
    alert_id, written_ms = case.subject.alert_id, round(1000 * written_s)
    windows = [one for one in _windows(case, answer, group.group) if one.is_open or one.to_ms >= written_ms]
    if named := next((one for one in windows if alert_id and alert_id in one.ids), None):
        return _in_digest(case, answer, group, named)
    if near := next((one for one in windows if one.from_ms <= written_ms + LATE_MS), None):
        return _in_digest(case, answer, group, near, note=NOT_STORED)
    if answer.state.knows_all_since(case.integration.id, written_ms):
        return _in_no_window(case, answer, group, windows)
    text = "unknown: delivered, skipped or deleted, by itself or in a digest"
    too_few = ", or its window had too few alerts" if group.min > 1 else ""
    return Conclusion(state=State.UNKNOWN, text=f"{text}{too_few}: the history does not go back so far")


def _in_no_window(case: Case, answer: Answer, group: Group, later: Sequence[_Window]) -> Conclusion:
    """It was not delivered by itself, and no known window of its group has its time; `later` ones began later."""
    if group.min > 1 and _total(case, answer, "below_min"):
        least = f"fewer than {pluralize(group.min, 'alert')} (min) of {_describe(group.values, is_others=False)}"
        return Conclusion(state=State.BELOW_MIN, text=f"probably not sent: its window had {least}", notes=(CHANGED,))
    if later:
        return _in_digest(case, answer, group, later[0], note=READ_LATER)
    text = f"unknown: it is folded now, but no digest of {_describe(group.values, is_others=False)} has its time"
    return Conclusion(state=State.UNKNOWN, text=text, notes=(CHANGED,))


def _windows(case: Case, answer: Answer, group: str) -> Iterator[_Window]:
    """Yield the known windows of a group, the oldest first, and then those of the group for all others."""
    for name in (group, f"{group.rpartition(':')[0]}:others"):
        yield from sorted(_windows_of(case.integration.id, answer, name), key=lambda one: one.from_ms)


def _windows_of(integration_id: str, answer: Answer, group: str) -> Iterator[_Window]:
    stored = answer.state.find_folded(integration_id, group)
    known: dict[str, HistoryEntry | Located] = {
        one.delivery: one  # the last end of each
        for one in answer.digests.get(integration_id, ())
    }
    known |= {one.delivery.id: one for one in stored.digests}
    for delivery_id, source in known.items():
        window = window_of(delivery_id)
        if window and window.group == group:
            ended_ms, count, ids = _content_of(source)
            yield _Window(group, window.from_ms, ended_ms, count, ids, source)
    if (now := stored.window) and now.number > 0:
        ids = frozenset(pair[1] for pair in (now.oldest, now.newest) if pair)
        yield _Window(group, now.from_ms, now.ends_ms or answer.state.now_ms, now.number, ids, now)


def _content_of(source: HistoryEntry | Located) -> tuple[int, int | None, frozenset[str]]:
    """Return when the window of a digest ended, how many alerts it has, and the ids of alerts that it names."""
    if not isinstance(source, Located):
        facts = source.facts
        count = count_in(source.delivery, facts.rule_description)
        return facts.committed_ms or source.ended_ms, count, frozenset([facts.alert_id])
    ended_ms = source.delivery.header.committed_ms
    try:
        found = msgspec.convert(decode_alert(source.delivery.alert)["courier"]["digest"], _Content)
    except (InvalidAlert, KeyError, TypeError, msgspec.ValidationError):  # another program wrote it
        return ended_ms, None, frozenset()
    samples = (one.get("id") for one in found.samples)
    ids = frozenset([found.first_id, found.last_id, *(one for one in samples if isinstance(one, str))])
    return ended_ms, found.count, ids


def _in_digest(case: Case, answer: Answer, group: Group, window: _Window, *, note: str = "") -> Conclusion:
    """Say in which digest it is; a `note` says why that is not certain."""
    is_others, source, now_ms = window.group != group.group, window.source, answer.state.now_ms
    values = "{}" if is_others else group.values
    of = _describe(values, is_others=is_others)
    digest_id, outcome, commands = "", "", list[str]()
    if isinstance(source, OpenGroup):
        ends = "ends" if window.to_ms > now_ms else "ended"
        text = f"in an open digest of {of}, whose window {ends} {moment(window.to_ms, now_ms)}"
    else:
        if isinstance(source, Located):
            report = report_delivery(case, source, answer.state)
            digest_id, became, commands = source.delivery.id, report.text, report.commands
        else:
            digest_id, became, outcome = source.delivery, describe_end(source, now_ms), source.outcome
        text = f"in digest {digest_id} of {of}: {became}"
    number = "" if window.number is None else f"; it has {pluralize(window.number, 'alert')}"
    return Conclusion(
        state=State.FOLDED,
        text=f"{'probably ' if note else ''}{text}{number}",
        outcome=outcome,
        notes=(note,) if note else (),
        commands=tuple(commands),
        digest=DigestReport(
            id=valid(digest_id),
            group=msgspec.json.decode(values, type=dict[str, str]),
            others=is_others,
            from_ms=window.from_ms,
            to_ms=window.to_ms,
            count=window.number,
            certain=not note,
        ),
    )


def _describe(values: str, *, is_others: bool) -> str:
    """Return a group as text; `values` are those of `by`, in JSON."""
    if is_others:
        return "the group for all others"
    found = msgspec.json.decode(values, type=dict[str, str])
    return "alerts with " + ", ".join(f"{field} {value}" for field, value in found.items()) if found else "all alerts"


def _total(case: Case, answer: Answer, name: str) -> int:
    return answer.state.statuses[case.integration.id].totals.get(name, 0)
