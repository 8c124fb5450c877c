from __future__ import annotations

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
    """Answers everything alike and counts how often it was asked."""

    def __init__(self, status: int, body: object) -> None:
        self.answer, self.asked = Response(status=status, body=json.dumps(body).encode()), list[str]()

    def send(self, call: Request) -> Response:
        self.asked.append(call.url)
        return self.answer


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
    return pipeline.attempt(Delivery(f"n:f:{number}", Header(committed_ms=1), json.dumps(alert).encode(), 2))


def test_a_hash_is_asked_once_and_every_alert_gets_its_own_verdict(client: redis.Redis) -> None:
    wire = Wire(200, REPORT)
    first, second = attempt(client, VIRUSTOTAL, wire, 1), attempt(client, VIRUSTOTAL, wire, 2)
    assert (first.outcome, first.contacted, second.outcome, second.contacted) == ("delivered", True, "delivered", False)
    assert len(wire.asked) == 1
    assert b"/tmp/2" in second.events[0].payload
    assert b'\\"positives\\": 3' in second.events[0].payload


def test_how_long_a_verdict_is_kept_depends_on_it(client: redis.Redis) -> None:
    for report, days in ((REPORT, 7.0), (REPORT | {"positives": 0}, 1.0), ({"response_code": 0}, 1 / 24)):
        client.flushall()
        attempt(client, VIRUSTOTAL, Wire(200, report))
        (key,) = client.scan_iter("courier:lookups:*")
        ttl: Any = client.pttl(key)
        assert 0.99 * days < ttl / 86_400_000 <= days


def test_what_is_no_verdict_is_not_kept_and_the_next_one_may_ask(client: redis.Redis) -> None:
    for wire in (Wire(204, {}), Wire(200, {}), Wire(500, {}), Wire(200, REPORT)):
        attempt(client, VIRUSTOTAL, wire)
        assert len(wire.asked) == 1


def test_while_one_asks_the_others_wait_without_an_attempt(client: redis.Redis) -> None:
    assert LookupStore(client, "virustotal-v2", SIGNATURES).acquire(MD5)
    wire = Wire(200, REPORT)
    waiting = attempt(client, VIRUSTOTAL, wire)
    assert (waiting.outcome, waiting.contacted, wire.asked) == ("postponed", False, [])
    assert 1000 <= waiting.delay_ms <= 1500
    assert waiting.header is not None
    assert waiting.header.attempts == 0


def test_an_answer_that_comes_between_two_looks_is_not_asked_for_again(
    client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempt(client, VIRUSTOTAL, Wire(200, REPORT))
    real, looks = LookupStore.get, list[str]()

    def late(self: LookupStore, question: str) -> bytes | None:
        looks.append(question)
        return None if len(looks) == 1 else real(self, question)

    monkeypatch.setattr(LookupStore, "get", late)
    wire = Wire(200, REPORT)
    assert attempt(client, VIRUSTOTAL, wire, 2).outcome == "delivered"
    assert (wire.asked, len(looks)) == ([], 2)
    assert LookupStore(client, "virustotal-v2", SIGNATURES).acquire(MD5)


def test_each_question_of_one_alert_is_remembered_by_itself(client: redis.Redis) -> None:
    data: dict[str, Any] = {"data": {"srcip": "8.8.4.4", "hostname": "h.example"}, "syscheck": {}}
    wire = Wire(200, {"type": "ip"})
    assert attempt(client, MALTIVERSE, wire, **data).outcome == "delivered"
    again = attempt(client, MALTIVERSE, wire, 2, data={"srcip": "8.8.4.4"}, syscheck={})
    assert (again.contacted, len(again.events), len(wire.asked)) == (False, 1, 2)


def test_that_nothing_is_known_is_remembered_too(client: redis.Redis) -> None:
    wire = Wire(404, {"message": "Not found"})
    data = {"data": {"srcip": "8.8.4.4"}, "syscheck": {}}
    settlements = [attempt(client, MALTIVERSE, wire, n, **data) for n in (1, 2)]
    assert [(s.outcome, s.events) for s in settlements] == [("delivered", ())] * 2
    assert len(wire.asked) == 1


def test_without_redis_the_service_is_simply_asked() -> None:
    wire = Wire(200, REPORT)
    with connect(f"redis://127.0.0.1:{free_port()}") as nobody:
        assert attempt(nobody, VIRUSTOTAL, wire).outcome == "delivered"
        assert attempt(nobody, VIRUSTOTAL, wire).outcome == "delivered"
    assert len(wire.asked) == 2


def test_redis_holds_no_credential(client: redis.Redis) -> None:
    attempt(client, VIRUSTOTAL, Wire(200, REPORT))
    held: list[Any] = [one for key in client.scan_iter() for one in (key, client.get(key))]
    assert b"k" * 64 not in b"".join(held)
