"""What became of an alert that the ledger does not hold for an integration: a list of steps, one function each.

The first step that concludes something decides. To add a step, write a function and put it into STEPS at its place:
what keeps an alert that was read out of the ledger, such as a silence, belongs behind `not_read`.
"""

from __future__ import annotations

import shlex
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from common.health.checks import IDLE_LIMIT_S
from ops.admin.explain.case import Conclusion, describe_end, moment
from ops.admin.explain.folded import folded
from ops.admin.explain.model import State
from ops.admin.filter_mismatch import describe_mismatches
from ops.admin.terminal import age, pluralize
from producer.cursors.signatures import unsigned
from producer.filters.explain import MatchVerdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from common.ledger import Status
    from ops.admin.explain.case import Case
    from ops.admin.explain.ledger import Answer, LedgerState

    Step = Callable[[Case, Answer], Conclusion | None]


def conclude(case: Case, answer: Answer | None) -> Conclusion:
    """Return what became of the alert; without an answer of Redis, only what filters and conditions decide."""
    if answer is None:
        return excluded(case) or Conclusion(
            state=State.FILTERS_ONLY, text="matches; what became of it is unknown, because Redis does not answer"
        )
    return next((found for step in STEPS if (found := step(case, answer))), UNKNOWN)


def excluded(case: Case, _answer: Answer | None = None) -> Conclusion | None:
    """It is no alert, or a filter or condition excludes it."""
    if case.problem:
        return Conclusion(state=State.NOT_AN_ALERT, text=case.problem)
    if case.match is None or case.match.verdict is MatchVerdict.MATCHES:
        return None
    why = "; ".join(describe_mismatches(case.match))
    return Conclusion(state=State.NO_MATCH, text=f"does not match: {why}")


def recorded(case: Case, answer: Answer) -> Conclusion | None:
    """The history has its end."""
    entries = answer.ended.get(case.integration.id, ())
    if not entries:
        return None
    own = [one for one in entries if one.delivery == case.subject.delivery]
    last = (own or entries)[-1]
    others = [describe_end(one, answer.state.now_ms) for one in entries if one is not last]
    text = describe_end(last, answer.state.now_ms)
    return Conclusion(state=State.ENDED, text=text, outcome=last.outcome, notes=tuple(others[-MAX_ENDS:]))


def damaged(case: Case, answer: Answer) -> Conclusion | None:
    """Its keys in Redis cannot be read."""
    keys = _status(case, answer).damaged
    if not keys:
        return None
    return Conclusion(state=State.UNKNOWN, text=f"unknown: its keys in Redis are damaged: {', '.join(keys)}")


def not_in_the_log(case: Case, _answer: Answer) -> Conclusion | None:
    """It has no delivery id."""
    if case.subject.delivery:
        return None
    return Conclusion(state=State.FILTERS_ONLY, text="matches; the alert is not from the log of this node")


def not_read(case: Case, answer: Answer) -> Conclusion | None:
    """The integration has not read the log up to the alert."""
    subject = case.subject
    if subject.line is None:
        return None
    cursor = unsigned(_status(case, answer).cursors.get(subject.node, ""))
    if not cursor:
        text = f"not read yet: Redis has no read position of {subject.node} for it"
        why = "its producer has not started with this integration, or Redis was emptied"
        return Conclusion(state=State.NOT_READ, text=f"{text}; {why}")
    if case.source.is_behind(cursor, subject.line) is not False:
        return None
    why = "; ".join(_why_not_read(case.integration.id, answer.state)) or "its producer reads on"
    return Conclusion(state=State.NOT_READ, text=f"matches, not read yet: {why}")


def silenced(case: Case, answer: Answer) -> Conclusion | None:
    """A silence kept it back, as far as one can tell: when the producer read it is not stored."""
    one, state = case.silence, answer.state
    if one is None or case.subject.line is None:
        return None
    counts = state.silence_counts(case.integration.id, one.id)
    if counts is None:
        return None
    rule = case.subject.summary().rule
    began_later = one.start_ms > 1000 * (case.subject.written_s or 0)
    if began_later and rule not in counts.rules:
        return None
    of_rule = f", {counts.rules[rule]:,} of rule {rule}" if rule in counts.rules else ""
    period = f"from {moment(one.start_ms, state.now_ms)} to {moment(one.end_ms, state.now_ms)}"
    silenced_by = "probably silenced by" if began_later else "silenced by"
    return Conclusion(
        state=State.SILENCED,
        text=f"{silenced_by} {one.id} ({one.why}, by {one.author}), in force {period}",
        notes=(
            f"that silence kept {pluralize(counts.number, 'alert')} from this integration{of_rule}",
            *(["it began after the alert was written: the producer read the alert later"] if began_later else []),
        ),
    )


def never_enqueued(case: Case, answer: Answer) -> Conclusion | None:
    """It was read, and the ledger can show that it was never enqueued."""
    written_ms = round(1000 * (case.subject.written_s or 0))
    if case.subject.line is None or not answer.state.knows_all_since(case.integration.id, written_ms):
        return None
    text = (
        "matches now, but was not enqueued: when the producer read it, the integration did not exist yet, "
        "was configured otherwise, or a silence was in force"
    )
    return Conclusion(
        state=State.NOT_ENQUEUED,
        text=text,
        notes=_configured_later(case, answer.state),
        commands=_replay_log(case),
    )


def ended_unrecorded(case: Case, answer: Answer) -> Conclusion | None:
    """It was enqueued and ended, as far as one can tell."""
    state = answer.state
    if not case.with_filters:
        return Conclusion(state=State.UNKNOWN, text="not held for it")
    begins_ms = state.history_begins_ms(case.integration.id)
    begins = f"it ended before the history begins, {moment(begins_ms, state.now_ms)}" if begins_ms else ""
    notes = ["Redis may also have been emptied since"] if case.subject.line is None else []
    return Conclusion(
        state=State.ENDED,
        text=f"delivered, skipped or deleted: {begins or 'there is no history of it'}",
        notes=(*_configured_later(case, state), *notes),
        commands=_replay_log(case),
    )


STEPS: Final[tuple[Step, ...]] = (
    recorded,
    excluded,
    damaged,
    not_in_the_log,
    not_read,
    silenced,
    folded,
    never_enqueued,
    ended_unrecorded,
)

MAX_ENDS: Final = 10
"""Earlier ends of the deliveries of one alert that are shown: each replay adds one."""

UNKNOWN: Final = Conclusion(state=State.UNKNOWN, text="unknown")


def _status(case: Case, answer: Answer) -> Status:
    return answer.state.statuses[case.integration.id]


def _why_not_read(integration_id: str, state: LedgerState) -> list[str]:
    """Say why a producer is behind, as far as its last report tells."""
    report, why = state.producer, list[str]()
    silent_s = (state.now_ms - report.seen_ms) / 1000
    if not report.seen_ms:
        why.append("its producer has never reported")
    elif silent_s > IDLE_LIMIT_S:
        why.append(f"its producer has not reported for {age(silent_s)}")
    if report.intake_paused:
        why.append(f"intake is paused: {report.intake_paused}")
    if integration_id in report.backpressured:
        lag = report.lags[integration_id]
        why.append(f"its backlog is full (max_backlog {lag.max_backlog:,}): the alert waits in the log")
    return why


def _configured_later(case: Case, state: LedgerState) -> tuple[str, ...]:
    """Say that the configuration is newer than the alert, so that another one may have applied to it."""
    changed_s, written_s = case.changed_s, case.subject.written_s
    if not changed_s or not written_s or changed_s < written_s:
        return ()
    when = moment(round(1000 * changed_s), state.now_ms)
    return (f"ossec.conf or courier.toml was changed {when}, after the alert: until then it may not have matched",)


def _replay_log(case: Case) -> tuple[str, ...]:
    """Return the command that enqueues the alerts of the same second again."""
    written_s = case.subject.written_s
    if written_s is None or case.subject.line is None:
        return ()
    first = datetime.fromtimestamp(int(written_s), UTC)
    start, stop = (f"{one:%Y-%m-%dT%H:%M:%SZ}" for one in (first, first + timedelta(seconds=1)))
    one = shlex.quote(case.integration.id)
    return (f"courier replay-log --integration {one} --from {start} --to {stop}",)
