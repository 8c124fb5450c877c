from __future__ import annotations

import asyncio
import json
from random import Random
from typing import TYPE_CHECKING, Any

from common.connection.client import connect
from common.integration import Integration
from common.ledger import Delivery, Header
from common.secret import Secret
from ops.standalone.embedded_redis import free_port
from tests.support.fakes import SIGNATURES, SIGNER, policy
from workers.calls import Response
from workers.delivery.lookup_store import LookupStore
from workers.delivery.pipeline import Pipeline
from workers.integrations.base import Cacheable
from workers.integrations.registry import make_service

if TYPE_CHECKING:
    import pytest
    import redis

    from common.ledger import Settlement
    from workers.calls import Request

MD5 = "44d88612fea8a8f36de82e1278abb02f"
REPORT = {"response_code": 1, "sha1": "s", "scan_date": "d", "positives": 3, "total": 70, "permalink": "p"}
VIRUSTOTAL = Integration(id="virustotal", name="virustotal", api_key=Secret("k" * 64))
MALTIVERSE = Integration(
    id="maltiverse", name="maltiverse", api_key=Secret("key"), hook_url=Secret("https://api.maltiverse.example")
)


class Wire:
    """A transport that returns the same response to every call and keeps the URLs."""

    def __init__(self, status: int, body: object) -> None:
        self.response, self.asked = Response(status=status, body=json.dumps(body).encode()), list[str]()

    async def send(self, call: Request) -> Response:
        self.asked.append(call.url)
        return self.response


def attempt(client: redis.Redis, integration: Integration, wire: Wire, number: int = 1, **fields: Any) -> Settlement:
    service = make_service(integration)
    assert isinstance(service, Cacheable)
    store = LookupStore(client, service.namespace, SIGNATURES)
    pipeline = Pipeline(service, wire, policy(), Random(1), store, signer=SIGNER)
    alert = {
        "id": f"1.{number}",
        "agent": {"id": "001", "name": "web01"},
        "syscheck": {"path": f"/tmp/{number}", "md5_after": MD5, "sha1_after": "x"},
        **fields,
    }
    delivery = Delivery(f"n:f:{number}", Header(committed_ms=1), json.dumps(alert).encode(), 2)
    return asyncio.run(pipeline.attempt(delivery))


def test_hash_is_looked_up_once_and_each_alert_gets_its_event(client: redis.Redis) -> None:
    wire = Wire(200, REPORT)
    first, second = attempt(client, VIRUSTOTAL, wire, 1), attempt(client, VIRUSTOTAL, wire, 2)
    assert (first.outcome, first.contacted, second.outcome, second.contacted) == ("delivered", True, "delivered", False)
    assert len(wire.asked) == 1
    assert b"/tmp/2" in second.events[0].payload
    assert b'\\"positives\\": 3' in second.events[0].payload


def test_cache_time_depends_on_the_verdict(client: redis.Redis) -> None:
    for report, days in ((REPORT, 7.0), (REPORT | {"positives": 0}, 1.0), ({"response_code": 0}, 1 / 24)):
        client.flushall()
        attempt(client, VIRUSTOTAL, Wire(200, report))
        (key,) = client.scan_iter("courier:lookups:*")
        ttl: Any = client.pttl(key)
        assert 0.99 * days < ttl / 86_400_000 <= days


def test_response_without_verdict_is_not_cached_and_unlocks(client: redis.Redis) -> None:
    for wire in (Wire(204, {}), Wire(200, {}), Wire(500, {}), Wire(200, REPORT)):
        attempt(client, VIRUSTOTAL, wire)
        assert len(wire.asked) == 1


def test_locked_look_up_is_postponed_without_an_attempt(client: redis.Redis) -> None:
    assert LookupStore(client, "virustotal-v2", SIGNATURES).acquire(MD5)
    wire = Wire(200, REPORT)
    waiting = attempt(client, VIRUSTOTAL, wire)
    assert (waiting.outcome, waiting.contacted, wire.asked) == ("postponed", False, [])
    assert 1000 <= waiting.delay_ms <= 1500
    assert waiting.header is not None
    assert waiting.header.attempts == 0


def test_response_cached_between_read_and_lock_is_used(client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    attempt(client, VIRUSTOTAL, Wire(200, REPORT))
    real, reads = LookupStore.get, list[str]()

    def late(self: LookupStore, key: str) -> bytes | None:
        reads.append(key)
        return None if len(reads) == 1 else real(self, key)

    monkeypatch.setattr(LookupStore, "get", late)
    wire = Wire(200, REPORT)
    assert attempt(client, VIRUSTOTAL, wire, 2).outcome == "delivered"
    assert (wire.asked, len(reads)) == ([], 2)
    assert LookupStore(client, "virustotal-v2", SIGNATURES).acquire(MD5)


def test_each_look_up_of_an_alert_is_cached_separately(client: redis.Redis) -> None:
    data: dict[str, Any] = {"data": {"srcip": "8.8.4.4", "hostname": "h.example"}, "syscheck": {}}
    wire = Wire(200, {"type": "ip"})
    assert attempt(client, MALTIVERSE, wire, **data).outcome == "delivered"
    again = attempt(client, MALTIVERSE, wire, 2, data={"srcip": "8.8.4.4"}, syscheck={})
    assert (again.contacted, len(again.events), len(wire.asked)) == (False, 1, 2)


def test_negative_response_is_cached(client: redis.Redis) -> None:
    wire = Wire(404, {"message": "Not found"})
    data = {"data": {"srcip": "8.8.4.4"}, "syscheck": {}}
    settlements = [attempt(client, MALTIVERSE, wire, n, **data) for n in (1, 2)]
    assert [(s.outcome, s.events) for s in settlements] == [("delivered", ())] * 2
    assert len(wire.asked) == 1


def test_look_up_is_sent_if_redis_is_unavailable() -> None:
    wire = Wire(200, REPORT)
    with connect(f"redis://127.0.0.1:{free_port()}") as unreachable:
        assert attempt(unreachable, VIRUSTOTAL, wire).outcome == "delivered"
        assert attempt(unreachable, VIRUSTOTAL, wire).outcome == "delivered"
    assert len(wire.asked) == 2


def test_redis_holds_no_credential(client: redis.Redis) -> None:
    attempt(client, VIRUSTOTAL, Wire(200, REPORT))
    stored: list[Any] = [one for key in client.scan_iter() for one in (key, client.get(key))]
    assert b"k" * 64 not in b"".join(stored)
