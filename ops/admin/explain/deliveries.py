"""One delivery that the ledger holds, or its end, as the report shows it. Texts from Redis are bounded here."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Final

from common.broker.task_message import queue_name
from common.ledger import Place
from ops.admin.explain.case import moment, valid
from ops.admin.explain.model import AttemptReport, DeliveryReport, EndReport, ResponseReport, State
from ops.admin.explain.waiting import is_held, waiting_reasons
from ops.admin.terminal import pluralize

if TYPE_CHECKING:
    from common.ledger import HistoryEntry, Located
    from ops.admin.explain.case import Case
    from ops.admin.explain.ledger import LedgerState

MAX_ATTEMPTS: Final = 50
"""Attempts that are shown: a record keeps as many (HISTORY_LIMIT in workers.delivery.pipeline)."""

MAX_DETAIL_CHARS: Final = 2_000
MAX_RESPONSE_CHARS: Final = 20_000
"""A dead letter keeps 20 kB of the last response."""


def report_delivery(case: Case, located: Located, state: LedgerState) -> DeliveryReport:
    """Return the report about one delivery of the case's integration."""
    header, now_ms = located.delivery.header, state.now_ms
    reasons = waiting_reasons(case, located, state) if located.place is Place.WAITING else []
    worker = _worker(located, state)
    kind, text = _state(case, located, worker, reasons, now_ms)
    response = header.response
    return DeliveryReport(
        id=valid(located.delivery.id),
        state=kind,
        text=valid(f"{_origin(located)}{text}"),
        reasons=[*map(valid, reasons)],
        committed_ms=header.committed_ms,
        due_ms=located.due_ms if located.place is Place.WAITING else None,
        lease_ms=located.lease_ms if located.place is Place.RELEASED else None,
        died_ms=located.died_ms if located.place is Place.DEAD else None,
        worker=valid(worker),
        attempts=header.attempts,
        lost_attempts=header.lost_attempts,
        replays=header.replays,
        fallback_of=valid(header.fallback_of.integration) if header.fallback_of else "",
        history=[
            AttemptReport(at_ms=one.at_ms, reason=valid(one.reason), detail=valid(one.detail[:MAX_DETAIL_CHARS]))
            for one in header.history[-MAX_ATTEMPTS:]
        ],
        response=None
        if response is None
        else ResponseReport(
            at_ms=response.at_ms,
            status=response.status,
            text=valid(response.text[:MAX_RESPONSE_CHARS]),
            truncated=response.truncated or len(response.text) > MAX_RESPONSE_CHARS,
        ),
        commands=_commands(case, located, state),
    )


def report_end(one: HistoryEntry) -> EndReport:
    """Return one end of a delivery, from the history."""
    facts = one.facts
    return EndReport(
        delivery=valid(one.delivery),
        outcome=one.outcome,
        reason=valid(one.reason),
        attempts=facts.attempts,
        committed_ms=facts.committed_ms or None,
        first_attempt_ms=facts.first_attempt_ms or None,
        ended_ms=one.ended_ms,
        attempt_ms=facts.attempt_ms,
        worker=valid(facts.worker),
    )


def _state(case: Case, located: Located, worker: str, reasons: list[str], now_ms: int) -> tuple[State, str]:
    header = located.delivery.header
    match located.place:
        case Place.DEAD:
            return State.DEAD, f"dead letter since {moment(located.died_ms, now_ms)}: {_cause(located)}"
        case Place.WAITING:
            since = moment(header.committed_ms, now_ms)
            return State.WAITING, f"waiting, queued {since}: {'; '.join(reasons)}"
    attempts = f", after {pluralize(header.attempts, 'attempt')}" if header.attempts else ""
    if located.holder:
        begun_ms = located.lease_ms - round(1000 * case.policy.lease_s)
        return (
            State.IN_FLIGHT,
            f"in flight: {worker} began it, or renewed its lease, {moment(begun_ms, now_ms)}{attempts}",
        )
    queue = queue_name(case.integration.id)
    return State.RELEASED, f"released to the queue {queue}; no worker has begun it yet{attempts}"


def _cause(located: Located) -> str:
    if located.problem:
        return located.problem
    history = located.delivery.header.history
    if not history:
        return "worker_lost: the worker process died during every attempt"
    attempts = pluralize(located.delivery.header.attempts, "attempt")
    return f"{history[-1].reason}, after {attempts}: {history[-1].detail[:MAX_DETAIL_CHARS]}"


def _origin(located: Located) -> str:
    """Say how a delivery differs from the alert's own one."""
    header = located.delivery.header
    origin = f"as the fallback of {header.fallback_of.integration}: " if header.fallback_of else ""
    if header.replays:
        times = "once" if header.replays == 1 else f"{header.replays} times"
        origin += f"replayed {times}: "
    return origin


def _worker(located: Located, state: LedgerState) -> str:
    """Return the name of the worker that has begun it; a worker that no longer reports is known by its token only."""
    if not located.holder:
        return ""
    process = located.holder.partition(":")[0]
    return state.workers.get(process) or f"a worker that does not report ({process[:100]})"


def _commands(case: Case, located: Located, state: LedgerState) -> list[str]:
    one, delivery = shlex.quote(case.integration.id), shlex.quote(valid(located.delivery.id))
    if located.place is Place.DEAD:
        removed = " --removed" if state.is_removed(case.integration.id) else ""
        show = f"courier dead show {delivery} --integration {one}"
        return [show] if located.problem else [f"courier dead replay {delivery} --integration {one}{removed}", show]
    if located.place is not Place.WAITING:
        return []
    release = [f"courier release {one}"] if is_held(located, state.now_ms) else []
    return release + ([f"courier resume {one}"] if state.statuses[case.integration.id].paused_ms else [])
