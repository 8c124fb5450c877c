from __future__ import annotations

import pytest

from common.errors import TransportError
from common.outcome import Delivered, ManagerEvent, Reason, Rejected, Retry
from common.registry.entries import MANAGER
from tests.support.fakes import SIGNER
from workers.alert.alert import Alert
from workers.calls import Datagram, Sent
from workers.integrations.base import NotSendable
from workers.integrations.registry import make_service

LOCATION = "[002] (wé|:b) any->virustotal"

manager = make_service(MANAGER, signer=SIGNER)


def delivery(location: str, message: str) -> Alert:
    return Alert(SIGNER.sign("n:1+2", ManagerEvent(location, message)), "n:1+2")


def test_an_event_becomes_one_datagram() -> None:
    event = delivery(LOCATION, '{"a": 1}')
    assert manager.build_calls(event) == (Datagram(payload=f'1:{LOCATION}:{{"a": 1}}'.encode()),)


def test_an_event_of_the_maximum_size_is_sent() -> None:
    (datagram,) = manager.build_calls(delivery("virustotal", "x" * 65_522))
    assert len(datagram.payload) == 65_535


def test_an_event_over_the_maximum_size_is_rejected() -> None:
    with pytest.raises(NotSendable) as refused:
        manager.build_calls(delivery("virustotal", "é" * 32_766))
    assert refused.value.outcome.reason is Reason.TOO_LARGE


@pytest.mark.parametrize("raw", [b"", b"{}", b'{"location": 1, "message": ""}', b"\xff"])
def test_an_invalid_event_is_a_dead_letter(raw: bytes) -> None:
    with pytest.raises(NotSendable) as refused:
        manager.build_calls(Alert(raw))
    assert refused.value.outcome == Rejected(Reason.INVALID_ALERT, "not an event for the manager")


def test_an_accepted_datagram_is_delivered() -> None:
    event = delivery("maltiverse", "m")
    assert manager.interpret(event, manager.build_calls(event)[0], Sent()) == Delivered()


@pytest.mark.parametrize(
    ("reason", "outcome"),
    [
        (Reason.CONNECTION_FAILED, Retry(Reason.MANAGER_DOWN, "why")),
        (Reason.MANAGER_DOWN, Retry(Reason.MANAGER_DOWN, "why")),
        (Reason.TOO_LARGE, Rejected(Reason.TOO_LARGE, "why")),
    ],
)
def test_an_unavailable_manager_is_retried(reason: Reason, outcome: object) -> None:
    event = delivery("maltiverse", "m")
    assert manager.interpret_failure(event, manager.build_calls(event)[0], TransportError(reason, "why")) == outcome
