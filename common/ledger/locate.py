"""Finds deliveries by their ids in any state, for `courier explain`. It reads only, and needs no script.

The first round trip reads the records of all ids; the second one asks for the state of the few that exist. The ids of
an alert whose own id is all that is known are found by reading the records one by one (`search_records`).
"""

from __future__ import annotations

from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from common.errors import LedgerDamaged, UnreadableRecord
from common.ledger.keys import FAILED_OFFSET_MS, keys_of
from common.ledger.record import Delivery, Header, decode_record, id_bytes, id_text, to_int

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from redis.client import Pipeline

    from common.ledger.calls import Calls


SCAN_COUNT: Final = 100
"""Records that one command reads, about: an alert has a few kB, at most 16 MiB."""


class Place(StrEnum):
    """In which of the three sets of an integration a delivery is."""

    WAITING = "waiting"
    RELEASED = "released"
    DEAD = "dead"


class Located(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery and its state. Times are in ms since the epoch.

    `due_ms` is when a waiting one is due, `before` the number of waiting deliveries that are due earlier. `lease_ms` is
    when the lease of a released one expires, `holder` the token of the worker that has begun it, empty if none has.
    `died_ms` is when a dead letter died. `problem` is why its record cannot be read, empty if it can.
    """

    delivery: Delivery
    place: Place
    due_ms: int = 0
    before: int = 0
    lease_ms: int = 0
    holder: str = ""
    died_ms: int = 0
    problem: str = ""


class RecordsPage(NamedTuple):
    """How many records one command read, and the deliveries whose records contain the text."""

    number: int
    found: list[Delivery]


def search_records(calls: Calls, integration_id: str, text: bytes) -> Iterator[RecordsPage]:
    """Yield the deliveries in any state whose record contains `text`, page by page. A damaged integration has none."""
    key, cursor = keys_of(integration_id).records, 0
    while True:
        scan = partial(_scan, key, cursor)
        try:
            (answer,) = calls.ask(integration_id, scan)
        except LedgerDamaged:
            return
        cursor, records = answer
        found = [one for i, record in records.items() if text in record and (one := _readable(id_text(i), record))]
        yield RecordsPage(len(records), found)
        if not cursor:
            return


def _scan(key: str, cursor: int, pipe: Pipeline) -> None:
    pipe.hscan(key, cursor, count=SCAN_COUNT)


def _readable(delivery_id: str, record: bytes) -> Delivery | None:
    try:
        return decode_record(delivery_id, record)
    except UnreadableRecord:
        return None


def locate(calls: Calls, wanted: Mapping[str, Sequence[str]]) -> dict[str, list[Located]]:
    """Return the deliveries that the ledger holds of these ids, by integration, without damaged integrations.

    A delivery that is settled between the two round trips is left out.
    """
    asked = {i: ids for i, ids in wanted.items() if ids}
    held = calls.ask_all({i: partial(_records, i, [*map(id_bytes, ids)]) for i, ids in asked.items()})
    found: dict[str, list[Located]] = {}
    for integration_id, records in held.items():
        there = {one: record for one, record in zip(asked[integration_id], records, strict=True) if record is not None}
        if there:
            found[integration_id] = list(_located(calls, integration_id, there))
    return {i: located for i, located in found.items() if located}


def _located(calls: Calls, integration_id: str, records: Mapping[str, bytes]) -> Iterator[Located]:
    keys = keys_of(integration_id)

    def add(pipe: Pipeline) -> None:
        for one in map(id_bytes, records):
            pipe.zscore(keys.waiting, one)
            pipe.zrank(keys.waiting, one)
            pipe.zscore(keys.released, one)
            pipe.hget(keys.leases, one)
            pipe.zscore(keys.dead, one)

    try:
        answers = iter(calls.ask(integration_id, add))
    except LedgerDamaged:  # logged by the ledger, and `Status.damaged` names the keys
        return
    for (delivery_id, record), state in zip(records.items(), zip(*[answers] * 5, strict=True), strict=True):
        if one := _state(delivery_id, record, *state):
            yield one


def _state(delivery_id: str, record: bytes, *state: Any) -> Located | None:
    """Return the delivery, None if it is in no state any more; `state` are the answers of Redis in their order."""
    due, rank, lease, holder, died = state
    try:
        delivery, problem = decode_record(delivery_id, record), ""
    except UnreadableRecord as error:
        delivery, problem = Delivery(delivery_id, Header(committed_ms=0), record), str(error)
    if died is not None:
        return Located(delivery=delivery, place=Place.DEAD, died_ms=max(0, to_int(died)), problem=problem)
    if lease is not None:
        token = id_text(holder or b"")
        return Located(delivery=delivery, place=Place.RELEASED, lease_ms=to_int(lease), holder=token, problem=problem)
    if due is None:
        return None
    due_ms = to_int(due % FAILED_OFFSET_MS)
    return Located(delivery=delivery, place=Place.WAITING, due_ms=due_ms, before=rank or 0, problem=problem)


def _records(integration_id: str, ids: list[bytes], pipe: Pipeline) -> None:
    pipe.hmget(keys_of(integration_id).records, ids)
