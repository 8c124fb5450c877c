"""Other sites in a browser, and clients that can publish in Redis, cannot attack Flower."""

from __future__ import annotations

import base64
import gzip
import json
import logging
import re
import socket
import time
import urllib.error
import urllib.request
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.broker.celery_app import make_app
from common.broker.task_message import envelope
from ops.monitoring.flower.event_gate import LOG_INTERVAL_S, MAX_MESSAGE_BYTES, EventGate, decode
from ops.standalone.embedded_redis import EmbeddedServer
from tests.support.processes import Courier
from tests.support.recorder import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    import redis
    from celery import Celery

LOGIN = "soc:s3cret-pass"
PAGES = (
    "",
    "workers",
    "workers?json=1",
    "tasks",
    "broker",
    "api/workers",
    "api/workers?status=1",
    "api/tasks",
    "metrics",
)
TABLE = "draw=1&start=0&length=10&search[value]=&order[0][column]=0&order[0][dir]=asc&columns[0][data]=name"
HEARTBEAT = {
    "type": "worker-heartbeat",
    "hostname": "web@host",
    "timestamp": time.time(),
    "utcoffset": 0.0,
    "clock": 1,
    "pid": 7,
    "freq": 2.0,
    "active": 0,
    "processed": 3,
    "loadavg": [0.1, 0.2, 0.3],
    "sw_ident": "py-celery",
    "sw_ver": "5",
    "sw_sys": "Linux",
}
TASK = {name: HEARTBEAT[name] for name in ("hostname", "timestamp", "utcoffset", "clock", "pid")} | {
    "type": "task-received",
    "uuid": "3f0e2c1a-0000-4000-8000-000000000000",
    "name": "courier.deliver",
    "args": "('slack', ['m1:1'])",
}
ODD: tuple[Any, ...] = (None, "x", "", -1, 1e300, 10**30, [], {}, [1], {"a": [1]}, True, "<script>", "x" * 100_000)
HOSTILE: tuple[Any, ...] = (
    *({**base, name: value} for base in (HEARTBEAT, TASK) for name in base for value in ODD if value != base[name]),
    *({n: v for n, v in base.items() if n != name} for base in (HEARTBEAT, TASK) for name in base),
    *(HEARTBEAT | {name: 5} for name in ("event", "heartbeats", "update", "alive", "__dict__", "_fields")),
    *(TASK | {name: "a\u202eb\x1b[2J"} for name in ("args", "kwargs", "result", "exception", "uuid", "root_id")),
    *(TASK | {name: 5} for name in ("worker", "children", "cluster_state", "state", "as_dict", "eta", "expires")),
    *(
        HEARTBEAT | {"hostname": name}
        for name in ("<img src=x onerror=alert(1)>@h", "a\u202eb@h", "a b@h", "a\x1b[2J@h")
    ),
    *({"type": kind} for kind in ("worker-heartbeat", "task-sent", "courier", "-", "worker-<b>")),
    *(5, "x", None, [], [[]], {}),
)


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    text: str


class Flower(NamedTuple):
    """A real Flower with an HTTP client, and a Redis client and a Celery application for the attacker."""

    process: Courier
    url: str
    client: redis.Redis
    app: Celery

    def get(self, path: str, host: str = "", login: str = LOGIN) -> Answer:
        headers = {"Authorization": f"Basic {base64.b64encode(login.encode()).decode()}"} if login else {}
        request = urllib.request.Request(self.url + path, headers=headers | ({"Host": host} if host else {}))
        try:
            answer = urllib.request.urlopen(request, timeout=10)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            return Answer(answer.status, dict(answer.headers), answer.read().decode(errors="replace"))

    def publish(self, *events: Any) -> None:
        for one in events:
            self.publish_raw(envelope(one, {}))

    def publish_raw(self, raw: bytes) -> None:
        assert self.client.publish("/0.celeryev/worker.heartbeat", raw)


@pytest.fixture(scope="module")
def flower(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flower]:
    folder = tmp_path_factory.mktemp("flower")
    with ExitStack() as stack:
        server = EmbeddedServer(folder / "redis")
        server.start()
        stack.callback(server.stop)
        given = {"COURIER_REDIS_URL": server.url, "COURIER_STATE_DIR": str(folder / "state")}
        stack.enter_context(Courier(folder, "worker", "--http", "--name", "web", **given))
        process = stack.enter_context(
            Courier(
                folder,
                "flower",
                "--flower-port",
                "0",
                COURIER_FLOWER_BASIC_AUTH=LOGIN,
                COURIER_FLOWER_HOSTS="soc.example.org,other.example",
                **given,
            )
        )
        found = eventually(lambda: re.search(r"Flower is at (http://[^\"]+/)", process.log))
        client = stack.enter_context(server.client())
        made = Flower(process, found[1], client, make_app(server.url))
        eventually(lambda: rows(made))
        yield made


def rows(flower: Flower) -> dict[str, dict[str, Any]]:
    return {row["hostname"]: row for row in json.loads(flower.get("workers?json=1").text)["data"]}


def seen(flower: Flower, name: str) -> dict[str, Any]:
    """Send a heartbeat of a worker called `name` and return its row. All earlier events are then processed."""
    flower.publish(HEARTBEAT | {"hostname": name, "timestamp": time.time()})
    row: dict[str, Any] = eventually(lambda: rows(flower).get(name))
    return row


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:5555", "soc.example.org.evil.example", "127.0.0.1.evil.example", "x"]
)
@pytest.mark.parametrize(
    "path", ["workers", "healthcheck", "metrics", "static/css/bootstrap.min.css", "nothing", "api/workers"]
)
def test_an_unknown_host_name_is_refused(flower: Flower, host: str, path: str) -> None:
    answer = flower.get(path, host)
    assert (answer.status, "flower.hosts" in answer.text) == (421, True)
    assert "evil" not in answer.text


@pytest.mark.parametrize(
    "host",
    ["", "localhost", "LOCALHOST:5555", "flower.localhost", "127.0.0.1", "10.0.0.5:5555", "[::1]:5555",
     "soc.example.org", "Other.Example.:443", socket.gethostname()],
)  # fmt: skip
def test_configured_and_own_host_names_and_addresses_are_accepted(flower: Flower, host: str) -> None:
    assert flower.get("workers", host).status == 200


@pytest.mark.parametrize(
    "path",
    ["", "workers", "tasks", "broker", "metrics", "healthcheck", "api/workers", "worker/x", f"tasks/datatable?{TABLE}"],
)
def test_every_page_requires_the_login(flower: Flower, path: str) -> None:
    assert flower.get(path, login="").status == 401
    assert flower.get(path, login="soc:wrong").status == 401


@pytest.mark.parametrize("path", [*PAGES, "healthcheck", "nothing", "static/favicon.ico", "worker/nobody"])
@pytest.mark.parametrize("login", [LOGIN, ""])
@pytest.mark.parametrize("host", ["", "evil.example"])
def test_no_page_can_be_framed(flower: Flower, path: str, login: str, host: str) -> None:
    headers = flower.get(path, host, login).headers
    assert headers["Content-Security-Policy"] == "frame-ancestors 'none'"
    assert headers["X-Frame-Options"] == "DENY"


def test_no_forged_event_makes_a_page_fail(flower: Flower) -> None:
    flower.publish(*HOSTILE, list(HOSTILE))
    seen(flower, "after-odd-events@h")
    for path in (*PAGES, f"tasks/datatable?{TABLE}"):
        answer = flower.get(path)
        assert answer.status == 200, (path, answer.text[:500])
        assert "<img src=x" not in answer.text
        assert "\u202e" not in answer.text
    for row in rows(flower).values():
        assert not any(isinstance(value, str) and len(value) > 512 for value in row.values())
    assert "Traceback" not in flower.process.log
    assert "Flower ignored invalid events" in flower.process.log


def test_malformed_messages_do_not_stop_the_events(flower: Flower) -> None:
    good = json.loads(envelope(HEARTBEAT, {}))
    packed = base64.b64encode(gzip.compress(b" " * 50_000_000)).decode()
    odd: tuple[Any, ...] = (
        *(5, [], {}, "x", None),
        *({n: v for n, v in good.items() if n != name} for name in ("body", "properties")),
        *(good | {name: value} for name in good for value in (5, None, "\0", [1])),
        good | {"body": packed, "headers": {"compression": "application/x-gzip"}},
        good | {"body": base64.b64encode(b"\x80\x04N.").decode(), "content-type": "application/x-python-serialize"},
        good | {"properties": {"body_encoding": "base64", "delivery_tag": [1]}},
    )
    for one in odd:
        flower.publish_raw(json.dumps(one).encode())
    for raw in (b"", b"not json", b"\xff\xfe", b"[" * 100_000, b"x" * (MAX_MESSAGE_BYTES + 1)):
        flower.publish_raw(raw)
    assert seen(flower, "after-odd-messages@h")["status"] is True
    assert "receives no events" not in flower.process.log
    assert "Traceback" not in flower.process.log


def test_events_of_real_workers_are_accepted_unchanged(flower: Flower) -> None:
    row = rows(flower)[f"web@{socket.gethostname()}"]
    assert row["status"] is True
    assert (row["sw_ident"], len(row["loadavg"])) == ("py-celery", 3)
    assert row["freq"] > 0
    assert row["pid"] > 0


@pytest.mark.parametrize("event", [HEARTBEAT, TASK])
def test_a_valid_event_is_accepted_unchanged(event: dict[str, Any]) -> None:
    passed, dropped = decode(envelope([event, event], {}))
    assert dropped == 0
    assert passed == [{**event, **({"loadavg": (0.1, 0.2, 0.3)} if "loadavg" in event else {})}] * 2


@given(st.binary(max_size=300) | st.recursive(st.none() | st.text() | st.floats() | st.integers(), st.lists).map(
    lambda body: json.dumps(body).encode()))  # fmt: skip
def test_any_bytes_are_an_event_or_dropped(raw: bytes) -> None:
    events, dropped = decode(raw)
    assert (events, dropped) == ([], 1)
    body = json.dumps({"body": base64.b64encode(raw).decode(), "properties": {"body_encoding": "base64"}}).encode()
    assert decode(body)[0] == []


def test_dropped_events_are_logged_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    now = [0.0]
    gate = EventGate(logging.getLogger("courier.flower"), lambda: now[0])
    for moment in (0.0, 1.0, LOG_INTERVAL_S - 1, LOG_INTERVAL_S + 1):
        now[0] = moment
        assert gate.message(b"odd") == b""
    assert [record.dropped for record in caplog.records] == [1, 3]  # type: ignore[attr-defined]  # an extra field
