"""What Redis knows about an alert. Everything that does not depend on the alert is read once."""

from __future__ import annotations

import re
from itertools import islice
from operator import attrgetter
from typing import TYPE_CHECKING, Final, NamedTuple

from common.digest import PREFIX, is_digest
from common.errors import LedgerDamaged
from common.ledger import Folded, HistoryEntry
from common.reports.producer import fetch_producer_report
from common.reports.worker import fetch_worker_names
from common.silences import fetch_counts, fetch_silences, read_silences
from ops.admin.explain.subject import id_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from common.ledger import Located, Status
    from common.ledger.record import Delivery
    from common.registry.entries import CatalogueEntry
    from common.reports.producer import ProducerReport
    from common.silences import SilenceCounts
    from ops.admin.session import LedgerSession

    Ended = dict[str, list[HistoryEntry]]


ENDED_TOTALS: Final = ("delivered", "skipped", "discarded", "expired", "moved")
"""Counters of deliveries that left an integration for good. While all are 0, the ledger has forgotten none."""

RECORDED_TOTALS: Final = (*ENDED_TOTALS, "dead")
"""Counters of what is an entry of the history."""

MAX_COUNTED: Final = 2_000
"""Entries that are counted, about 10 ms; an integration with more ends may have lost some."""

MAX_HISTORY: Final = 200_000
"""Entries that are read for one question, about 50 MB."""

_PLAIN: Final = re.compile(r"[A-Za-z0-9 ._-]+")

MAX_RECORDS: Final = 20_000
"""Queued deliveries that are read for an alert id that nothing else knows."""


class LedgerState:
    """What one report needs of Redis. All methods raise LedgerUnavailable or LedgerMisconfigured."""

    def __init__(
        self, session: LedgerSession, ids: Collection[str], node: str, *, max_history: int = MAX_HISTORY
    ) -> None:
        """`ids` are the integrations of the configuration, `node` is the manager whose log is read.

        At most `max_history` entries of the history are read for one question.
        """
        self._session, self._max_history = session, max_history
        ledger = session.ledger
        self.ids: Sequence[str] = tuple(dict.fromkeys((*ids, *session.ids)))
        self.now_ms = ledger.now_ms()
        self.statuses: Mapping[str, Status] = ledger.statuses(self.ids)
        self.producer: ProducerReport = fetch_producer_report(session.client, node).report
        self.workers: Mapping[str, str] = fetch_worker_names(session.client)
        self.limits = set[str]()
        """What was not searched, because there is too much of it."""
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

    def ended(self, delivery: str, since_ms: int) -> tuple[Ended, Ended]:
        """Return how the deliveries of an alert ended, and all digests, by integration, the oldest first.

        They are found by the id of the delivery: the history may have the alert's own id cut, or not at all.
        """
        found: Ended = {}
        digests: Ended = {}
        wanted = (one for one in self._entries(since_ms) if one.delivery.startswith((delivery, PREFIX)))
        for one in sorted(wanted, key=attrgetter("order")):
            if one.delivery == delivery or one.delivery.startswith(f"{delivery}+"):
                found.setdefault(one.integration, []).append(one)
            elif is_digest(one.delivery):
                digests.setdefault(one.integration, []).append(one)
        return found, digests

    def find_folded(self, integration_id: str, group: str) -> Folded:
        """Return what the ledger holds of a group of alerts; nothing if its keys are damaged."""
        try:
            return self._session.ledger.find_folded(integration_id, group)
        except LedgerDamaged:  # `Status.damaged` names the keys
            return Folded((), None)

    def ended_about(self, wanted: str, since_ms: int) -> list[HistoryEntry]:
        """Return the ends of deliveries that are about the id of an alert or of a delivery, the oldest first."""
        return sorted((one for one in self._entries(since_ms) if one.is_about(wanted)), key=attrgetter("order"))

    def held_about(self, alert_id: str) -> dict[str, list[Delivery]]:
        """Return the deliveries whose alert has this id, by integration, among the first MAX_RECORDS of the ledger."""
        found: dict[str, list[Delivery]] = {}
        # JSON can have other characters of the id as escapes.
        plain = max(_PLAIN.findall(alert_id), key=len, default="").encode()
        left = MAX_RECORDS
        for one in self.ids:
            for page in self._session.ledger.search_records(one, plain):
                left -= page.number
                if about := [delivery for delivery in page.found if id_of(delivery.alert) == alert_id]:
                    found.setdefault(one, []).extend(about)
                if left <= 0:
                    self.limits.add(f"only the first {MAX_RECORDS:,} queued deliveries were searched for this id")
                    return found
        return found

    def _entries(self, since_ms: int) -> Iterator[HistoryEntry]:
        """Yield entries since a time, the oldest first; without a time, of all, the newest first."""
        newest_first = not since_ms
        found = self._session.ledger.history(self.ids, since_ms=since_ms, newest_first=newest_first)
        for number, one in enumerate(found):
            if number == self._max_history:
                which = "newest" if newest_first else "first"
                self.limits.add(f"only the {which} {self._max_history:,} entries of the history were searched")
                return
            if isinstance(one, HistoryEntry):
                yield one

    def history_begins_ms(self, integration_id: str) -> int | None:
        """Return when the oldest entry of an integration's history ended; None if it has none."""
        first = next(self._session.ledger.history([integration_id], chunk=1), None)
        return first.ended_ms if isinstance(first, HistoryEntry) else None  # an unreadable entry has no time

    def knows_all_since(self, integration_id: str, at_ms: int) -> bool:
        """Return whether Redis still knows every delivery that ended since then."""
        begins_ms = self.history_begins_ms(integration_id)
        if begins_ms is not None and begins_ms < at_ms:
            return True
        totals = self.statuses[integration_id].totals
        if not any(totals.get(name) for name in ENDED_TOTALS):
            return True
        # A history with an entry for each end since the first one has lost none to history_max and history_max_age.
        recorded = sum(totals.get(name, 0) for name in RECORDED_TOTALS)
        entries = islice(self._session.ledger.history([integration_id]), MAX_COUNTED)
        return recorded <= MAX_COUNTED and sum(1 for _ in entries) >= recorded


class Answer(NamedTuple):
    """What Redis knows of one alert: held and ended deliveries by integration. `digests` are all that ended since."""

    state: LedgerState
    held: Mapping[str, Sequence[Located]]
    ended: Mapping[str, Sequence[HistoryEntry]]
    digests: Mapping[str, Sequence[HistoryEntry]]
