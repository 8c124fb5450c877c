"""The producer's operations: cursors, and commits of new deliveries."""

from __future__ import annotations

from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from common.errors import LedgerDamaged
from common.ledger.base import LedgerBase, release_calls
from common.ledger.commit_types import Closed, Commit, CommitResult, Full, Stale, Stored
from common.ledger.keys import cursor_key, digest_key, groups_key, keys_of, keys_with_cursor, silenced_key
from common.ledger.record import id_text, to_int

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from redis.client import Pipeline

    from common.ledger.scripts import Call
    from common.ledger.types import Release


NO_COUNTERS: Final[Mapping[str, int]] = MappingProxyType({})


class CommitOperations(LedgerBase):
    """Stores deliveries together with the cursor behind them."""

    def cursor(self, integration_id: str, node: str) -> str:
        """Return the committed cursor of a node, '' if there is none."""
        (held,) = self._calls.ask(
            integration_id, lambda pipe: pipe.hget(cursor_key(integration_id), node), keys=keys_with_cursor
        )
        return id_text(held or b"")

    def cursors(self, integration_ids: Sequence[str], node: str) -> dict[str, str]:
        """Return the committed cursors of a node by integration, '' where there is none, in one round trip.

        An integration whose cursors cannot be read is left out.
        """
        found = self._calls.ask_all(
            {i: partial(_hget, cursor_key(i), node) for i in integration_ids}, keys=keys_with_cursor
        )
        return {i: id_text(held or b"") for i, held in found.items()}

    def forget_cursor(self, integration_id: str, node: str) -> None:
        """Delete the cursor of an integration that the node no longer has."""
        self._calls.ask(integration_id, lambda pipe: pipe.hdel(cursor_key(integration_id), node), keys=keys_with_cursor)

    def room(self, integration_id: str, *, max_backlog: int, max_backlog_bytes: int) -> float:
        """Return the free share of the backlog, from 0 to 1: the smaller of the shares by count and by bytes."""
        keys = keys_of(integration_id)

        def add(pipe: Pipeline) -> None:
            pipe.zcard(keys.waiting)
            pipe.zcard(keys.released)
            pipe.hget(keys.totals, "bytes")

        waiting, released, stored_bytes = self._calls.ask(integration_id, add)
        used: float = max((waiting + released) / max_backlog, to_int(stored_bytes) / max_backlog_bytes)
        return max(0.0, 1 - used)

    def commit(
        self,
        integration_id: str,
        *,
        node: str,
        expected: str,
        cursor: str,
        deliveries: Sequence[tuple[str, bytes]],
        max_backlog: int,
        max_backlog_bytes: int,
        replayed: bool = False,
        counters: Mapping[str, int] = NO_COUNTERS,
    ) -> CommitResult:
        """Run one commit of `commit_all`. Also raises LedgerDamaged."""
        terms = Commit(
            node=node,
            expected=expected,
            cursor=cursor,
            deliveries=deliveries,
            max_backlog=max_backlog,
            max_backlog_bytes=max_backlog_bytes,
            replayed=replayed,
            counters=counters,
        )
        keys, arguments = _commit_call(integration_id, terms)
        return _commit_result(self._calls.run("commit", integration_id, *arguments, keys=keys), terms)

    def close_silence(self, integration_id: str, silence_id: str, number: int, delivery_id: str, alert: bytes) -> bool:
        """Queue the closing message of a silence that ended, which says `number`. Also raises LedgerDamaged.

        Return whether it was queued now: not if it was before, or if the silence has counted another alert meanwhile.
        """
        keys = [*keys_of(integration_id), silenced_key(integration_id, silence_id)]
        return bool(self._calls.run("close", integration_id, number, delivery_id, alert, keys=keys))

    def end_groups(self, going_on: Mapping[str, str]) -> None:
        """End the windows of open groups now, by integration: of those whose name begins otherwise than given.

        The next releases close them. Damaged integrations are left out.
        """
        calls: dict[str, Call] = {i: (keys_of(i), [prefix]) for i, prefix in going_on.items()}
        self._calls.run_all("end_groups", calls)

    def commit_all(
        self, commits: Mapping[str, Commit], releases: Mapping[str, Release]
    ) -> tuple[dict[str, CommitResult], dict[str, list[list[str]]]]:
        """Commit for several integrations and then release, in one round trip.

        Each commit stores its deliveries and its cursor in one step, or changes nothing. Return the results of the
        commits, without damaged integrations, and what `release_all` returns.
        """
        committed, released = self._calls.run_in_order(
            [
                ("commit", {i: _commit_call(i, terms) for i, terms in commits.items()}),
                ("release", release_calls(releases)),
            ]
        )
        results = {
            i: _commit_result(result, commits[i])
            for i, result in committed.items()
            if not isinstance(result, LedgerDamaged)
        }
        return results, self._tasks(released)


def _commit_call(integration_id: str, terms: Commit) -> Call:
    silenced = (silenced_key(integration_id, one.id) for one in terms.silenced)
    folded = (groups_key(integration_id), digest_key(integration_id)) if terms.folds else ()
    return [*keys_with_cursor(integration_id), *silenced, *folded], terms.script_args()


def _commit_result(result: list[Any], terms: Commit) -> CommitResult:
    kind, value, *more = result
    match kind:
        case b"ok":
            return Stored(value, *more)
        case b"stale":
            return Stale(id_text(value))
        case b"closed":
            return Closed(terms.silenced[value - 1].id)
        case _:
            return Full(value)


def _hget(key: str, field: str, pipe: Pipeline) -> None:
    pipe.hget(key, field)
