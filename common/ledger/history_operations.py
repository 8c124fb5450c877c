"""Reads, follows and trims the histories of integrations.

A history whose key has the wrong type is one UnreadableEntry: it stops neither its integration nor another history.
"""

from __future__ import annotations

from functools import partial
from heapq import merge
from typing import TYPE_CHECKING, Any, Final

from common.connection.errors import as_ledger_errors
from common.ledger.base import LedgerBase, to_ms
from common.ledger.damage import is_damage
from common.ledger.history import HistoryEntry, UnreadableEntry, read_entry
from common.ledger.keys import history_key

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from redis.client import Pipeline

CHUNK: Final = 1000
"""Entries that one command reads: about 250 KB."""

AnyEntry = HistoryEntry | UnreadableEntry


class HistoryOperations(LedgerBase):
    """Reads and trims histories. Every method raises LedgerUnavailable or LedgerMisconfigured."""

    def history(
        self,
        integration_ids: Collection[str],
        *,
        since_ms: int = 0,
        until_ms: int | None = None,
        newest_first: bool = False,
        chunk: int = CHUNK,
    ) -> Iterator[AnyEntry]:
        """Yield the entries of all these integrations, the oldest or the newest first.

        They ended from `since_ms` to `until_ms`, both included; None is now. It reads `chunk` entries of an integration
        at a time, so the first ones of a long history come at once.
        """
        newest = "+" if until_ms is None else str(until_ms)
        read = partial(self._history_of, oldest=str(since_ms), newest=newest, newest_first=newest_first, chunk=chunk)
        return merge(*map(read, integration_ids), key=lambda one: one.order, reverse=newest_first)

    def last_history(self, integration_ids: Collection[str], count: int) -> dict[str, list[AnyEntry]]:
        """Return the last `count` entries of each integration, the newest first, in one round trip."""
        return self._ask_histories({i: partial(_page, history_key(i), "-", "+", -count) for i in integration_ids})

    def wait_for_history(self, positions: Mapping[str, str], *, timeout_s: float) -> dict[str, list[AnyEntry]]:
        """Wait until a history has entries behind its position; return them by integration, the oldest first.

        `positions` has the position of the last entry by integration, `0-0` for all entries. Returns nothing after
        `timeout_s`, which must be shorter than SOCKET_TIMEOUT_S of the client. A history whose key has the wrong type
        is one UnreadableEntry: leave it out of the next call.
        """
        by_key = {history_key(one): one for one in positions}
        with as_ledger_errors(), self._redis.pipeline(transaction=False) as pipe:
            pipe.xread(dict(zip(by_key, positions.values(), strict=True)), count=CHUNK, block=to_ms(timeout_s))
            (found,) = pipe.execute(raise_on_error=False)
        if isinstance(found, Exception):
            if not is_damage(found):
                with as_ledger_errors():
                    raise found
            checked = self.last_history(positions, 1)
            return {i: page for i, page in checked.items() if page and not page[0].position}
        return {by_key[key.decode()]: _entries(by_key[key.decode()], page) for key, page in _streams(found)}

    def trim_history(self, integration_id: str, *, max_entries: int, max_age_s: float) -> None:
        """Set the maximum number of entries, which the scripts keep, and delete older ones than `max_age_s`.

        With 0 entries no more are written, and the existing ones are deleted. Raises LedgerDamaged if another program
        wrote to the integration's control; a key of the wrong type in place of the history is left as it is.
        """
        self._calls.run("trim_history", integration_id, max_entries, to_ms(max_age_s))

    def _history_of(
        self, integration_id: str, *, oldest: str, newest: str, newest_first: bool, chunk: int
    ) -> Iterator[AnyEntry]:
        key = history_key(integration_id)
        while True:
            page = partial(_page, key, oldest, newest, chunk if not newest_first else -chunk)
            entries = self._ask_histories({integration_id: page})[integration_id]
            yield from entries
            if len(entries) < chunk:
                return
            if newest_first:
                newest = f"({entries[-1].position}"
            else:
                oldest = f"({entries[-1].position}"

    def _ask_histories(self, commands: Mapping[str, Callable[[Pipeline], object]]) -> dict[str, list[AnyEntry]]:
        """Run one reading command for each integration in one round trip, and return the entries."""
        with as_ledger_errors(), self._redis.pipeline(transaction=False) as pipe:
            for add in commands.values():
                add(pipe)
            found = pipe.execute(raise_on_error=False)
            _raise_unless_damage(found)
        return {
            i: [_wrong_type(i)] if isinstance(page, Exception) else _entries(i, page)
            for i, page in zip(commands, found, strict=True)
        }


def _page(key: str, oldest: str, newest: str, count: int, pipe: Pipeline) -> None:
    """Read `count` entries from the oldest one, or `-count` from the newest one."""
    if count > 0:
        pipe.xrange(key, oldest, newest, count=count)
    else:
        pipe.xrevrange(key, newest, oldest, count=-count)


def _entries(integration_id: str, page: Sequence[tuple[bytes, dict[bytes, bytes] | None]]) -> list[AnyEntry]:
    return [read_entry(integration_id, position, fields) for position, fields in page]


def _wrong_type(integration_id: str) -> UnreadableEntry:
    key = history_key(integration_id)
    problem = f"{key} in Redis is not a stream, so no history is kept; another program wrote it: delete it (DEL {key})"
    return UnreadableEntry(integration=integration_id, position="", problem=problem)


def _raise_unless_damage(results: Sequence[Any]) -> None:
    """Raise the first error that is not about the value of a key."""
    for one in results:
        if isinstance(one, Exception) and not is_damage(one):
            raise one


def _streams(found: Any) -> list[tuple[bytes, list[Any]]]:
    """Return the streams of a reply to XREAD: a map in RESP3, a list in RESP2, None after the time-out."""
    if isinstance(found, dict):
        return [(key, page[0] if page and isinstance(page[0], list) else page) for key, page in found.items()]
    return list(found or [])
