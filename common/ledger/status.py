"""Reads the state of any number of integrations in two round trips; no writes, no secret key.

The first is one transaction, so that the numbers of deliveries and the counters are those of one moment and add up
(`common.ledger.balance`).

Each command also shows whether its key is damaged: Redis then answers with an error, and the status names the key.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from redis.client import Pipeline

from common.errors import UnreadableRecord
from common.ledger.damage import is_damage, unless_damaged
from common.ledger.enums import BreakerState
from common.ledger.keys import FAILED_OFFSET_MS, cursor_key, digest_key, groups_key, keys_of, limit_keys
from common.ledger.record import decode_record, read_totals, to_int
from common.ledger.remaining_tokens import remaining_tokens
from common.ledger.types import Status
from common.settings.rate_limit import Unit

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from redis import Redis

MAX_SAMPLE: Final = 100
"""Records read to find the oldest waiting delivery: of those due first, and of those due first that have failed. Each
contains a whole alert."""

MAX_RECORDS: Final = 1000
"""The samples of more than ten integrations are smaller, so that a reply contains at most twice as many records."""

MAX_HOLD_ENDS: Final = 30
"""MOST_ENDS in `holds.lua`."""

MIN_SAMPLE: Final = 3
"""The size of the smallest sample, and of the sample of released deliveries."""


class _Read(NamedTuple):
    """A command that reads one key, and its result if the key is damaged."""

    command: Callable[[Pipeline, str], object]
    key: str
    default: Any


class _Queues(NamedTuple):
    """The first round trip: one result for each command of `_queue_reads`."""

    waiting: int
    failed: int
    first: list[tuple[bytes, float]]
    first_failed: list[tuple[bytes, float]]
    released: int
    first_released: list[bytes]
    dead: int
    leases: object
    spent: object
    totals: dict[bytes, bytes]
    control: dict[bytes, bytes]
    cursors: dict[bytes, bytes]
    groups: int
    in_groups: bytes | None

    @property
    def waiting_ids(self) -> list[bytes]:
        """The sample of waiting deliveries."""
        return [*dict.fromkeys(delivery_id for delivery_id, _ in (*self.first, *self.first_failed))]

    def hold_ends(self, now_ms: int) -> list[int]:
        """Return until when deliveries are held, the earliest first; `holds.lua` writes it."""
        ends = {to_int(text) for text in self.control.get(b"held", b"").split()[:MAX_HOLD_ENDS]}
        return sorted(ms for ms in ends if ms > now_ms)


class _Details(NamedTuple):
    """The second round trip, which needs results of the first: one result for each command of `_detail_reads`.

    `held` has the number of deliveries for each end of a hold.
    """

    records: list[bytes | None]
    shared: dict[bytes, bytes]
    minute: list[bytes]
    hour: list[bytes]
    held: list[int]


def read_statuses(
    client: Redis, integration_ids: Collection[str], now_ms: int, *, brief: bool = False
) -> dict[str, Status]:
    """Return the status of each integration at the ledger's time `now_ms`. Raises the errors of the Redis client.

    With `brief`, for a scrape every few seconds, the samples are small and `limits` is empty.
    """
    if not integration_ids:
        return {}
    sample = MIN_SAMPLE if brief else max(MIN_SAMPLE, min(MAX_SAMPLE, MAX_RECORDS // len(integration_ids)))
    results, damaged = _run(client, {one: _queue_reads(one, sample) for one in integration_ids}, at_once=True)
    queues = {one: _Queues(*values) for one, values in results.items()}
    results, damaged_too = _run(
        client, {one: _detail_reads(one, found, now_ms, brief=brief) for one, found in queues.items()}
    )
    details = {one: _Details._make([*values[:4], values[4:]]) for one, values in results.items()}
    return {
        one: _status(found, details[one], (*damaged[one], *damaged_too[one]), now_ms, brief=brief)
        for one, found in queues.items()
    }


def _run(
    client: Redis, reads: Mapping[str, list[_Read]], *, at_once: bool = False
) -> tuple[dict[str, list[Any]], dict[str, tuple[str, ...]]]:
    """Run all commands in one round trip, and with `at_once` as one transaction.

    Return the results and the damaged keys by integration.
    """
    with client.pipeline(transaction=at_once) as pipe:
        for read in chain.from_iterable(reads.values()):
            read.command(pipe, read.key)
        replies = iter(pipe.execute(raise_on_error=False))
    results, damaged = {}, {}
    for one, asked in reads.items():
        answered = list(zip(asked, islice(replies, len(asked)), strict=True))
        results[one] = [unless_damaged(reply, read.default) for read, reply in answered]
        damaged[one] = (*dict.fromkeys(read.key for read, reply in answered if is_damage(reply)),)
    return results, damaged


def _queue_reads(integration_id: str, sample: int) -> list[_Read]:
    keys = keys_of(integration_id)
    first = partial(Pipeline.zrange, end="+inf", byscore=True, offset=0, num=sample, withscores=True)
    check_type = partial(Pipeline.hmget, keys=[""])
    return [
        _Read(Pipeline.zcard, keys.waiting, 0),
        _Read(partial(Pipeline.zcount, min=FAILED_OFFSET_MS, max="+inf"), keys.waiting, 0),
        _Read(partial(first, start=0), keys.waiting, []),
        _Read(partial(first, start=FAILED_OFFSET_MS), keys.waiting, []),
        _Read(Pipeline.zcard, keys.released, 0),
        _Read(partial(Pipeline.zrange, start=0, end=MIN_SAMPLE - 1), keys.released, []),
        _Read(Pipeline.zcard, keys.dead, 0),
        _Read(check_type, keys.leases, None),
        _Read(check_type, keys.spent, None),
        _Read(Pipeline.hgetall, keys.totals, {}),
        _Read(Pipeline.hgetall, keys.control, {}),
        _Read(Pipeline.hgetall, cursor_key(integration_id), {}),
        _Read(Pipeline.zcard, groups_key(integration_id), 0),
        _Read(partial(Pipeline.hget, key="alerts"), digest_key(integration_id), None),
    ]


def _detail_reads(integration_id: str, found: _Queues, now_ms: int, *, brief: bool) -> list[_Read]:
    ids = [*found.waiting_ids, *found.first_released]
    target = found.control.get(b"target", b"").decode("utf-8", "replace")
    shared, minute, hour = limit_keys(target or integration_id)
    window = partial(Pipeline.lrange, start=0, end=0 if brief else -1)
    keys = keys_of(integration_id)
    return [
        _Read(partial(Pipeline.hmget, keys=ids or [""]), keys.records, []),
        _Read(Pipeline.hgetall, shared, {}),
        _Read(window, minute, []),
        _Read(window, hour, []),
        *(_Read(partial(Pipeline.zcount, min=ms, max=ms), keys.waiting, 0) for ms in found.hold_ends(now_ms)),
    ]


def _status(found: _Queues, details: _Details, damaged: tuple[str, ...], now_ms: int, *, brief: bool) -> Status:
    """Return the status. A malformed field counts as absent."""
    state, shared = _texts(found.control), _texts(details.shared)
    windows = {Unit.MINUTE: details.minute, Unit.HOUR: details.hour}
    due_ms = [ms for _, at_ms in (*found.first, *found.first_failed) if (ms := at_ms % FAILED_OFFSET_MS) <= now_ms]
    target_until_ms = to_int(shared.get("pause_until_ms"))
    paused_until_ms = to_int(state.get("paused_until_ms"))
    is_paused = "paused_ms" in state and not 0 < paused_until_ms <= now_ms
    breaker = BreakerState.parse(state.get("breaker", ""))
    return Status(
        waiting=found.waiting,
        released=found.released,
        dead=found.dead,
        oldest_age_s=_oldest_age_s(details.records[: len(found.waiting_ids)], now_ms),
        unsettled_age_s=_oldest_age_s(details.records, now_ms),
        overdue_s=(now_ms - min(due_ms)) / 1000 if due_ms else 0.0,
        totals=read_totals(_texts(found.totals)),
        cursors=_texts(found.cursors),
        last_error=state.get("last_error", ""),
        last_error_ms=to_int(state.get("last_error_ms")),
        paused_ms=(to_int(state["paused_ms"]) or now_ms) if is_paused else 0,
        pause_reason=state.get("pause_reason", "") if is_paused else "",
        paused_until_ms=paused_until_ms if is_paused else 0,
        target_until_ms=target_until_ms if target_until_ms > now_ms else 0,
        breaker=breaker,
        breaker_until_ms=to_int(state.get("breaker_until_ms")) if breaker is BreakerState.OPEN else 0,
        breaker_reason=state.get("breaker_reason", "") if breaker is not BreakerState.CLOSED else "",
        failed=found.failed,
        held={ms: number for ms, number in zip(found.hold_ends(now_ms), details.held, strict=True) if number},
        groups=found.groups,
        in_groups=to_int(found.in_groups),
        limits={} if brief else remaining_tokens(state.get("limits", ""), shared, windows, now_ms),
        damaged=damaged,
    )


def _texts(found: Mapping[bytes, bytes]) -> dict[str, str]:
    return {k.decode("utf-8", "replace"): v.decode("utf-8", "replace") for k, v in found.items()}


def _oldest_age_s(records: Iterable[bytes | None], now_ms: int) -> float | None:
    """Return the age of the delivery that was committed first, or whose hold ended first.

    A delivery that is held, and a missing or unreadable record, do not count.
    """
    times = []
    for record in records:
        with suppress(UnreadableRecord):
            if record is not None:
                header = decode_record("", record).header
                if header.held_until_ms <= now_ms:
                    times.append(max(header.committed_ms, header.held_until_ms))
    return max(0.0, (now_ms - min(times)) / 1000) if times else None
