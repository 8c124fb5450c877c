"""Why a delivery waits: a list of reasons, one function each. To add a reason, write a function and add it to REASONS.

Each function returns a text, empty if that reason does not apply. All that apply are shown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ops.admin.explain.case import moment
from ops.admin.hold_reason import hold_reason
from ops.admin.terminal import pluralize

if TYPE_CHECKING:
    from collections.abc import Callable

    from common.ledger import Located
    from ops.admin.explain.case import Case
    from ops.admin.explain.ledger import LedgerState

    WaitingReason = Callable[[Case, Located, LedgerState], str]


def waiting_reasons(case: Case, located: Located, state: LedgerState) -> list[str]:
    """Return every reason why a waiting delivery has not been sent yet; at least one."""
    found = [text for reason in REASONS if (text := reason(case, located, state))]
    return found or ["nothing holds it back: it is released within a second"]


def retry_is_due_later(_case: Case, located: Located, state: LedgerState) -> str:
    """An attempt failed, and the next one is due later."""
    header = located.delivery.header
    failed = header.attempts - header.lost_attempts
    if located.due_ms <= state.now_ms or failed <= 0:
        return ""
    last = f", the last one {header.history[-1].reason}" if header.history else ""
    return f"its retry is due {moment(located.due_ms, state.now_ms)}, after {pluralize(failed, 'failed attempt')}{last}"


def held_by_a_window(case: Case, located: Located, state: LedgerState) -> str:
    """It is held until the end of a window."""
    if not is_held(located, state.now_ms):
        return ""
    hold = case.integration.hold
    window = f" (hold, window {hold.window})" if hold else ""
    return f"held until {moment(located.due_ms, state.now_ms)}{window}"


def is_held(located: Located, now_ms: int) -> bool:
    """Return whether a waiting delivery is due only at the end of its hold; an operator can end that earlier."""
    return located.due_ms > now_ms and located.due_ms == located.delivery.header.held_until_ms


def first_attempt_is_due_later(_case: Case, located: Located, state: LedgerState) -> str:
    """No attempt failed since the last replay, and the next one is due later."""
    header = located.delivery.header
    if located.due_ms <= state.now_ms or header.attempts > header.lost_attempts or is_held(located, state.now_ms):
        return ""
    what = "it was replayed and is" if header.replays else "it is"
    return f"{what} due {moment(located.due_ms, state.now_ms)}"


def integration_is_held_back(case: Case, _located: Located, state: LedgerState) -> str:
    """The operator's pause, the breaker, the pause of the target, a rate limit, or damaged keys."""
    return hold_reason(state.statuses[case.integration.id], state.now_ms)


def too_many_are_in_flight(case: Case, located: Located, state: LedgerState) -> str:
    """As many deliveries are released as `max_in_flight` allows."""
    released = state.statuses[case.integration.id].released
    if located.due_ms > state.now_ms or released < case.policy.max_in_flight:
        return ""
    return f"{released:,} deliveries are released or in flight, as many as max_in_flight allows"


def no_worker_runs(_case: Case, _located: Located, state: LedgerState) -> str:
    """No worker process reports."""
    return "" if state.workers else "no worker is running: none has reported in the last five minutes"


def others_are_first(_case: Case, located: Located, _state: LedgerState) -> str:
    """Other deliveries are due earlier."""
    verb = "is" if located.before == 1 else "are"
    return f"{pluralize(located.before, 'delivery')} of the integration {verb} due earlier" if located.before else ""


REASONS: Final[tuple[WaitingReason, ...]] = (
    retry_is_due_later,
    held_by_a_window,
    first_attempt_is_due_later,
    integration_is_held_back,
    too_many_are_in_flight,
    no_worker_runs,
    others_are_first,
)
