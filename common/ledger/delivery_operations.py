"""The operations that move a delivery from the backlog to a worker and to its end: release, begin, settle, reap."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from common.connection.errors import as_ledger_errors
from common.errors import LedgerDamaged, UnreadableRecord
from common.ledger.base import LedgerBase, release_calls, to_ms
from common.ledger.calls import undamaged
from common.ledger.damage import unless_damaged
from common.ledger.enums import BreakerState
from common.ledger.keys import groups_key, keys_of, keys_with_limits, notification_keys
from common.ledger.record import decode_record, id_bytes, id_text
from common.ledger.types import REAP_LIMIT, Begin, Reap, Reaped, Release, Settle, Settled

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from redis.client import Pipeline

    from common.ledger.record import Delivery


class DeliveryOperations(LedgerBase):
    """Releases deliveries, leases them to workers, records their outcomes and returns those whose worker is gone."""

    # -- from waiting to Celery, and back

    def non_empty(self, integration_ids: Collection[str]) -> set[str]:
        """Return the integrations with a waiting or released delivery or an open group, in one round trip."""
        with as_ledger_errors(), self._redis.pipeline(transaction=False) as pipe:
            for integration_id in integration_ids:
                keys = keys_of(integration_id)
                pipe.exists(keys.waiting, keys.released)
                pipe.zcard(groups_key(integration_id))
            found = iter(pipe.execute(raise_on_error=False))
        numbers = {i: (next(found), next(found)) for i in integration_ids}
        for deliveries, _ in numbers.values():
            unless_damaged(deliveries, 0)  # raises what concerns the server
        # A Redis user of an older version may not read groups: then there are none.
        return {i for i, found in numbers.items() if any(number and isinstance(number, int) for number in found)}

    def release_all(self, wanted: Mapping[str, Release]) -> dict[str, list[list[str]]]:
        """Move deliveries that may be sent now to released. Return the ids of each task to publish, by integration."""
        return self._tasks(self._calls.run_all("release", release_calls(wanted)))

    def overdue(self, integration_ids: Collection[str]) -> dict[str, list[str]]:
        """Return released deliveries that no worker began before their lease expired, up to REAP_LIMIT each.

        It takes two round trips for all integrations. Integrations without such deliveries are left out.
        """
        now_ms = self.now_ms()
        expired = self._calls.ask_all({i: partial(_expired, keys_of(i).released, now_ms) for i in integration_ids})
        expired = {i: ids for i, ids in expired.items() if ids}
        begun = self._calls.ask_all({i: partial(_hmget, keys_of(i).leases, ids) for i, ids in expired.items()})
        free = {
            i: [id_text(one) for one, token in zip(expired[i], tokens, strict=True) if token is None]
            for i, tokens in begun.items()
        }
        return {i: ids for i, ids in free.items() if ids}

    def leases(self, integration_id: str) -> dict[str, str]:
        """Return the lease token of each begun delivery, by delivery id."""
        (held,) = self._calls.ask(integration_id, lambda pipe: pipe.hgetall(keys_of(integration_id).leases))
        return {id_text(i): id_text(token) for i, token in held.items()}

    def expire(self, integration_id: str, held: Mapping[str, str]) -> None:
        """Expire leases (token by delivery id) now because their worker is gone. The next reap handles them."""
        self.renew(integration_id, held, lease_s=0)

    def reap_all(self, wanted: Mapping[str, Reap]) -> dict[str, Reaped]:
        """Return deliveries with an expired lease to waiting, except those whose task is still in the queue."""
        calls = {i: _reap_call(i, terms) for i, terms in wanted.items()}
        return {i: Reaped(*result) for i, result in self._calls.run_all("reap", calls).items()}

    # -- for workers

    def begin_all(self, wanted: Mapping[str, Begin], *, token: str) -> dict[str, list[Delivery]]:
        """Take the lease of every id that is released and that no worker has begun, in one round trip.

        Return those deliveries by integration, without damaged integrations. If an integration is blocked, its
        deliveries return to waiting instead. A delivery whose record cannot be read becomes a dead letter and is left
        out.
        """
        calls = {i: (keys_with_limits(i, terms.limits.target), terms.script_args(token)) for i, terms in wanted.items()}
        (results,) = self._calls.run_in_order([("begin", calls)])
        begun: dict[str, list[Delivery]] = {}
        for integration_id, result in results.items():
            with suppress(LedgerDamaged):
                begun[integration_id] = self._begun(integration_id, wanted[integration_id].ids, undamaged(result))
        return begun

    def _begun(self, integration_id: str, ids: Sequence[str], result: Sequence[Any]) -> list[Delivery]:
        now_ms, last_success_ms, *records = result
        begun: list[Delivery] = []
        unreadable: list[str] = []
        for delivery_id, record in zip(ids, records, strict=True):
            if record:
                try:
                    begun.append(decode_record(delivery_id, record, now_ms, last_success_ms))
                except UnreadableRecord:
                    unreadable.append(delivery_id)
        if unreadable:
            self._bury_unreadable(integration_id, unreadable)
        return begun

    def renew(self, integration_id: str, held: Mapping[str, str], *, lease_s: float) -> None:
        """Extend the leases (token by delivery id) of a worker, in one round trip."""
        pairs = [id_bytes(part) for pair in held.items() for part in pair]
        self._calls.run("renew", integration_id, to_ms(lease_s), *pairs)

    def settle_all(self, wanted: Mapping[str, Settle], *, token: str) -> dict[str, Settled | LedgerDamaged]:
        """Record the outcomes of begun deliveries, the events that they caused and the health of the targets.

        It takes one round trip for all integrations. The result of a damaged integration is a LedgerDamaged.
        """
        settles = {i: (_settle_keys(i, terms), terms.script_args(token)) for i, terms in wanted.items()}
        releases = {i: terms.release for i, terms in wanted.items() if terms.release}
        results, released = self._calls.run_in_order([("settle", settles), ("release", release_calls(releases))])
        tasks = self._tasks(released)
        return {
            i: result if isinstance(result, LedgerDamaged) else _settled(result, tasks.get(i, []))
            for i, result in results.items()
        }


def _settle_keys(integration_id: str, terms: Settle) -> list[str]:
    fallback = terms.notifications.fallback
    return [*keys_with_limits(integration_id, terms.limits.target), *notification_keys(fallback)]


def _settled(result: Sequence[Any], tasks: list[list[str]]) -> Settled:
    count, breaker, until_ms, paused_until_ms, blocked, waiting = result
    return Settled(
        count=count,
        breaker=BreakerState(breaker.decode()) if breaker else None,
        until_ms=until_ms,
        paused_until_ms=paused_until_ms,
        is_blocked=bool(blocked),
        is_waiting=bool(waiting),
        tasks=tasks,
    )


def _reap_call(integration_id: str, terms: Reap) -> tuple[list[str], list[str | bytes | float]]:
    return [*keys_of(integration_id), *notification_keys(terms.notifications.fallback)], terms.script_args()


def _hmget(key: str, fields: Sequence[bytes], pipe: Pipeline) -> None:
    pipe.hmget(key, fields)


def _expired(released: str, now_ms: int, pipe: Pipeline) -> None:
    pipe.zrange(released, "-inf", now_ms, byscore=True, offset=0, num=REAP_LIMIT)
