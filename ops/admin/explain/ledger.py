"""What Redis knows about an alert. Everything that does not depend on the alert is read once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from common.reports.producer import fetch_producer_report
from common.reports.worker import fetch_worker_names
from common.silences import fetch_counts, fetch_silences, read_silences

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from common.ledger import Located, Status
    from common.registry.entries import CatalogueEntry
    from common.reports.producer import ProducerReport
    from common.silences import SilenceCounts
    from ops.admin.session import LedgerSession


class Facts(Protocol):
    """What the history knows of the delivery."""

    @property
    def attempts(self) -> int:
        """The number of attempts since the last replay."""


class EndedDelivery(Protocol):
    """One delivery that ended, as the history has it."""

    @property
    def integration(self) -> str:
        """The id of the integration."""

    @property
    def delivery(self) -> str:
        """The id of the delivery."""

    @property
    def outcome(self) -> str:
        """How it ended, such as `delivered`."""

    @property
    def reason(self) -> str:
        """Why, empty for a delivery."""

    @property
    def ended_ms(self) -> int:
        """When it ended, in ms since the epoch."""

    @property
    def facts(self) -> Facts:
        """What is known of the delivery."""


class History(Protocol):
    """All that is needed of the history of ended deliveries."""

    def find_in_history(
        self, integration_ids: Collection[str], wanted: str, *, since_ms: int = 0
    ) -> Iterator[EndedDelivery]:
        """Yield the entries of a delivery or an alert by its id, the oldest first."""

    def history(self, integration_ids: Collection[str], *, chunk: int = ...) -> Iterator[Any]:
        """Yield all entries, the oldest first."""


class LedgerState:
    """What one report needs of Redis. All methods raise LedgerUnavailable or LedgerMisconfigured."""

    def __init__(self, session: LedgerSession, ids: Collection[str], node: str, history: History | None = None) -> None:
        """`ids` are the integrations of the configuration, `node` is the manager whose log is read."""
        self._session, self._history = session, history
        ledger = session.ledger
        self.ids: Sequence[str] = tuple(dict.fromkeys((*ids, *session.ids)))
        self.now_ms = ledger.now_ms()
        self.statuses: Mapping[str, Status] = ledger.statuses(self.ids)
        self.producer: ProducerReport = fetch_producer_report(session.client, node).report
        self.workers: Mapping[str, str] = fetch_worker_names(session.client)
        self.silences = tuple(read_silences(fetch_silences(session.client)).silences.values())

    def locate(self, delivery: str) -> dict[str, list[Located]]:
        """Return what the ledger holds of the alert with this delivery id, by integration.

        These are its deliveries, those that were moved to another integration, and those that went to a fallback.
        """
        fallbacks = {one: f"{delivery}+fallback:{one}" for one in self.ids}
        wanted = {i: [delivery, *(id_ for one, id_ in fallbacks.items() if one != i)] for i in self.ids}
        return self._session.ledger.locate(wanted)

    def locate_exactly(self, delivery: str) -> dict[str, list[Located]]:
        """Return the deliveries with exactly this id, by integration."""
        return self._session.ledger.locate({one: [delivery] for one in self.ids})

    @property
    def listed(self) -> Mapping[str, CatalogueEntry]:
        """Every integration that was ever published, by id."""
        return self._session.listed

    def silence_counts(self, integration_id: str, silence_id: str) -> SilenceCounts | None:
        """Return what a silence kept from an integration; None if it kept nothing."""
        pair = (integration_id, silence_id)
        return fetch_counts(self._session.client, [pair]).get(pair)

    def is_removed(self, integration_id: str) -> bool:
        """Return whether an integration was removed from every ossec.conf."""
        listed = self.listed.get(integration_id)
        return bool(listed and listed.removed)

    def name(self, integration_id: str) -> str:
        """Return the name of an integration that is not configured here."""
        listed = self.listed.get(integration_id)
        return listed.name if listed else ""

    def ended(self, delivery: str, alert_id: str, since_ms: int) -> dict[str, list[EndedDelivery]]:
        """Return how the deliveries of an alert ended, by integration, the oldest first."""
        found: dict[str, list[EndedDelivery]] = {}
        if self._history and delivery:
            for one in self._history.find_in_history(self.ids, alert_id or delivery, since_ms=since_ms):
                if one.delivery == delivery or one.delivery.startswith(f"{delivery}+"):
                    found.setdefault(one.integration, []).append(one)
        return found

    def history_begins_ms(self, integration_id: str) -> int | None:
        """Return when the oldest entry of an integration's history ended; None if it has none."""
        entries = self._history.history([integration_id], chunk=1) if self._history else iter(())
        first = next(entries, None)
        return getattr(first, "ended_ms", None)  # an unreadable entry has no time


class Answer(NamedTuple):
    """What Redis knows of one alert: held and ended deliveries by integration."""

    state: LedgerState
    held: Mapping[str, Sequence[Located]]
    ended: Mapping[str, Sequence[EndedDelivery]]
