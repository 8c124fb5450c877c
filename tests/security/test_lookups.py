"""An attacker who can write in Redis cannot forge verdicts of VirusTotal: unsigned responses are ignored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.fakes import SIGNATURES, VAULT, Clock
from tests.support.redis_users import logged_in
from tests.workers.delivery.test_lookup_cache import MD5, REPORT, VIRUSTOTAL, Wire, attempt
from workers.delivery.lookup_store import PURPOSE, LookupStore

if TYPE_CHECKING:
    import redis

    from ops.standalone.embedded_redis import EmbeddedServer

DAY_S = 86_400.0
OTHER = "f" * 32


def key(client: redis.Redis) -> bytes:
    (found,) = client.scan_iter("courier:lookups:*")
    return bytes(found)


def remembered(client: redis.Redis, name: str, question: str, content: bytes) -> bytes:
    """Let a worker cache a response. Return the resulting value in Redis."""
    LookupStore(client, name, SIGNATURES).put(question, content, DAY_S)
    held: Any = client.getdel(key(client))
    return bytes(held)


@pytest.mark.parametrize("kind", ["clean", "another question's", "another service's", "another purpose's", "shifted"])
def test_a_forged_verdict_in_the_cache_is_ignored(
    client: redis.Redis, server: EmbeddedServer, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    attempt(client, VIRUSTOTAL, Wire(200, REPORT))
    ours = key(client)
    held: Any = client.getdel(ours)
    until, signature, content = bytes(held).split(b"\n", 2)
    clean = b'{"positives": 0}'
    events = VAULT.authenticator("events for the manager").sign(b"virustotal-v2", MD5.encode(), until, clean)
    forged = {
        "clean": b"\n".join([until, signature, clean]),
        "another question's": remembered(client, "virustotal-v2", OTHER, clean),
        "another service's": remembered(client, "virustotal-v3", MD5, clean),
        "another purpose's": b"\n".join([until, events.encode(), clean]),
        "shifted": b"\n".join([until + content[:1], signature, content[1:]]),
    }
    with logged_in(server, "worker") as attacker:
        attacker.set(ours, forged[kind])
    wire = Wire(200, REPORT)
    settlement = attempt(client, VIRUSTOTAL, wire, 2)
    assert (settlement.outcome, len(wire.asked)) == ("delivered", 1)
    assert b'\\"positives\\": 3' in settlement.events[0].payload
    assert "cached look-up ignored" in caplog.text
    attempt(client, VIRUSTOTAL, wire, 3)
    assert len(wire.asked) == 1


def test_an_expired_verdict_that_is_put_back_is_ignored(client: redis.Redis, server: EmbeddedServer) -> None:
    clock = Clock()
    lookups = LookupStore(client, "virustotal-v2", SIGNATURES, clock)
    lookups.put(MD5, b"clean", DAY_S)
    ours = key(client)
    with logged_in(server, "worker") as attacker:
        kept: Any = attacker.get(ours)
        attacker.set(ours, kept)  # without an end
    assert lookups.get(MD5) == b"clean"
    clock.now_s += DAY_S
    assert lookups.get(MD5) is None


@given(st.binary())
def test_arbitrary_bytes_in_the_cache_are_ignored(held: bytes) -> None:
    class Held:
        def get(self, _key: str) -> bytes:
            return held

    anything: Any = Held()
    assert LookupStore(anything, "virustotal-v2", VAULT.authenticator(PURPOSE)).get(MD5) is None
