"""The output of `courier status` for scripts and monitoring."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from click.testing import CliRunner
from msgspec import structs

from common.health.checks import HEARTBEAT_TIMEOUT_S, IDLE_LIMIT_S
from common.reports.producer import IntegrationLag, ProducerReport, publish_producer_report
from common.reports.worker import WorkerReport, publish_worker_report
from ops.admin.status_report import StatusReport
from ops.cli.main import courier
from tests.ops.cli.test_status import bury
from tests.support.ledger import Ledger

if TYPE_CHECKING:
    import redis

    from ops.standalone.embedded_redis import EmbeddedServer

PAGE = Path(__file__).parents[3] / "ops" / "docs" / "command-line.md"


@pytest.fixture
def ledger(client: redis.Redis, server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    monkeypatch.setenv("COURIER_REDIS_URL", server.url)
    client.hset("courier:integrations", mapping={"slack": "sealed", "version": 1})
    return Ledger(client)


def alive(
    client: redis.Redis, *, ago_s: float = 0, idle_s: float = 0, backpressured: tuple[str, ...] = (), **texts: str
) -> None:
    now_ms = Ledger(client).now_ms()
    seen_ms = now_ms - round(ago_s * 1000)
    lags = {
        one: IntegrationLag(lag_bytes=3, lag_s=1.5, backpressured=one in backpressured) for one in ("shuffle", "slack")
    }
    report = structs.replace(ProducerReport(seen_ms=seen_ms, lags=lags), **texts)
    publish_producer_report(client, "m1", report, added={"lines": 1})
    idle_since_ms = now_ms - round(idle_s * 1000) if idle_s else 0
    publish_worker_report(
        client, "http@h1", "1", WorkerReport(seen_ms=seen_ms, begun=1, running=0, idle_since_ms=idle_since_ms)
    )


def status(*options: str) -> tuple[int, str]:
    result = CliRunner().invoke(courier, ["status", *options])
    assert not isinstance(result.exception, Exception), result.exception
    return result.exit_code, result.stdout


def status_document() -> dict[str, Any]:
    code, out = status("--json")
    assert code == 0
    found: dict[str, Any] = json.loads(out)
    return found


def keys(value: Any) -> Any:
    """Return the names and types, without the values."""
    if isinstance(value, dict):
        return {name: keys(content) for name, content in value.items()}
    return None


def test_json_is_typed_and_not_nested_as_text(client: redis.Redis, ledger: Ledger) -> None:
    alive(client, backpressured=("slack", "shuffle"))
    bury(ledger, "n:f:1", rule="5712", reason="http_4xx")
    ledger.pause("slack", "why")
    document = status_document()
    assert msgspec.convert(document, StatusReport, strict=True)
    assert document["version"] == 1
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", document["time"])
    assert document["workers"]["http@h1"] | {"seen_ms": 0} == {
        "name": "http",
        "host": "h1",
        "seen_ms": 0,
        "begun": 1,
        "running": 0,
        "idle_since_ms": None,
        "config_error": "",
    }
    node = document["nodes"]["m1"]
    assert node["backpressured"] == ["shuffle", "slack"]
    assert node["integrations"]["slack"] | {} == {
        "lag_bytes": 3,
        "lag_s": 1.5,
        "backpressured": True,
        "max_backlog": 0,
        "max_backlog_bytes": 0,
    }

    def texts(value: Any) -> list[str]:
        if isinstance(value, str):
            return [value]
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        return [text for one in inner for text in texts(one)]

    assert not [text for text in texts(document) if text[:1] in set('{["') and text[-1:] in set('}]"')]


def test_json_always_has_all_keys(client: redis.Redis, ledger: Ledger) -> None:
    alive(client)
    quiet = status_document()["integrations"]["manager"]
    bury(ledger, "n:f:1", rule="5712", reason="http_4xx")
    busy = status_document()["integrations"]["slack"]
    assert set(quiet) == set(busy)
    assert set(quiet["totals"]) <= set(busy["totals"])
    empty = status_document()
    client.flushall()
    assert set(status_document()) == set(empty)


def test_every_key_is_documented() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for name in re.findall(r'"([a-z_]+)":', json.dumps(msgspec.json.schema(StatusReport)["$defs"])):
        if name in {"title", "description", "type", "properties", "required", "items", "anyOf", "additionalProperties"}:
            continue
        assert f"`{name}`" in page or name[0].isupper(), name


def test_tables_have_fixed_columns_without_a_terminal(client: redis.Redis, ledger: Ledger) -> None:
    before = [table.splitlines()[0] for table in status()[1].split("\n\n")]
    alive(client)
    bury(ledger, "n:f:1", rule="5712", reason="http_4xx")
    ledger.pause("slack", "why")
    tables = [table.splitlines() for table in status()[1].split("\n\n")]
    assert [table[0] for table in tables] == before
    assert [table[0].split("\t")[0] for table in tables] == ["Integration", "Node", "Worker"]
    for table in tables:
        assert len({line.count("\t") for line in table}) == 1
    assert tables[2][1].startswith("http@h1\t")


def test_check_is_ok_without_findings(client: redis.Redis, ledger: Ledger) -> None:
    del ledger
    alive(client)
    code, out = status("--check")
    assert (code, out.count("\n")) == (0, 1)
    assert out.startswith("COURIER OK - 2 integrations, 1 producer, 1 worker | waiting=0 released=0 dead=0 oldest=")


def test_check_is_warning_for_dead_letters_and_holds(client: redis.Redis, ledger: Ledger) -> None:
    alive(client, config_error="ossec.conf:3: no", backpressured=("slack",), foreign_writes="somebody wrote")
    bury(ledger, "n:f:1", rule="5712", reason="http_4xx")
    ledger.pause("slack", "a|b\nc")
    code, out = status("--check")
    assert code == 1
    assert out.startswith("COURIER WARNING - ")
    for part in (
        "m1: ossec.conf:3: no",
        "m1: somebody wrote",
        "m1: backlog full: slack",
        "slack: 1 dead letter",
        "a/b\\nc",
        "dead=1",
    ):
        assert part in out
    assert out.count("|") == 1


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"ago_s": HEARTBEAT_TIMEOUT_S + 5}, "the producer of m1 last reported 35."),
        ({"ago_s": HEARTBEAT_TIMEOUT_S + 5}, "no worker is running"),
        ({"intake_paused": "Redis is full"}, "m1: intake paused: Redis is full"),
        ({"idle_s": IDLE_LIMIT_S + 30}, "although tasks are queued; restart it"),
    ],
)
def test_check_is_critical_without_progress(
    client: redis.Redis, ledger: Ledger, how: dict[str, Any], words: str
) -> None:
    del ledger
    alive(client, **how)
    code, out = status("--check")
    assert code == 2
    assert out.startswith("COURIER CRITICAL - ")
    assert words in out


def test_check_is_critical_if_no_process_ever_reported(client: redis.Redis, ledger: Ledger) -> None:
    del client, ledger
    assert status("--check")[0] == 2


def test_check_is_critical_without_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COURIER_REDIS_URL", "redis://127.0.0.1:1/0")
    code, out = status("--check")
    assert (code, out.count("\n")) == (2, 1)
    assert out.startswith("COURIER CRITICAL - Redis cannot be reached") or "Redis is unavailable" in out


def test_state_folder_without_courier_up_is_named_in_the_error(tmp_path: Path) -> None:
    result = CliRunner().invoke(courier, ["status", "--state", str(tmp_path)])
    assert str(result.exception).startswith(f"no `courier up` of this version has run in {tmp_path}")
    (tmp_path / "redis.url").write_text(f"unix://:x@{tmp_path}/redis.sock")
    result = CliRunner().invoke(courier, ["status", "--state", str(tmp_path)])
    assert str(result.exception).startswith(f"`courier up` is not running in {tmp_path}: ")
