"""What Redis knows about an alert. Everything that does not depend on the alert is read once."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from common.ledger import HistoryEntry
from common.reports.producer import fetch_producer_report
from common.reports.worker import fetch_worker_names
from common.silences import fetch_counts, fetch_silences, read_silences

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from common.ledger import Located, Status
    from common.registry.entries import CatalogueEntry
    from common.reports.producer import ProducerReport
    from common.silences import SilenceCounts
    from ops.admin.session import LedgerSession


class LedgerState:
    """What one report needs of Redis. All methods raise LedgerUnavailable or LedgerMisconfigured."""

    def __init__(self, session: LedgerSession, ids: Collection[str], node: str) -> None:
        """`ids` are the integrations of the configuration, `node` is the manager whose log is read."""
        self._session = session
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

    def ended(self, delivery: str, since_ms: int) -> dict[str, list[HistoryEntry]]:
        """Return how the deliveries of an alert ended, by integration, the oldest first.

        They are found by the id of the delivery: the history may have the alert's own id cut, or not at all.
        """
        found: dict[str, list[HistoryEntry]] = {}
        for one in self._session.ledger.history(self.ids, since_ms=since_ms):
            if isinstance(one, HistoryEntry) and (one.delivery == delivery or one.delivery.startswith(f"{delivery}+")):
                found.setdefault(one.integration, []).append(one)
        return found

    def history_begins_ms(self, integration_id: str) -> int | None:
        """Return when the oldest entry of an integration's history ended; None if it has none."""
        first = next(self._session.ledger.history([integration_id], chunk=1), None)
        return first.ended_ms if isinstance(first, HistoryEntry) else None  # an unreadable entry has no time


class Answer(NamedTuple):
    """What Redis knows of one alert: held and ended deliveries by integration."""

    state: LedgerState
    held: Mapping[str, Sequence[Located]]
    ended: Mapping[str, Sequence[HistoryEntry]]
