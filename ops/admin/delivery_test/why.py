"""Why a test delivery has not been sent yet, as text for an operator."""

from __future__ import annotations

from typing import TYPE_CHECKING

from common.health.checks import HEARTBEAT_TIMEOUT_S
from common.reports.worker import fetch_all_worker_reports
from ops.admin.hold_reason import hold_reason
from ops.admin.terminal import plain, pluralize

if TYPE_CHECKING:
    from collections.abc import Iterator

    from common.ledger import Position
    from ops.admin.session import LedgerSession

MAX_WORKERS_NAMED = 5


def why_not_sent(session: LedgerSession, integration_id: str, position: Position) -> str:
    """Return everything that holds the delivery back, most important first; empty if nothing is known."""
    return ", ".join(_reasons(session, integration_id, position))


def _reasons(session: LedgerSession, integration_id: str, position: Position) -> Iterator[str]:
    if position.is_begun:
        yield "a worker has begun it and waits for the target"
        return
    now_ms = session.ledger.now_ms()
    status = session.ledger.status(integration_id)
    if held := hold_reason(status, now_ms):
        yield held
    if not_served := _not_served(session, integration_id, now_ms):
        yield not_served
    if position.ahead:
        yield f"{pluralize(position.ahead, 'delivery')} ahead of it"
    if position.ahead is None and not not_served:
        yield "its task is in the queue, and no worker has begun it"
    elif status.released:
        yield f"{status.released} in flight"


def _not_served(session: LedgerSession, integration_id: str, now_ms: int) -> str:
    """Return that no worker serves the integration, '' if one does or if a worker does not say what it serves."""
    reports = fetch_all_worker_reports(session.client)
    alive = {n: one for n, one in reports.items() if now_ms - one.seen_ms <= 1000 * HEARTBEAT_TIMEOUT_S}
    if not alive:
        return "no worker is running"
    if any(one.serves is None or integration_id in one.serves for one in alive.values()):
        return ""
    names = ", ".join([*sorted(alive)[:MAX_WORKERS_NAMED], *(["…"] if len(alive) > MAX_WORKERS_NAMED else [])])
    return f"no running worker serves it (running: {plain(names)})"
