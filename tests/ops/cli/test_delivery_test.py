"""`courier test`, with real processes, a real Redis and a real HTTP target."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from click.testing import CliRunner

from common.ledger import Ledger, Unaccounted, unaccounted
from common.reports.worker import WorkerReport, publish_worker_report
from ops.cli.main import courier
from tests.support.processes import Courier, alert
from tests.support.recorder import Server, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import redis

    from ops.standalone.embedded_redis import EmbeddedServer

SECRET = "T0PSECRETHOOK"
REPORT = {
    "response_code": 1,
    "sha1": "3395856ce81f2b7382dee72602f798b642f14140",
    "scan_date": "2026-01-31 08:00:00",
    "positives": 60,
    "total": 62,
    "permalink": "https://vt.example/eicar",
}
SCRIPT = """#!/bin/sh
grep -c "Courier test" "$1"
echo "sent with $3"
exit {status}
"""


class Target:
    """A server whose responses depend on the path."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, bytes]] = []
        self.go_on = threading.Event()
        target = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                target.requests.append((self.path, body))
                self._respond(*target.response(self.path))

            def do_GET(self) -> None:
                target.requests.append((self.path, b""))
                self._respond(200, json.dumps(REPORT))

            def _respond(self, status: int, text: str) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_: object) -> None:
                pass

        self._server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def response(self, path: str) -> tuple[int, str]:
        if "slow" in path:
            self.go_on.wait(30)
        status = 400 if "refuse" in path else 503 if "down" in path else 200
        return status, f"path is {path}" if status != 200 else "ok \x1b[31mred"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def paths(self, part: str) -> list[str]:
        return [path for path, _ in self.requests if part in path]

    def close(self) -> None:
        self.go_on.set()
        self._server.shutdown()
        self._server.server_close()


def block(name: str, path: str, target: Target, level: int = 15) -> str:
    return (
        f"<integration><name>{name}</name><hook_url>{target.url}/{path}/{SECRET}</hook_url><api_key>0123456789abcdef"
        f"</api_key><level>{level}</level><alert_format>json</alert_format></integration>"
    )


class Ended(NamedTuple):
    """What a run of `courier test` printed, and its error."""

    out: str
    err: str
    error: str

    @property
    def results(self) -> dict[str, Any]:
        return {one["integration"]: one for one in map(json.loads, self.out.splitlines())}


def run(*arguments: str, environment: Mapping[str, str]) -> Ended:
    ended = CliRunner().invoke(courier, ["test", *arguments], env=environment)
    failed = ended.exit_code != 0
    return Ended(ended.stdout, ended.stderr, (str(ended.exception) + ended.stderr) if failed else "")


class System:
    """A manager with integrations of every kind, and `courier up` as real processes."""

    IDS = ("slack", "shuffle", "pagerduty", "custom-good", "custom-bad", "virustotal")

    def __init__(self, folder: Path) -> None:
        self.folder, self.target = folder, Target()
        home = folder / "home"
        (home / "integrations").mkdir(parents=True)
        (folder / "alerts.json").touch()
        blocks = [
            block("slack", "ok", self.target),
            block("shuffle", "refuse", self.target),
            "<integration><name>pagerduty</name><api_key>0123456789abcdef</api_key></integration>",
            "<integration><name>virustotal</name><api_key>0123456789abcdef</api_key></integration>",
        ]
        for name, status in (("custom-good", 0), ("custom-bad", 3)):
            file = home / "integrations" / name
            file.write_text(SCRIPT.format(status=status))
            file.chmod(0o750)
            blocks.append(
                f"<integration><name>{name}</name><hook_url>https://h.example/{SECRET}</hook_url>"
                "<alert_format>json</alert_format></integration>"
            )
        (folder / "ossec.conf").write_text(f"<ossec_config>{''.join(blocks)}</ossec_config>")
        (folder / "courier.toml").write_text(
            f'[integrations.virustotal]\nendpoint = "{self.target.url}/vt"\n'
            f'[integrations.pagerduty]\nendpoint = "{self.target.url}/slow"\n'
            "[integrations.default]\nbreaker_failures = 1\n"
        )
        self.environment = {
            "COURIER_SETTINGS": str(folder / "courier.toml"),
            "COURIER_STATE_DIR": str(folder / "state"),
            "COURIER_PRODUCER_NODE": "wazuh-1",
            "COURIER_PRODUCER_CONFIG": str(folder / "ossec.conf"),
            "COURIER_PRODUCER_ALERTS": str(folder / "alerts.json"),
            "COURIER_WORKER_WAZUH_HOME": str(home),
        }

    def up(self) -> Courier:
        return Courier(self.folder, "up", "--flower-port", "0", **self.environment)

    def test(self, *arguments: str, **more: str) -> Ended:
        return run(*arguments, environment=self.environment | more)

    def courier(self, *arguments: str) -> str:
        ended = CliRunner().invoke(courier, arguments, env=self.environment)
        assert ended.exit_code == 0, ended.output
        return ended.stdout

    def status(self, integration_id: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.courier("status", "--json"))["integrations"][integration_id]
        return found


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    system = System(tmp_path_factory.mktemp("system"))
    with system.up() as up:
        eventually(lambda: up.log.count("ready.") >= 2 and up.log.count("reading starts") >= len(System.IDS))
        yield system
    system.target.close()


def test_shows_request_response_and_steps(system: System) -> None:
    ended = system.test("slack")
    assert not ended.error
    assert "slack: delivered, status 200" in ended.out
    for shown in ("steps: committed", "begun", "sent", "settled", "POST", "Courier test", "sent by "):
        assert shown in ended.out
    assert "\x1b" not in ended.out
    assert SECRET not in ended.out
    assert any(b"Courier test" in body for _, body in system.target.requests)
    (result,) = system.test("slack", "--json", "--level", "12").results.values()
    assert "_(Level 12)_" in result["calls"][0]["request"]["body"]
    steps = result["steps"]
    assert steps["committed_ms"] <= steps["begun_ms"] <= steps["sent_ms"] <= steps["settled_ms"]
    assert steps["released_ms"] is None or steps["released_ms"] <= steps["begun_ms"]


def test_all_are_tested_at_once_each_as_its_kind_and_a_failure_has_no_consequences(system: System) -> None:
    system.target.go_on.set()
    before = len(system.target.paths("refuse"))
    ended = system.test("--all", "--json")
    assert "not delivered: custom-bad, shuffle" in ended.error
    results = ended.results
    assert set(results) == set(System.IDS)
    assert SECRET not in ended.out
    assert results["custom-good"]["outcome"] == "delivered"
    assert "Courier test" in "".join(results["custom-good"]["calls"][0]["request"]["files"].values())
    bad = results["custom-bad"]
    assert (bad["outcome"], bad["reason"], bad["status"]) == ("failed", "script_failed", 3)
    refused = results["shuffle"]
    assert (refused["outcome"], refused["reason"], refused["status"]) == ("failed", "http_4xx", 400)
    assert results["virustotal"]["outcome"] == "delivered"
    assert "44d88612fea8a8f36de82e1278abb02f" in system.target.paths("/vt")[0]
    assert len(system.target.paths("refuse")) == before + 1, "one attempt"
    for integration_id in System.IDS:
        status = system.status(integration_id)
        assert (status["waiting"], status["released"], status["dead"]) == (0, 0, 0)
        assert status["unaccounted"] == {"alerts": 0, "deliveries": 0}
        assert status["last_error"] == ""
        assert status["breaker"]["state"] == "closed"
        assert not [node for node in status["cursors"] if node.startswith("test")]
    assert system.status("custom-bad")["totals"]["skipped:test_failed"] == 1
    assert system.status("manager")["totals"]["committed"] == 0, "no verdict goes to the manager"
    brief = system.test("--all")
    assert len(brief.out.splitlines()) == len(System.IDS)


def test_says_that_it_is_paused_and_withdraws_the_test(system: System) -> None:
    system.courier("pause", "slack", "--reason", "maintenance of Slack")
    before = len(system.target.paths("/ok"))
    ended = system.test("slack", "--timeout", "3s")
    assert "not delivered: slack" in ended.error
    assert "slack: not sent: paused" in ended.out
    assert "maintenance of Slack" in ended.out
    assert "slack: not sent yet: paused" in ended.err
    assert system.status("slack")["waiting"] == 0
    system.courier("resume", "slack")
    assert not system.test("slack").error
    assert len(system.target.paths("/ok")) == before + 1, "the withdrawn test was not sent"


def test_a_target_that_does_not_respond_in_time(system: System) -> None:
    system.target.go_on.clear()
    before = system.status("pagerduty")["totals"]["delivered"]
    ended = system.test("pagerduty", "--timeout", "3s")
    assert "not delivered: pagerduty" in ended.error
    assert "pagerduty: unknown: a worker has begun it" in ended.out
    system.target.go_on.set()
    eventually(lambda: system.status("pagerduty")["totals"]["delivered"] > before)


def test_direct_needs_neither_redis_nor_a_worker(tmp_path: Path) -> None:
    system = System(tmp_path)
    system.target.go_on.set()
    ended = system.test("slack", "--direct")
    assert not ended.error
    assert "slack: delivered, status 200" in ended.out
    assert SECRET not in ended.out
    results = system.test("--all", "--direct", "--json").results
    assert {name: one["outcome"] for name, one in results.items()} == dict.fromkeys(System.IDS, "delivered") | {
        "shuffle": "failed",
        "custom-bad": "failed",
    }
    denied = system.test("slack", "--direct", "--json", COURIER_INTEGRATIONS_DEFAULT_DENY_PRIVATE="true").results
    assert denied["slack"]["reason"] == "not_configured"
    assert "private" in denied["slack"]["detail"]
    file = tmp_path / "alert.json"
    file.write_bytes(alert(1))
    assert not system.test("slack", "--direct", "--alert", str(file)).error
    assert b"Courier test: sshd: brute force" in system.target.requests[-1][1]
    system.target.close()


def test_refuses_what_the_producer_would_reject(tmp_path: Path) -> None:
    file = tmp_path / "alert.json"
    for content, why in ((b"[1]", "not_an_object"), (b'{"rule": {"id": "1"', "invalid_json"), (b"{}", "no_rule")):
        file.write_bytes(content)
        ended = run("slack", "--alert", str(file), environment={"COURIER_REDIS_URL": "redis://127.0.0.1:1"})
        assert f"{file} is not an alert ({why}: " in ended.error
        assert ended.error.endswith("; nothing was sent")


def test_says_that_no_worker_serves_it(server: EmbeddedServer, client: redis.Redis) -> None:
    client.hset("courier:integrations", mapping={"slack": "sealed", "version": 1})
    environment = {"COURIER_REDIS_URL": server.url}
    ended = run("slack", "--timeout", "2s", environment=environment)
    assert "slack: not sent: no worker is running" in ended.out
    ledger = Ledger(client)
    report = WorkerReport(seen_ms=ledger.now_ms(), begun=0, running=0, idle_since_ms=0, serves=("shuffle",))
    publish_worker_report(client, "http@\x1bhost", "1", report)
    ledger.commit(
        "slack",
        node="n",
        expected="",
        cursor="c",
        deliveries=[(str(n), b"{}") for n in range(3)],
        max_backlog=10,
        max_backlog_bytes=10**6,
    )
    ended = run("slack", "--timeout", "2s", environment=environment)
    assert "no running worker serves it (running: http@\\u001bhost), 3 deliveries ahead of it" in ended.out
    status = ledger.status("slack")
    assert status.waiting == 3
    assert status.totals["skipped:test_failed"] == 2
    assert unaccounted(status) == Unaccounted(alerts=0, deliveries=0)
    assert status.cursors == {"n": "c"}


def test_a_damaged_integration_costs_only_its_own_test(server: EmbeddedServer, client: redis.Redis) -> None:
    client.hset("courier:integrations", mapping={"slack": "sealed", "shuffle": "sealed", "version": 1})
    client.set("courier:{slack}:waiting", "not a sorted set")
    ended = run("--all", "--timeout", "1s", "--json", environment={"COURIER_REDIS_URL": server.url})
    assert "courier:{slack}:waiting" in ended.results["slack"]["why"]
    assert ended.results["shuffle"]["why"] == "no worker is running"


def test_says_what_blocks_the_integration(server: EmbeddedServer, client: redis.Redis) -> None:
    client.hset("courier:integrations", mapping={"slack": "sealed", "version": 1})
    until_ms = Ledger(client).now_ms() + 90_000
    client.hset(
        "courier:{slack}:control",
        mapping={"breaker": "open", "breaker_until_ms": until_ms, "breaker_reason": "http_5xx"},
    )
    ended = run("slack", "--timeout", "1s", environment={"COURIER_REDIS_URL": server.url})
    assert "slack: not sent: breaker open, next try in" in ended.out
    assert "http_5xx" in ended.out


def test_manager_is_not_tested(server: EmbeddedServer, client: redis.Redis) -> None:
    client.hset("courier:integrations", mapping={"slack": "sealed", "version": 1})
    ended = run("manager", environment={"COURIER_REDIS_URL": server.url})
    assert "accepts only signed events" in ended.error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "no integration given"),
        (("slack", "--all"), "omit the ids"),
        (("slack", "--timeout", "1h"), "not in the range of 1s to 5m"),
        (("slack", "--timeout", "soon"), "write 30s, 5m or 2h"),
        (("slack", "--level", "99"), "99"),
        (("slak", "--direct"), "did you mean 'slack'"),
        (("slack",), "Redis is unavailable"),
    ],
)
def test_wrong_input(tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    system = System(tmp_path)
    ended = system.test(*arguments)
    assert message in ended.error
    assert not system.target.requests
    system.target.close()
