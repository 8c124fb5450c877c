"""An attacker who can write in Redis cannot write into the manager's log: only Courier's own events are sent."""

from __future__ import annotations

import json
import socket
from random import Random
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st

from common.integration import MANAGER_ID, Kind
from common.outcome import ManagerEvent
from common.registry.encryption import Cipher
from common.registry.published import PublishedRegistry
from common.settings.load import load_settings
from tests.support.fakes import SIGNER, VAULT, NoDispatch, policy
from tests.support.ledger import Ledger
from tests.support.redis_users import logged_in
from workers.alert.alert import Alert
from workers.delivery.factory import build_service
from workers.delivery.served import Selection, ServedIntegrations
from workers.delivery.task import DeliveryTask
from workers.integrations.helpers.event_signer import EventSigner
from workers.integrations.helpers.manager_event import agent_location, event
from workers.process_identity import this_process

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import redis

    from common.integration import Integration
    from common.settings.schema import Policy
    from ops.standalone.embedded_redis import EmbeddedServer
    from workers.calls import Transport
    from workers.delivery.event_loop import EventLoop
    from workers.integrations.base import Service

ID = "n:log:1+abc"
VERDICT = ManagerEvent("[001] (web01) any->virustotal", '{"virustotal": {"positives": 3}}')
NOTICE = {"event": "dead_letters", "integration": "slack", "number": 1, "dead": 2, "reason": "http_4xx"}


class World:
    """A worker that serves `manager`, the manager's socket, and an attacker with the worker's Redis user."""

    def __init__(self, client: redis.Redis, attacker: redis.Redis, folder: Path, loop: EventLoop) -> None:
        self.attacker, self.ledger = attacker, Ledger(client)
        self.queue = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.queue.bind(str(folder / "queue"))
        self.queue.setblocking(False)
        registry = PublishedRegistry(client, VAULT)
        registry.publish("n", [])
        settings = load_settings(file=None, environment={}, cwd=folder)
        self._worker = msgspec.structs.replace(settings.worker, queue_socket=folder / "queue")
        self._transports: list[Any] = []
        routes = ServedIntegrations(
            registry,
            Selection(frozenset({Kind.MANAGER})),
            policy=lambda _: policy(),
            build=self._build,
            random=Random(1),
            signer=SIGNER,
        )
        routes.refresh()
        dispatcher: Any = NoDispatch()
        self._deliverer = DeliveryTask(self.ledger, dispatcher, routes, loop, identity=this_process())

    def _build(self, integration: Integration, policy: Policy) -> tuple[Service[Any, Any], Transport]:
        service, transport = build_service(integration, policy, self._worker, signer=SIGNER)
        self._transports.append(transport)
        return service, transport

    def close(self) -> None:
        self.queue.close()
        for transport in self._transports:
            transport.transport._close()

    def written(self, payload: bytes, delivery_id: str = ID) -> list[bytes]:
        """Let the attacker write a record into the ledger of `manager`. Return the messages that the manager gets."""
        self.attacker.hset(f"courier:{{{MANAGER_ID}}}:records", delivery_id, b'{"committed_ms":1}\n' + payload)
        self.attacker.zadd(f"courier:{{{MANAGER_ID}}}:waiting", {delivery_id: 1})
        tasks = self.ledger.release(MANAGER_ID, max_in_flight=100, batch_max=10, lease_s=60, linger_s=0)
        for ids in tasks:
            self._deliverer.deliver({MANAGER_ID: ids})
        return self.received()

    def received(self) -> list[bytes]:
        found = []
        while True:
            try:
                found.append(self.queue.recv(100_000))
            except BlockingIOError:
                return found

    def dead(self) -> list[str]:
        """Return the last reason and detail of each dead letter."""
        history = [letter.delivery.header.history for letter in self.ledger.dead_letters(MANAGER_ID)]
        return [f"{attempts[-1].reason}: {attempts[-1].detail}" for attempts in history]


@pytest.fixture
def world(client: redis.Redis, server: EmbeddedServer, tmp_path: Path, event_loop: EventLoop) -> Iterator[World]:
    with logged_in(server, "worker") as attacker:
        world = World(client, attacker, tmp_path, event_loop)
        yield world
        world.close()


def notice(**changes: object) -> bytes:
    message = json.dumps({"integration": "courier", "courier": NOTICE | changes})
    return msgspec.json.encode(ManagerEvent("courier", message))


def opened(error: str, mac: str) -> bytes:
    fields = {"event": "breaker_opened", "integration": "slack", "last_error": error, "mac": mac}
    message = json.dumps({"integration": "courier", "courier": fields})
    return msgspec.json.encode(ManagerEvent("courier", message))


def with_key_of_another(event: ManagerEvent) -> bytes:
    return EventSigner(Cipher(Fernet.generate_key())).sign(ID, event)


def changed(**changes: str) -> bytes:
    return json.dumps(json.loads(SIGNER.sign(ID, VERDICT)) | changes).encode()


FORGED = {
    "no signature, as version 0.1 wrote it": msgspec.json.encode(VERDICT),
    "a login that never was": b'{"location":"[001] (web01) any->/var/log/secure","message":"sshd: Accepted password"}',
    "another key": with_key_of_another(VERDICT),
    "another message": changed(message='{"virustotal": {"positives": 0}}'),
    "another agent": changed(location="[002] (web02) any->virustotal"),
    "another delivery's": SIGNER.sign("n:log:2+abc", VERDICT),
    "parts that are moved": changed(location=VERDICT.location + VERDICT.message[:1], message=VERDICT.message[1:]),
    "a signature that is no text of ours": changed(mac="é" * 64),
    "an error's signature": changed(mac=SIGNER.sign_error("slack", "x")),
    "a notice of any text": b'{"location":"courier","message":"sshd: Accepted password"}',
    "a notice with more": notice(more="x"),
    "a notice of an unknown event": notice(event="x"),
    "a notice with a text for a number": notice(number="sshd"),
    "a notice whose reason is a text": notice(reason="Accepted password for root"),
    "a notice whose integration is a text": notice(integration="slack: Accepted password"),
    "a notice with an error that nobody signed": opened("Accepted password", ""),
    "a notice with an error of another integration": opened("x", SIGNER.sign_error("shuffle", "x")),
    "a notice from another place": msgspec.json.encode(ManagerEvent("[001] (web01) any->courier", "{}")),
}


@pytest.mark.parametrize("payload", FORGED.values(), ids=list(FORGED))
def test_an_event_without_a_valid_signature_becomes_a_dead_letter(world: World, payload: bytes) -> None:
    assert world.written(payload) == []
    (why,) = world.dead()
    assert why.startswith(("not_authentic: its ", "not_authentic: it "))


@pytest.mark.parametrize("location", ["/var/log/secure", "[001] (w) any->sshd", "[001] (a\nb) any->virustotal", ""])
def test_a_signed_event_with_a_foreign_location_is_refused(world: World, location: str) -> None:
    assert world.written(SIGNER.sign(ID, ManagerEvent(location, "{}"))) == []
    assert world.dead() == [
        "not_authentic: its location is not one of Courier's, or its message has control characters"
    ]


def test_signed_events_are_sent_even_after_a_forged_one(world: World) -> None:
    assert world.written(FORGED["another key"]) == []
    assert world.written(SIGNER.sign("b", VERDICT), "b") == [f"1:{VERDICT.location}:{VERDICT.message}".encode()]
    event_datagram = f"1:courier:{json.dumps({'integration': 'courier', 'courier': NOTICE})}".encode()
    assert world.written(notice(), "c") == [event_datagram]
    (breaker,) = world.written(opened("http_5xx: a\n\x7f", SIGNER.sign_error("slack", "http_5xx: a\n\x7f")), "d")
    assert b'"last_error": "http_5xx: a\\n\\u007f"' in breaker
    assert b"mac" not in breaker


@given(st.binary() | st.builds(msgspec.json.encode, st.recursive(st.none() | st.integers() | st.text(), st.lists)))
def test_any_bytes_raise_only_declared_errors(raw: bytes) -> None:
    for payload in (raw, b'{"location":"courier","message":' + msgspec.json.encode(raw.decode("latin-1")) + b"}"):
        with pytest.raises(ValueError):  # noqa: PT011 — any of them: the caller makes a dead letter of it
            SIGNER.verify(Alert(payload, ID))


@given(st.dictionaries(st.text(), st.text()), st.text(st.characters()), st.text(st.characters()))
def test_every_lookup_event_is_accepted_whatever_the_alert_says(
    message: dict[str, str], name: str, address: str
) -> None:
    """No file name and no agent name can block a verdict."""
    agent = {"id": "001", "name": name or "x", "ip": address}
    written = event(agent_location({"agent": agent}, "virustotal"), message)
    assert SIGNER.verify(Alert(SIGNER.sign(ID, written), ID)) == written
