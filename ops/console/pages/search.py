"""Search in the history: what became of the deliveries that ended. `courier history --json` has the same entries."""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, NamedTuple

from common.errors import CourierError
from common.ledger import HistoryOutcome
from ops.admin.explain.search import is_alert_id
from ops.admin.history import FIELDS, Selection, entry_json, matcher
from ops.admin.history_search import HistoryPage, PagePlace, read_page, words_matcher
from ops.admin.times import parse_time
from ops.console.handler import PageHandler
from ops.console.pages.query import Query

if TYPE_CHECKING:
    from common.ledger import HistoryEntry
    from ops.admin.session import LedgerSession

PAGE: Final = 100
"""Entries on one page."""


class HistoryQuery(Query, frozen=True, kw_only=True):
    """The conditions for entries. `page` is where a page begins."""

    integration: str = ""
    outcome: str = ""
    alert: str = ""
    rule: str = ""
    agent: str = ""
    match: str = ""
    since: str = ""
    until: str = ""
    page: str = ""

    @property
    def selection(self) -> Selection:
        """The conditions for an entry. Raises CourierError for a field that cannot be read."""
        try:
            return Selection(
                outcomes=frozenset([self.outcome] if self.outcome else []),
                alert=self.alert,
                rule=words_matcher(self.rule),
                agent=words_matcher(self.agent),
                condition=matcher(self.match, where="condition") if self.match else None,
            )
        except ValueError as error:
            raise CourierError(f"rule or agent: {error}") from None

    def time_ms(self, field: str, now_ms: int) -> int | None:
        """Return the time in a field in ms since the epoch, None if it is empty. Raises CourierError."""
        text: str = getattr(self, field)
        if not text:
            return None
        try:
            moment = parse_time(text, datetime.fromtimestamp(now_ms / 1000, UTC), zone=UTC)
        except ValueError:
            raise CourierError(f"{field}: {text!r} is not a time; use 2h (ago) or 2026-01-31T08:00:00Z") from None
        return max(0, round(moment.timestamp() * 1000))

    @property
    def place(self) -> PagePlace | None:
        """Where the page begins, None for the newest entries. Raises CourierError."""
        try:
            return PagePlace.parse(self.page) if self.page else None
        except ValueError as error:
            raise CourierError(f"page: {self.page!r} {error}") from None


class SearchPage(PageHandler):
    """`/search`: the newest entries that match, and a link to the next page."""

    async def show(self) -> None:
        """Show the form and what it finds. What cannot be read is said above the form, which keeps what was written."""
        query = HistoryQuery.of(self)
        searched = await self.console.read(lambda session: _search(session, query))
        if searched.error:
            self.set_status(HTTPStatus.BAD_REQUEST)
        self.render_page(
            "search.html",
            query=query,
            error=searched.error,
            found=searched.page,
            entries=[entry_json(one) | {"wanted": _wanted(one)} for one in searched.page.entries],
            integrations=searched.integrations,
            outcomes=[one.value for one in HistoryOutcome],
            names=FIELDS,
        )


def _wanted(entry: HistoryEntry) -> str:
    """Return the id for the address of the alert: its own if it has the manager's form, which also holds its time."""
    return entry.facts.alert_id if is_alert_id(entry.facts.alert_id) else entry.delivery


class Searched(NamedTuple):
    """A page of the history, or why the form cannot be read; and all integrations."""

    page: HistoryPage
    error: str
    integrations: tuple[str, ...]


def _search(session: LedgerSession, query: HistoryQuery) -> Searched:
    now_ms = session.ledger.now_ms()
    try:
        ids = session.resolve_for_query([query.integration] if query.integration else [])
        wanted, place = query.selection, query.place
        since_ms, until_ms = query.time_ms("since", now_ms), query.time_ms("until", now_ms)
    except CourierError as error:
        return Searched(HistoryPage([], 0, None, []), str(error), session.ids)
    page = read_page(session.ledger, ids, wanted, since_ms=since_ms or 0, until_ms=until_ms, place=place, size=PAGE)
    return Searched(page, "", session.ids)
