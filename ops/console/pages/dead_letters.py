"""The list of dead letters, and one of them in full. `courier dead list --json` and `dead show` have the same data."""

from __future__ import annotations

from http import HTTPStatus
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from common.outcome import Reason
from ops.admin.dead_letter_json import full_letter_json, letter_json
from ops.console.handler import PageError, PageHandler
from ops.console.pages.dead_letter_query import MAX_SCANNED, LetterQuery, find_keys, key_of

if TYPE_CHECKING:
    from ops.admin.session import LedgerSession

PAGE: Final = 100
"""Letters on one page."""


class Listed(NamedTuple):
    """One page of the list: its letters by their keys, whether there are more, and all integrations."""

    letters: dict[str, dict[str, Any]]
    has_more: bool
    total: int
    integrations: tuple[str, ...]
    now_ms: int


class DeadLettersPage(PageHandler):
    """`/dead`: the oldest first, `skip` of them left out."""

    async def show(self) -> None:
        """Show the list."""
        query, skip = LetterQuery.of(self), self.number("skip", highest=MAX_SCANNED)
        listed = await self.console.read(lambda session: _list(session, query, skip))
        self.render_page(
            "dead_letters.html",
            query=query,
            listed=listed,
            skip=skip,
            page=PAGE,
            scanned=MAX_SCANNED,
            reasons=[one.value for one in Reason],
        )


class DeadLetterPage(PageHandler):
    """`/dead/letter?letter=KEY`."""

    async def show(self) -> None:
        """Show the letter: its attempts, the last response and the alert."""
        key = self.text("letter", max_chars=4000)
        letters, now_ms = await self.console.read(
            lambda session: ([full_letter_json(one) for one in find_keys(session, [key])], session.ledger.now_ms())
        )
        if not letters:
            raise PageError(HTTPStatus.NOT_FOUND, "this is no dead letter, or no longer: it was replayed or discarded")
        self.render_page("dead_letter.html", key=key, letter=letters[0], now_ms=now_ms)


def _list(session: LedgerSession, query: LetterQuery, skip: int) -> Listed:
    found = list(islice(query.find(session), skip, skip + PAGE + 1))
    total = sum(status.dead for status in session.ledger.statuses(session.ids).values())
    letters = {key_of(one): letter_json(one) for one in found[:PAGE]}
    return Listed(letters, len(found) > PAGE, total, session.ids, session.ledger.now_ms())
