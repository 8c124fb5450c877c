"""What the forms of the dead-letter pages say: which letters, by filter or one by one."""

from __future__ import annotations

from http import HTTPStatus
from itertools import islice
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote

from common.errors import CourierError
from common.settings.units import parse_duration
from ops.admin.dead_letters import Filter, find, find_one
from ops.console.handler import PageError
from ops.console.pages.query import Query

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ops.admin.dead_letters import FoundLetter
    from ops.admin.session import LedgerSession
    from ops.console.handler import PageHandler

MAX_SCANNED: Final = 20_000
"""Letters that one request reads at most: a filter may match few of many."""

CHUNK: Final = 100
"""Letters that one command reads: fewer than a command line's, because several visitors may read at once."""


class LetterQuery(Query, frozen=True, kw_only=True):
    """The filter. Ages are texts such as `2h`.

    `failure` is the reason of the last attempt. `reason` is the one of a change, on all pages.
    """

    integration: str = ""
    failure: str = ""
    rule: str = ""
    id: str = ""
    newer: str = ""
    older: str = ""

    @property
    def filter(self) -> Filter:
        """The filter of `ops.admin.dead_letters`. Raises CourierError for an invalid age."""
        return Filter(
            deliveries=_words(self.id),
            reasons=_words(self.failure),
            rules=_words(self.rule),
            older_s=_age(self.older, "older than"),
            newer_s=_age(self.newer, "newer than"),
        )

    def find(self, session: LedgerSession, *, limit: int | None = MAX_SCANNED) -> Iterator[FoundLetter]:
        """Yield the letters that match, among the first `limit` of all, or among all. Raises CourierError."""
        ids = session.resolve_for_query([self.integration] if self.integration else [])
        wanted, now_ms = self.filter, session.ledger.now_ms()
        for found in islice(find(session.ledger, ids, Filter(), chunk=CHUNK), limit):
            if wanted.matches(found.letter, now_ms):
                yield found


def keys_of(handler: PageHandler) -> list[str]:
    """Return the keys of the letters that the form selects with `letter`; none if it has `all`, the whole filter."""
    keys = [] if handler.text("all") else handler.get_arguments("letter")
    if not keys and not handler.text("all"):
        raise PageError(HTTPStatus.BAD_REQUEST, "no dead letter is selected")
    return keys


def key_of(found: FoundLetter) -> str:
    """Return the text that names a letter in forms and addresses; ids may have any characters."""
    return f"{found.integration_id} {quote(found.letter.delivery.id, safe=':@', errors='surrogateescape')}"


def find_keys(session: LedgerSession, keys: Sequence[str]) -> Iterator[FoundLetter]:
    """Yield the letters with these keys that are still there."""
    pairs = (key.partition(" ") for key in keys)
    for integration_id, _, quoted in pairs:
        if integration_id in session.listed:
            found = find_one(session.ledger, integration_id, unquote(quoted, errors="surrogateescape"))
            if found:
                yield found


def selected(
    session: LedgerSession, query: LetterQuery, keys: Sequence[str], *, until_ms: int, limit: int | None = MAX_SCANNED
) -> Iterator[FoundLetter]:
    """Yield the letters with these keys, or without keys those among `limit` that match and died until `until_ms`."""
    if keys:
        return find_keys(session, keys)
    return (one for one in query.find(session, limit=limit) if one.letter.died_ms <= until_ms)


def _words(text: str) -> frozenset[str]:
    return frozenset(text.replace(",", " ").split())


def _age(text: str, field: str) -> float | None:
    try:
        return parse_duration(text) if text else None
    except ValueError as error:
        raise CourierError(f"{field}: {text!r} {error}; write 30m, 2h or 3d") from None
