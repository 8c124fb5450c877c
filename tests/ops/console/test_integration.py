from __future__ import annotations

import json
import re
import threading
import time
from contextlib import suppress
from html import unescape
from http.client import HTTPException
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from cryptography.fernet import Fernet

from common.integration import Integration
from common.ledger import Attempt, Commit, DeadLetter, Delivery, Header, Ledger
from common.ledger.digest_types import Folds, Group, Part
from common.ledger.history import Facts, encode_facts
from common.ledger.keys import history_key
from common.registry.encryption import Cipher
from common.registry.published import PublishedRegistry
from common.secret import Secret
from ops.cli.main import courier
from ops.console import delivery_tests
from tests.support.console import LOGIN, ConsoleServer
from tests.support.processes import alert
from tests.support.recorder import eventually
from workers.delivery import test_report
from workers.delivery.test_report import CallReport, DeliveryTestReport
from workers.rendering import RenderedCall

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import redis

    from ops.standalone.embedded_redis import EmbeddedServer
    from tests.support.console import Visitor

KEY = Fernet.generate_key().decode()
HOOK = "https://hooks.slack.example/services/T0PSECRETHOOK"
HOSTILE = '"><script>alert(1)</script>\u202e\x1b[31m' + "x" * 100_000
SLACK = Integration(
    id="slack", name="slack", hook_url=Secret(HOOK), level=7, only=("agent.name = web*",), file="ossec.conf", line=12
)
TIMEOUT_S = 6.0
"""How long a test waits for a worker here."""

POLICY: dict[str, Any] = {"rate_limits": ["5/s"], "environment": {"TOKEN": "t0ken-of-a-variable"}}


@pytest.fixture(scope="module")
def console(server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleServer]:
    folder = tmp_path_factory.mktemp("console")
    settings = {"flower.basic_auth": LOGIN, "state.secret_key": KEY, "producer.alerts": str(folder / "alerts.json")}
    (folder / "alerts.json").write_bytes(b"")
    with pytest.MonkeyPatch.context() as patch, ConsoleServer(folder, server.url, **settings) as running:
        patch.setattr(delivery_tests, "TIMEOUT_S", TIMEOUT_S)
        yield running


@pytest.fixture
def ledger(client: redis.Redis) -> Ledger:
    PublishedRegistry(client, Cipher(KEY.encode())).publish("n1", [SLACK], {"slack": POLICY})
    return Ledger(client)


def shown(visitor: Visitor, path: str = "/integration/slack") -> str:
    page = visitor.get(path)
    assert page.status == 200, page.text
    for secret in ("T0PSECRETHOOK", "t0ken-of-a-variable", KEY):
        assert secret not in page.text
    return unescape(page.text)


def dead(text: str = "no") -> DeadLetter:
    header = Header(committed_ms=1, attempts=1, history=(Attempt(1, "http_4xx", text),))
    content = {
        "id": "17.42",
        "rule": {"id": "5712", "level": 10, "description": text},
        "agent": {"id": "001", "name": text},
        "location": "sshd",
    }
    return DeadLetter(Delivery("d-1", header, json.dumps(content).encode()), 1_769_846_402_000)


def test_filters_settings_and_a_message_are_shown_without_secrets(ledger: Ledger, operator: Visitor) -> None:
    page = shown(operator)
    for text in (
        "alerts of level 7 or higher where agent.name = web*",
        "ossec.conf, line 12",
        "5/s",
        "TOKEN = ",
        "POST https://",
    ):
        assert text in page
    assert "Made of the alert of a test" in page
    ledger.import_dead("slack", [dead("brute force")])
    page = shown(operator)
    assert "Made of the newest dead letter" in page
    assert "17.42" in page
    assert "brute force" in page
    waiting = [("w", alert(5).rstrip())]
    ledger.commit("slack", node="n", expected="", cursor="c", deliveries=waiting, max_backlog=9, max_backlog_bytes=9999)
    assert "Made of an alert that waits" in shown(operator)


def test_the_message_is_made_of_the_newest_matching_alert_of_a_readable_log(
    ledger: Ledger, server: EmbeddedServer, tmp_path: Path
) -> None:
    del ledger
    log = tmp_path / "alerts.json"
    lines = [(1, 9, "web-1"), (2, 9, "db-1"), (3, 3, "web-1")]
    made = [{"id": f"1.{n}", "rule": {"id": "1", "level": level}, "agent": {"name": name}} for n, level, name in lines]
    log.write_text("".join(f"{json.dumps(one)}\n" for one in made))
    settings = {"state.secret_key": KEY, "producer.alerts": str(log)}
    with ConsoleServer(tmp_path, server.url, **settings) as console:
        page = shown(console.visitor(""))
    assert "Made of the newest matching alert of the log" in page
    assert 'data-copy="1.1"' in page


def test_without_the_key_the_rest_is_shown_and_no_key_is_made(
    ledger: Ledger, server: EmbeddedServer, tmp_path: Path
) -> None:
    ledger.pause("slack", "moving")
    with ConsoleServer(tmp_path, server.url, **{"state.dir": str(tmp_path / "state")}) as console:
        page = shown(console.visitor(""))
        assert "this process has no secret key" in page
        assert "moving" in page
        assert not (tmp_path / "state" / "secret.key").exists()
    with ConsoleServer(tmp_path, server.url, **{"state.secret_key": Fernet.generate_key().decode()}) as console:
        assert "encrypted with another secret key" in shown(console.visitor(""))


def test_the_history_gives_latencies_and_the_noisiest_rules_and_open_groups_are_listed(
    ledger: Ledger, client: redis.Redis, operator: Visitor
) -> None:
    now_ms = ledger.now_ms()
    for n in range(12):
        facts = {"rule_id": "5710" if n % 3 else "31", "rule_description": HOSTILE[:90], "committed_ms": now_ms - 5000}
        add_history(client, f"{now_ms - 3000 + n}-0", outcome="delivered" if n else "dead", **facts)
    group = Group(group="g:1", values='{"rule.id": "5710"}', every_ms=600_000)
    part = Part(group=1, delivery=0, number=7, oldest=("t", "1"), newest=("t", "2"), level=9, base="{}")
    folds = Folds(groups=[group], parts=[part], others=(group, group))
    terms = Commit(node="n", expected="", cursor="c", deliveries=[], max_backlog=9, max_backlog_bytes=999, folds=folds)
    ledger.commit_all({"slack": terms}, {})
    client.hset("courier:{slack}:digest", "g:2", "junk")
    client.zadd("courier:{slack}:groups", {"g:2": 1})
    page = shown(operator)
    assert page.count("<polyline") == 2
    assert re.search(r"<bdi>5710</bdi></th>.*?<td>8</td><td>8</td>", page)
    assert "rule.id = 5710</th><td>7</td><td>9</td>" in page
    assert "<script>alert" not in operator.get("/integration/slack").text


def add_history(client: redis.Redis, position: str, *, outcome: str, **facts: Any) -> None:
    """Write an entry as the ledger does."""
    fields: Any = {"id": position, "outcome": outcome, "reason": "", "facts": encode_facts(Facts(**facts))}
    client.xadd(history_key("slack"), fields, id=position)


def test_hostile_alerts_and_results_are_harmless(ledger: Ledger, client: redis.Redis, operator: Visitor) -> None:
    ledger.import_dead("slack", [dead(HOSTILE)])
    ledger.pause("slack", HOSTILE)
    call = CallReport(request=RenderedCall(method=HOSTILE, url=HOSTILE, body=HOSTILE), status=200, response=HOSTILE)
    report = DeliveryTestReport(outcome="failed", reason=HOSTILE, detail=HOSTILE, worker=HOSTILE, calls=(call,))
    answer = send_test(client, operator, report)
    page = operator.get(answer).text
    assert "<script>alert" not in page
    assert not {"\u202e", "\x1b"} & set(page)
    for path in ("/integration/nobody", "/integration/%3Cscript%3E", f"/integration/{'x' * 65}"):
        assert operator.get(path).status == 404
    assert operator.post("/integration/nobody/test", [("reason", "x")]).status == 404
    assert operator.post("/integration/manager/test", [("reason", "x")]).status == 400
    assert "it is built in" in shown(operator, "/integration/manager")


def send_test(client: redis.Redis, visitor: Visitor, report: DeliveryTestReport) -> str:
    """Send a test as a visitor and answer it as a worker would; return where the result is."""
    answers: list[Any] = []
    thread = threading.Thread(
        target=lambda: answers.append(visitor.post("/integration/slack/test", [("reason", "is it on?")]))
    )
    thread.start()
    (member,) = eventually(lambda: [one for one in waiting(client) if one.startswith(b"test:")])
    test_report.publish(client, "slack", member.decode(), report)
    client.zrem("courier:{slack}:waiting", member)
    client.hdel("courier:{slack}:records", member)
    thread.join(30)
    assert answers[0].status == 303, answers[0].text
    return str(answers[0].headers["location"]).partition("#")[0]


def waiting(client: redis.Redis) -> list[bytes]:
    found: Any = client.zrange("courier:{slack}:waiting", 0, -1)
    return list(found)


def test_a_test_alert_is_sent_and_its_result_shown(ledger: Ledger, client: redis.Redis, operator: Visitor) -> None:
    del ledger
    call = CallReport(request=RenderedCall(method="POST", url="https://***"), status=204, response="fine")
    report = DeliveryTestReport(outcome="delivered", worker="w@h", calls=(call,), duration_ms=120)
    page = shown(operator, send_test(client, operator, report))
    for text in ("by soc: delivered, status 204, 120 ms", "Sent by w@h", "fine"):
        assert text in page


def test_a_test_that_nobody_takes_blocks_no_visitor_and_is_withdrawn(
    ledger: Ledger, client: redis.Redis, console: ConsoleServer, operator: Visitor
) -> None:
    PublishedRegistry(client, Cipher(KEY.encode())).publish(
        "n1", [Integration(id=f"s{n}", name=f"s{n}") for n in range(delivery_tests.MAX_AT_ONCE)]
    )
    fields = [("reason", "x")]
    answers: list[Any] = []

    def send(number: int) -> None:
        answers.append(console.visitor().post(f"/integration/s{number}/test", fields))

    threads = [threading.Thread(target=send, args=[n]) for n in range(delivery_tests.MAX_AT_ONCE)]
    for thread in threads:
        thread.start()
    ids = [f"s{n}" for n in range(delivery_tests.MAX_AT_ONCE)]
    eventually(lambda: all(one.waiting == 1 for one in ledger.statuses(ids).values()))
    began = time.monotonic()
    assert operator.post("/integration/s0/test", fields).status == 409
    assert operator.post("/integration/slack/test", fields).status == 503
    assert operator.get("/integration/s0").status == 200
    assert time.monotonic() - began < 5
    for thread in threads:
        thread.join(60)
    assert {one.status for one in answers} == {303}
    assert "not sent" in operator.get("/integration/s0").text
    assert {one.waiting for one in ledger.statuses(ids).values()} == {0}


def test_show_prints_what_the_page_shows(
    ledger: Ledger, server: EmbeddedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ledger.import_dead("slack", [dead("brute force")])
    environment = {"COURIER_SECRET_KEY": KEY, "COURIER_REDIS_URL": server.url}
    result = CliRunner().invoke(courier, ["show", "slack", "--json"], env=environment)
    document = json.loads(result.output)
    assert document["published"]["alerts"] == "alerts of level 7 or higher where agent.name = web*"
    assert document["published"]["preview"]["source"] == "dead"
    assert document["status"]["dead"] == 1
    text = CliRunner().invoke(courier, ["show", "slack"], env=environment).output
    assert "message for an alert (dead 17.42):" in text
    for output in (result.output, text):
        assert "T0PSECRETHOOK" not in output
        assert "t0ken-of-a-variable" not in output


def test_a_console_that_stops_withdraws_the_tests_that_run(
    ledger: Ledger, server: EmbeddedServer, tmp_path: Path
) -> None:
    with ConsoleServer(tmp_path, server.url, **{"flower.basic_auth": LOGIN}) as console:

        def send() -> None:
            with suppress(OSError, HTTPException):  # the connection is closed
                console.visitor().post("/integration/slack/test", [("reason", "x")])

        thread = threading.Thread(target=send)
        thread.start()
        eventually(lambda: ledger.status("slack").waiting == 1)
    thread.join(30)
    assert ledger.status("slack").waiting == 0
