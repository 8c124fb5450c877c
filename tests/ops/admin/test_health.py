from __future__ import annotations

import base64
import os
import re
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import TYPE_CHECKING, ClassVar

import pytest
from click.testing import CliRunner

from common.errors import LedgerUnavailable, Unhealthy
from common.ledger import Ledger
from common.reports.producer import ProducerReport, publish_producer_report
from common.reports.worker import WorkerReport, publish_worker_report
from ops.cli.main import courier, exit_code
from workers.process_identity import ProcessIdentity, of_child, this_process

if TYPE_CHECKING:
    from pathlib import Path

    import redis

    from ops.standalone.embedded_redis import EmbeddedServer


@pytest.fixture(autouse=True)
def _address(server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COURIER_REDIS_URL", server.url)


def health(*arguments: str) -> str:
    return CliRunner().invoke(courier, ["health", *arguments], catch_exceptions=False).output


HERE = this_process()


def seen(client: redis.Redis, *, ago_s: float, idle_s: float = 0.0, process: ProcessIdentity = HERE) -> None:
    now_ms = Ledger(client).now_ms()
    idle_since_ms = now_ms - int(idle_s * 1000) if idle_s else 0
    seen_ms = now_ms - int(ago_s * 1000)
    publish_producer_report(client, "n", ProducerReport(seen_ms=seen_ms), added={})
    report = WorkerReport(seen_ms=seen_ms, begun=5, running=0, idle_since_ms=idle_since_ms)
    publish_worker_report(client, "http@host", str(process), report)


def test_process_is_healthy_while_its_report_is_recent(client: redis.Redis) -> None:
    seen(client, ago_s=20)
    assert "the producer of node n last reported 20 s ago" in health("producer", "--node", "n")
    assert "http@host last reported 20 s ago" in health("worker", "--name", "http", "--host", "host")
    seen(client, ago_s=31)
    for question in (["producer", "--node", "n"], ["worker", "--name", "http", "--host", "host"]):
        with pytest.raises(Unhealthy, match="last reported 31 s ago; see its log"):
            health(*question)


def test_health_without_redis_exits_with_75(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("COURIER_REDIS_URL", f"unix://{tmp_path}/no-server")
    for question in (["producer", "--node", "n"], ["worker", "--name", "http"]):
        with pytest.raises(LedgerUnavailable) as caught:
            health(*question)
        assert exit_code(caught.value) == 75


def test_producer_that_cannot_read_the_alert_log_is_unhealthy(
    client: redis.Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen(client, ago_s=0)
    question = ("producer", "--node", "n", "--alerts", str(tmp_path / "alerts.json"))
    assert "last reported" in health(*question)
    (tmp_path / "alerts.json").touch()
    assert "last reported" in health(*question)
    monkeypatch.setattr("os.access", lambda path, _mode: path != tmp_path / "alerts.json")  # root can read everything
    with pytest.raises(Unhealthy, match=r"alerts.json cannot be read: Permission denied for user \d+ .*COURIER_UID"):
        health(*question)


def test_process_that_never_reported_is_unhealthy(client: redis.Redis) -> None:
    seen(client, ago_s=0)
    for question in (["producer", "--node", "m"], ["worker", "--name", "http", "--host", "elsewhere"]):
        with pytest.raises(Unhealthy, match="has never reported"):
            health(*question)


def test_worker_that_starts_no_queued_task_is_unhealthy(client: redis.Redis) -> None:
    seen(client, ago_s=0, idle_s=59)
    assert "last reported 0 s ago" in health("worker", "--name", "http", "--host", "host")
    seen(client, ago_s=0, idle_s=61)
    with pytest.raises(Unhealthy, match=r"the worker http@host has started no task for 61 s .*; restart it"):
        health("worker", "--name", "http", "--host", "host")


def test_each_worker_of_the_same_name_is_checked(client: redis.Redis) -> None:
    question = ("worker", "--name", "http", "--host", "host")
    seen(client, ago_s=40, process=of_child(os.getppid()))
    seen(client, ago_s=0)
    with pytest.raises(Unhealthy, match=rf"http@host \(pid {os.getppid()}\) last reported 40 s ago; see its log"):
        health(*question)
    seen(client, ago_s=0, idle_s=61, process=of_child(os.getppid()))
    with pytest.raises(Unhealthy, match=rf"http@host \(pid {os.getppid()}\) has started no task for 61 s"):
        health(*question)
    seen(client, ago_s=1, process=of_child(os.getppid()))
    assert {f"(pid {os.getpid()})", f"(pid {os.getppid()})"} <= set(re.findall(r"\(pid \d+\)", health(*question)))


def test_restarted_worker_is_healthy(client: redis.Redis) -> None:
    question = ("worker", "--name", "http", "--host", "host")
    for ended in (HERE._replace(started="1"), HERE._replace(namespace="9"), HERE._replace(boot="other")):
        seen(client, ago_s=100, process=ended)
    seen(client, ago_s=0)
    assert health(*question) == "the worker http@host last reported 0 s ago\n"
    seen(client, ago_s=100)
    with pytest.raises(Unhealthy, match=r"last reported 10\d s ago"):
        health(*question)


class Page(BaseHTTPRequestHandler):
    """Responds to health checks with a given response and records the requests."""

    status = 200
    asked: ClassVar[list[tuple[str, str]]] = []

    def do_GET(self) -> None:
        self.asked.append((self.path, self.headers.get("Authorization", "")))
        self.send_response(self.status)
        self.end_headers()
        self.wfile.write(b"no connection to Redis for 12 s")

    def log_message(self, *_: object) -> None:
        pass


def test_flower_check_uses_url_prefix_and_login() -> None:
    with HTTPServer(("127.0.0.1", 0), Page) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        environment = {
            "COURIER_FLOWER_URL_PREFIX": "/flower/",
            "COURIER_FLOWER_PORT": str(server.server_address[1]),
            "COURIER_FLOWER_BASIC_AUTH": "soc:s3cret",
        }
        result = CliRunner().invoke(courier, ["health", "flower", "--flower-address", "0.0.0.0"], env=environment)  # noqa: S104 — Flower's listen address
        Page.status = 503
        with pytest.raises(Unhealthy, match=r"Flower responded with status 503 at .*: no connection to Redis for 12 s"):
            CliRunner().invoke(courier, ["health", "flower"], env=environment, catch_exceptions=False)
        server.shutdown()
    assert result.exit_code == 0
    assert Page.asked[0] == ("/flower/healthcheck", f"Basic {base64.b64encode(b'soc:s3cret').decode()}")
    with pytest.raises(Unhealthy, match="Flower does not respond"):
        CliRunner().invoke(courier, ["health", "flower"], env=environment, catch_exceptions=False)
