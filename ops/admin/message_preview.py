"""What an integration would send for one real alert: of its backlog, its dead letters or the alert log."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Final

import msgspec

from common.conditions.values import text_of
from common.delivery_test import is_test
from common.errors import CourierError
from ops.admin.check.recent import last_lines
from ops.admin.delivery_test.alert import sample_alert
from ops.admin.render import Rendered, Renderer
from producer.filters.decode import InvalidAlert
from producer.filters.index import FilterIndex
from workers.alert.alert import Alert

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from common.integration import Integration
    from common.settings.load import Settings
    from common.settings.schema import Policy
    from ops.admin.session import LedgerSession

MAX_LINES: Final = 20_000
LIMIT_S: Final = 0.5
"""How much of the end of the alert log is searched, and how long."""

IN_LOG: Final = "alert log"
SAMPLE: Final = "test alert"


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """What would be sent for an alert. `source` says where it is from: waiting, released, dead, IN_LOG or SAMPLE.

    `rendered` is null if the alert or the settings cannot be used; `problem` says why. Secrets are masked.
    """

    source: str
    alert_id: str
    rendered: Rendered | None = None
    problem: str = ""


def preview_message(
    session: LedgerSession,
    settings: Settings,
    integration: Integration,
    policy: Policy,
    *,
    clock: Callable[[], float],
) -> Preview:
    """Return what the integration would send for the first real alert that is found, else for that of `courier test`.

    `clock` is monotonic, in seconds. Raises LedgerUnavailable, LedgerMisconfigured or LedgerDamaged.
    """
    source, alert = next(_alerts(session, settings, integration, clock))
    try:
        alert_id = text_of(alert.fields.get("id", "")) or ""
    except ValueError as error:
        return Preview(source=source, alert_id="", problem=str(error))
    try:
        rendered = Renderer(integration, policy, settings.worker).render(alert)
    except CourierError as error:
        return Preview(source=source, alert_id=alert_id, problem=str(error))
    return Preview(source=source, alert_id=alert_id, rendered=rendered)


def _alerts(
    session: LedgerSession, settings: Settings, integration: Integration, clock: Callable[[], float]
) -> Iterator[tuple[str, Alert]]:
    for one in session.ledger.examples(integration.id):
        if not one.problem and not is_test(one.delivery.id):
            yield one.place, Alert(one.delivery.alert, one.delivery.id)
    if raw := _newest_in_log(settings, integration, clock):
        yield IN_LOG, Alert(raw)
    yield SAMPLE, Alert(sample_alert(datetime.now(UTC), node=settings.producer.node))


def _newest_in_log(settings: Settings, integration: Integration, clock: Callable[[], float]) -> bytes | None:
    """Return the newest alert that the integration matches; None if there is none near the end of a readable log."""
    try:
        index = FilterIndex([integration], settings.conditions)
        lines = islice(last_lines(settings.producer.alerts, clock() + LIMIT_S, clock), MAX_LINES)
        return next((raw for raw in lines if _matches(index, raw)), None)
    except (OSError, ValueError, CourierError):  # no log here; conditions with names that this machine does not have
        return None


def _matches(index: FilterIndex, raw: bytes) -> bool:
    try:
        return bool(index.match(raw))
    except InvalidAlert:
        return False
