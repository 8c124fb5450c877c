from __future__ import annotations

from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from common.ledger import Ledger
from common.node import report
from common.worker_report import WorkerReport, tell
from ops.cli.main import courier
from ops.health import Unhealthy

if TYPE_CHECKING:
    from pathlib import Path

    import redis

    from ops.embedded import EmbeddedServer


@pytest.fixture(autouse=True)
def _address(server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COURIER_REDIS_URL", server.url)


def health(*arguments: str) -> str:
    return CliRunner().invoke(courier, ["health", *arguments], catch_exceptions=False).output


def seen(client: redis.Redis, *, ago_s: float, idle_s: float = 0.0) -> None:
    now_ms = Ledger(client).now_ms()
    idle_since_ms = now_ms - int(idle_s * 1000) if idle_s else 0
    seen_ms = now_ms - int(ago_s * 1000)
    report(client, "n", added={}, texts={"seen_ms": str(seen_ms)})
    tell(client, "http@host", WorkerReport(seen_ms=seen_ms, begun=5, running=0, idle_since_ms=idle_since_ms))


def test_a_sign_of_life_is_healthy_as_long_as_it_is_fresh(client: redis.Redis) -> None:
    seen(client, ago_s=20)
    assert "the producer of node n gave its last sign 20 s ago" in health("producer", "--node", "n")
    assert "http@host gave its last sign 20 s ago" in health("worker", "--name", "http", "--host", "host")
    seen(client, ago_s=31)
    for question in (["producer", "--node", "n"], ["worker", "--name", "http", "--host", "host"]):
        with pytest.raises(Unhealthy, match="last sign 31 s ago; see its log"):
            health(*question)


def test_a_producer_that_may_not_read_the_alert_log_is_not_healthy(
    client: redis.Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen(client, ago_s=0)
    question = ("producer", "--node", "n", "--alerts", str(tmp_path / "alerts.json"))
    assert "last sign" in health(*question)
    (tmp_path / "alerts.json").touch()
    assert "last sign" in health(*question)
    monkeypatch.setattr("os.access", lambda path, _mode: path != tmp_path / "alerts.json")  # root may read everything
    with pytest.raises(Unhealthy, match=r"alerts.json cannot be read by user \d+ and group \d+; run the producer as"):
        health(*question)


def test_no_sign_at_all_is_not_healthy(client: redis.Redis) -> None:
    seen(client, ago_s=0)
    for question in (["producer", "--node", "m"], ["worker", "--name", "http", "--host", "elsewhere"]):
        with pytest.raises(Unhealthy, match="has given no sign"):
            health(*question)


def test_a_worker_that_leaves_work_lying_is_not_healthy(client: redis.Redis) -> None:
    seen(client, ago_s=0, idle_s=59)
    assert "last sign 0 s ago" in health("worker", "--name", "http", "--host", "host")
    seen(client, ago_s=0, idle_s=61)
    with pytest.raises(Unhealthy, match=r"work lies in the queues of http@host.* for 61 s; restart it"):
        health("worker", "--name", "http", "--host", "host")


def test_flower_is_asked_for_a_page_under_its_prefix() -> None:
    asked = []

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Page) as server:
        thread = Thread(target=server.handle_request)
        thread.start()
        environment = {"COURIER_FLOWER_URL_PREFIX": "/flower/", "COURIER_FLOWER_PORT": str(server.server_address[1])}
        result = CliRunner().invoke(courier, ["health", "flower", "--flower-address", "0.0.0.0"], env=environment)  # noqa: S104 — where it listens
        thread.join()
    assert (result.exit_code, asked) == (0, ["/flower/healthcheck"])
    with pytest.raises(Unhealthy, match="Flower does not answer"):
        CliRunner().invoke(courier, ["health", "flower"], env=environment, catch_exceptions=False)
