from __future__ import annotations

import asyncio
import gzip
import json
import re
from contextlib import closing
from html import unescape
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from common.ledger import Commit, Facts, Header, Ledger
from common.ledger.history import encode_facts
from common.ledger.keys import history_key
from common.ledger.record import Attempt, Delivery, LastResponse
from common.ledger.types import DeadLetter
from common.settings.load import load_settings
from common.silences import Silence, write_silence
from ops.console.alert_search import AlertAnswer, AlertSearch
from ops.console.console import Console
from producer.alertlog import AlertLog
from tests.support.console import LOGIN, ConsoleServer
from tests.support.processes import alert

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import redis

    from ops.standalone.embedded_redis import EmbeddedServer
    from tests.support.console import Visitor

HOSTILE = '"><script>alert(1)</script>\u202e\x1b[31m' + "x" * 100_000
START_MS = 1_769_846_400_000
ALERT = json.dumps(
    {"timestamp": "2026-01-31T08:00:00.000+0000", "id": "1769846400.1", "rule": {"id": "5712", "level": 10}}
).encode()
NODE = "wazuh-1"
FROM_A_LOG = f"{NODE}:697db680ad2e59a3769a:0000000137:c48df40c"
CONFIG = """<ossec_config><integration><name>slack</name><hook_url>https://h.example/a</hook_url></integration>
<integration><name>shuffle</name><hook_url>https://s.example/a</hook_url><level>12</level></integration></ossec_config>
"""


@pytest.fixture
def ledger(client: redis.Redis) -> Ledger:
    client.hset("courier:integrations", mapping={"slack": "1", "teams": "1", "version": "1"})
    return Ledger(client)


def dead(name: str, raw: bytes = ALERT, text: str = "HTTP 404") -> DeadLetter:
    history = (Attempt(START_MS + 1000, "http_5xx", "HTTP 503"), Attempt(START_MS + 2000, "http_4xx", text))
    response = LastResponse(at_ms=START_MS + 2000, status=404, text=text)
    header = Header(committed_ms=START_MS + 500, attempts=2, history=history, response=response)
    return DeadLetter(Delivery(name, header, raw), START_MS + 2000)


def text_of(page: str) -> str:
    """Return the text of a page without its elements."""
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", page)).split())


@pytest.mark.parametrize("wanted", ["1769846400.1", FROM_A_LOG])
def test_without_a_log_it_shows_all_that_redis_knows(
    ledger: Ledger, client: redis.Redis, operator: Visitor, wanted: str
) -> None:
    ledger.import_dead("slack", [dead(FROM_A_LOG)])
    facts = Facts(
        "1769846400.1", "5712", 10, "sshd", "001", "web-1", START_MS + 500, START_MS + 600, 1, "http@host", 40
    )
    fields = {"id": FROM_A_LOG, "outcome": "delivered", "reason": "", "facts": encode_facts(facts)}
    client.xadd(history_key("teams"), fields, id=f"{START_MS + 900}-0")  # type: ignore[arg-type]  # a dict is invariant
    silence = Silence(
        id="s-1", match=("rule.id = 1",), start_ms=START_MS, end_ms=START_MS + 1, why="patch day", author="eve"
    )
    write_silence(client, silence, is_new=True)
    answer = operator.get(f"/alert/{wanted}")
    assert answer.status == 200
    said = text_of(answer.text)
    for text in (
        "no alert log can be read here",
        "filters and conditions are not explained",
        "the silence s-1 (patch day, by eve) was in force",
        "2026-01-31T08:00:00Z queued teams",
        "2026-01-31T08:00:00Z first attempt teams",
        "2026-01-31T08:00:00Z ended teams delivered, after 1 attempt, the last one took 0.0s, by http@host",
        "2026-01-31T08:00:01Z attempt failed slack http_5xx: HTTP 503",
        "2026-01-31T08:00:02Z last response slack status 404",
        "2026-01-31T08:00:02Z dead letter slack after 2 attempts",
        f"courier dead replay {FROM_A_LOG} --integration slack",
    ):
        assert text in said, text
    order = [said.index(text) for text in ("queued teams", "first attempt teams", "ended teams", "failed slack")]
    assert order == sorted(order)


def test_an_alert_that_ended_is_known_from_the_history_alone(
    client: redis.Redis, ledger: Ledger, operator: Visitor
) -> None:
    del ledger
    facts = Facts("1769846400.9", "5712", 10, "sshd", "001", "web-1")
    fields = {"id": "d-9", "outcome": "skipped", "reason": "no_hash", "facts": encode_facts(facts)}
    client.xadd(history_key("slack"), fields, id=f"{START_MS + 900}-0")  # type: ignore[arg-type]  # a dict is invariant
    said = text_of(operator.get("/alert/1769846400.9").text)
    assert "the alert itself is not known here any more" in said
    assert "skipped (no_hash)" in said
    assert "5712 sshd, level 10" in said


def test_a_waiting_delivery_says_why(ledger: Ledger, operator: Visitor) -> None:
    commit = Commit(
        node=NODE,
        expected="",
        cursor="c s",
        deliveries=[(FROM_A_LOG, ALERT)],
        max_backlog=100,
        max_backlog_bytes=10**6,
    )
    ledger.commit_all({"slack": commit}, {})
    ledger.pause("slack", "a test")
    said = text_of(operator.get("/alert/1769846400.1").text)
    assert "slack waiting" in said
    assert "a test" in said
    assert "courier resume slack" in said


def test_nothing_known_is_a_404_that_says_where_it_was_searched(ledger: Ledger, operator: Visitor) -> None:
    del ledger
    for wanted in ("1769846400.7", "nonsense", FROM_A_LOG, quote(HOSTILE[:300]), "%ff", "a%2Fb%0A"):
        answer = operator.get(f"/alert/{wanted}")
        assert answer.status == 404, wanted
        assert "neither the ledger nor the history has it" in answer.text
        assert "<script>alert" not in answer.text
    assert operator.get(f"/alert/{'x' * 2000}").status == 400


def test_hostile_text_is_text(ledger: Ledger, operator: Visitor) -> None:
    raw = json.dumps({"id": HOSTILE[:200], "rule": {"description": HOSTILE}, "full_log": HOSTILE}).encode()
    name = 'd"><b>\u202e/%'
    ledger.import_dead("slack", [dead(name, raw, HOSTILE)])
    for wanted in (name, HOSTILE[:200]):
        answer = operator.get(f"/alert/{quote(wanted, safe='')}")
        assert answer.status == 200
        assert "<script>alert" not in answer.text
        assert "<b>" not in answer.text
        assert not {"\u202e", "\x1b"} & set(answer.text)
        assert "dead letter slack" in text_of(answer.text)


class Host:
    """A manager's host with a log of three alerts, and a console on it."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self.url = folder, url
        (folder / "ossec.conf").write_text(CONFIG)
        self.write(b"".join(alert(n, 10) for n in range(3)))
        self.settings = {
            "producer.config": str(folder / "ossec.conf"),
            "producer.alerts": str(folder / "alerts.json"),
            "producer.node": NODE,
        }

    def write(self, content: bytes) -> None:
        (self.folder / "alerts.json").write_bytes(content)


@pytest.fixture
def host(tmp_path: Path, server: EmbeddedServer, ledger: Ledger) -> Host:
    del ledger
    return Host(tmp_path, server.url)


@pytest.fixture
def beside_the_log(host: Host) -> Iterator[Visitor]:
    with ConsoleServer(host.folder, host.url, **host.settings, **{"flower.basic_auth": LOGIN}) as console:
        yield console.visitor()


def test_beside_the_log_it_shows_what_courier_explain_says(beside_the_log: Visitor, host: Host) -> None:
    with closing(AlertLog(host.folder / "alerts.json", max_line_bytes=10**6)) as log:
        delivery = f"{NODE}:{log.last(1)[0].id}"
    for wanted in ("1769846400.2", delivery):
        said = text_of(beside_the_log.get(f"/alert/{wanted}").text)
        for text in ("shuffle no match", "<level>: requires 12 or more", "slack not read", "full_log", delivery):
            assert text.replace("<level>", "level") in said, text
    missing = beside_the_log.get("/alert/1769846400.99")
    assert missing.status == 404
    assert "it is not among the 3 lines" in missing.text


def test_a_log_that_takes_too_long_costs_its_visitor_the_log_and_nobody_else(host: Host, ledger: Ledger) -> None:
    folder = host.folder / "2026/Jan"
    folder.mkdir(parents=True)
    many = b"".join(alert(n, 10) for n in range(20_000))
    with gzip.open(folder / "ossec-alerts-31.json.gz", "wb", compresslevel=1) as packed:
        packed.write(many)
    (host.folder / "alerts.json").unlink()
    ledger.import_dead("slack", [dead(FROM_A_LOG)])
    reads = [0.0]

    def now() -> float:
        """A clock on which each read takes a second; so it also counts the reads."""
        reads[0] += 1
        return reads[0]

    overrides = host.settings | {"redis.url": host.url}
    console = Console(load_settings(file=None, environment={}, cwd=host.folder, overrides=overrides))
    with closing(console):

        async def together() -> list[AlertAnswer]:
            with closing(AlertSearch(console, limit_s=4, now=now)) as search:
                return await asyncio.gather(*(search.find("1769846400.1") for _ in range(5)))

        answers = asyncio.run(together())
    for answer in answers:
        assert "did not end within 4 seconds" in answer.notes[0]
        assert [one.report.source for one in answer.alerts] == ["the ledger, integration slack"]
    assert reads[0] < 50, "the thread ends its search at the limit"
