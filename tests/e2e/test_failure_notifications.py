"""When deliveries fail: the fallback, and events in a real queue socket of a manager."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any, Self

import pytest

from tests.support.processes import Courier, Manager
from tests.support.recorder import Recorder, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

READY = "new integration; reading starts"
SETTINGS = """
[integrations.default]
breaker_failures = 3
retry_delay = "100ms"
self_alert_interval = "1s"

[integrations.first]
fallback = "second"
"""


class Queue:
    """The manager's end of the queue socket. `received` are its events so far."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.setblocking(False)
        self.received: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def of(self, event: str) -> list[dict[str, Any]]:
        self.received += [json.loads(message)["courier"] for message in self._waiting()]
        return [one for one in self.received if one["event"] == event]

    def _waiting(self) -> Iterator[str]:
        while True:
            try:
                head, _, message = self._socket.recv(65_535).decode().partition(":courier:")
            except BlockingIOError:
                return
            assert head == "1"
            yield message


def block(name: str, url: str, level: int) -> str:
    return (
        f'<integration id="{name}"><name>slack</name><hook_url>{url}</hook_url><level>{level}</level>'
        "<alert_format>json</alert_format></integration>"
    )


@pytest.mark.slow
def test_fallback_gets_undelivered_alerts_and_the_manager_is_notified(tmp_path: Path) -> None:
    answers = [400]
    (tmp_path / "courier.toml").write_text(SETTINGS)
    with (
        Queue(tmp_path / "queue") as queue,
        Recorder(lambda _body: answers[0]) as first,
        Recorder() as second,
    ):
        manager = Manager(tmp_path, first)
        blocks = block("first", first.url, 1) + block("second", second.url, 15)
        manager.config.write_text(f"<ossec_config>{blocks}</ossec_config>")
        environment = {
            "COURIER_SETTINGS": str(tmp_path / "courier.toml"),
            "COURIER_WORKER_QUEUE_SOCKET": str(tmp_path / "queue"),
        }
        with Courier(tmp_path, "up", *manager.files(), "--flower-port", "0", **environment) as up:
            eventually(lambda: up.log.count(READY) == 2)
            manager.append(5)
            eventually(lambda: set(second.ids) == manager.ids)
            attachment = json.loads(second.bodies[0])["attachments"][0]
            assert attachment["title"] == "[Courier: undelivered to first, http_4xx] sshd: brute force"
            assert attachment["text"] == "[Courier: undelivered to first, http_4xx] Invalid user x"
            eventually(lambda: sum(one["number"] for one in queue.of("dead_letters")) == 5)
            assert {(one["integration"], one["reason"]) for one in queue.received} == {("first", "http_4xx")}
            answers[0] = 503
            manager.append(5)
            eventually(lambda: queue.of("breaker_opened"))
            answers[0] = 200
            eventually(lambda: len(first.bodies) == 5)
            (opened,) = queue.of("breaker_opened")
            assert opened["integration"] == "first"
            assert opened["last_error"].startswith("http_5xx: ")
            assert len(second.bodies) == 5
