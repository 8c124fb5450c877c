from __future__ import annotations

import http.client
import json
import logging
import re
from html import unescape
from itertools import count
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import pytest

from common.errors import LedgerUnavailable
from common.ledger import Header, Ledger
from common.ledger.record import Attempt, Delivery, LastResponse
from common.ledger.types import DeadLetter
from ops.admin.dead_letter_file import read_line, write_line
from ops.admin.dead_letters import Filter, find
from ops.console.pages import dead_letter_export
from ops.console.pages.dead_letter_query import CHUNK
from ops.console.pages.dead_letters import PAGE
from tests.support.console import ConsoleServer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import redis

    from ops.admin.dead_letters import FoundLetter
    from ops.standalone.embedded_redis import EmbeddedServer
    from tests.support.console import Visitor

HOSTILE = '"><script>alert(1)</script>\u202e\x1b[31m' + "x" * 100_000


def letter(
    number: int, *, reason: str = "http_4xx", rule: str = "5712", text: str = "no", name: str = ""
) -> DeadLetter:
    header = Header(
        committed_ms=1_769_846_400_000,
        attempts=2,
        history=(Attempt(1_769_846_401_000, "timeout", "slow"), Attempt(1_769_846_402_000, reason, text)),
        response=LastResponse(at_ms=1_769_846_402_000, status=400, text=text),
    )
    alert = {"id": f"1769846400.{number}", "rule": {"id": rule, "level": 10, "description": text}, "full_log": text}
    delivery = Delivery(name or f"d-{number}", header, json.dumps(alert).encode())
    return DeadLetter(delivery, 1_769_846_402_000 + number)


@pytest.fixture
def ledger(client: redis.Redis) -> Ledger:
    for one in ("version", "slack", "teams"):
        client.hset("courier:integrations", one, "1")
    return Ledger(client)


def keys(visitor: Visitor, path: str = "/dead") -> list[str]:
    """Return what the boxes of a list select."""
    return [unescape(one) for one in re.findall(r'name="letter" value="([^"]*)"', visitor.get(path).text)]


def ids(ledger: Ledger, integration: str) -> set[str]:
    return {one.delivery.id for one in ledger.dead_letters(integration)}


def confirm(visitor: Visitor, fields: Sequence[tuple[str, str]], **more: str) -> list[tuple[str, str]]:
    """Send the first form, and return the fields of the second one, with `more` in place of its own."""
    answer = visitor.post("/dead/confirm", fields)
    assert answer.status == 200, answer.text
    form = answer.text.partition('action="/dead/act"')[2]
    found = [
        (name, unescape(value))
        for name, value in re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form)
    ]
    return [(name, value) for name, value in found if name != "_xsrf"] + [*more.items()]


def test_list_filters_as_the_command_does(ledger: Ledger, operator: Visitor) -> None:
    ledger.import_dead("slack", [letter(n, rule="1" if n % 2 else "2") for n in range(4)])
    ledger.import_dead("teams", [letter(9, reason="unauthorized")])
    assert keys(operator) == ["slack d-0", "slack d-1", "slack d-2", "slack d-3", "teams d-9"]
    assert keys(operator, "/dead?rule=1") == ["slack d-1", "slack d-3"]
    assert keys(operator, "/dead?integration=teams&failure=unauthorized") == ["teams d-9"]
    assert keys(operator, "/dead?id=1769846400.2,d-9") == ["slack d-2", "teams d-9"]
    assert keys(operator, "/dead?newer=1m") == []
    assert "5 dead letters" in operator.get("/dead?newer=1m").text
    for wrong in ("newer=yesterday", "integration=slak", "skip=-1", f"id={'x' * 2000}"):
        assert operator.get(f"/dead?{wrong}").status == 400
    assert "did you mean &#39;slack&#39;" in operator.get("/dead?integration=slak").text


def test_a_long_list_has_pages(ledger: Ledger, operator: Visitor) -> None:
    ledger.import_dead("slack", [letter(n) for n in range(PAGE + 1)])
    assert len(keys(operator)) == PAGE
    found = re.search(r'href="([^"]+)" rel="next"', operator.get("/dead?rule=5712").text)
    assert found
    assert keys(operator, unescape(found[1])) == [f"slack d-{PAGE}"]


def test_a_letter_is_shown_with_attempts_response_and_alert(ledger: Ledger, operator: Visitor) -> None:
    ledger.import_dead("slack", [letter(1, text=HOSTILE)])
    for path in ("/dead", "/dead/letter?letter=slack+d-1"):
        page = operator.get(path).text
        assert "<script>alert" not in page
        assert not {"\u202e", "\x1b"} & set(page)
    for text in ("timeout", "slow", "2026-01-31T08:00:01Z", "full_log", "1769846400.1"):
        assert text in page
    assert operator.get("/dead/letter?letter=slack+d-2").status == 404
    assert operator.get("/dead/letter?letter=nothing").status == 404


def test_selected_letters_are_replayed_at_a_rate(
    ledger: Ledger, client: redis.Redis, operator: Visitor, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "courier.console")
    ledger.import_dead("slack", [letter(n) for n in range(5)])
    chosen = [("action", "replay"), ("letter", "slack d-1"), ("letter", "slack d-2"), ("integration", "slack")]
    fields = confirm(operator, chosen)
    answer = operator.post("/dead/act", [*fields, ("reason", "hook is repaired"), ("rate", "0.5")])
    assert (answer.status, answer.headers["location"]) == (303, "/dead?integration=slack")  # the filter is kept
    done = "2 dead letters queued; the last one is sent in 4.0s"
    assert done in operator.get(answer.headers["location"]).text
    assert done not in operator.get(answer.headers["location"]).text  # only once
    assert ids(ledger, "slack") == {"d-0", "d-3", "d-4"}
    (first, second) = (client.zscore("courier:{slack}:waiting", one) for one in ("d-1", "d-2"))
    assert first is not None
    assert second is not None
    assert second - first == 2000
    (line,) = [one for one in caplog.records if one.name == "courier.console" and "replayed" in one.getMessage()]
    said = {name: getattr(line, name) for name in ("user", "reason", "integration", "number")}
    assert said == {"user": "soc", "reason": "hook is repaired", "integration": "slack", "number": 2}


def test_no_address_claims_that_something_was_done(operator: Visitor) -> None:
    for path in ("/dead?done=replay&number=9", "/silences?done=ended", "/integration/slack?done=paused"):
        assert 'class="done"' not in operator.get(path).text


def test_all_that_match_are_discarded_but_none_that_died_since(ledger: Ledger, operator: Visitor) -> None:
    ledger.import_dead("slack", [letter(n, reason="http_4xx" if n % 2 else "unauthorized") for n in range(6)])
    fields = confirm(operator, [("action", "discard"), ("all", "1"), ("failure", "http_4xx")])
    later = DeadLetter(letter(7).delivery, ledger.now_ms() + 60_000)
    ledger.import_dead("slack", [later])
    assert operator.post("/dead/act", [*fields, ("reason", "tests")]).status == 303
    assert ids(ledger, "slack") == {"d-0", "d-2", "d-4", "d-7"}


def test_export_is_the_file_of_the_command(ledger: Ledger, operator: Visitor, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "courier.console")
    ledger.import_dead("slack", [letter(n, rule="1" if n % 2 else "2", text=HOSTILE) for n in range(250)])
    answer = operator.post("/dead/export", [("all", "1"), ("rule", "1")])
    assert re.fullmatch(
        r'attachment; filename="dead-letters-\d{8}T\d{6}Z\.jsonl"', answer.headers["content-disposition"]
    )
    exported = [read_line(line) for line in answer.text.encode().splitlines()]
    assert exported == list(find(ledger, ["slack"], Filter(rules=frozenset({"1"}))))
    one = operator.post("/dead/export", [("letter", "slack d-1")])
    assert [read_line(one.text.encode())] == exported[:1]
    lines = [one for one in caplog.records if one.getMessage() == "dead letters exported"]
    assert [(vars(one)["user"], vars(one)["number"]) for one in lines] == [("soc", 125), ("soc", 1)]
    assert operator.post("/dead/export", [("letter", "slack no-such")]).status == 400
    assert operator.post("/dead/export").status == 400


def test_an_incomplete_export_is_a_failed_download(
    ledger: Ledger, operator: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.import_dead("slack", [letter(n) for n in range(CHUNK + 1)])
    written = count()

    def fail_later(found: FoundLetter) -> bytes:
        if next(written) == CHUNK:
            raise LedgerUnavailable("Redis is gone")
        return write_line(found)

    monkeypatch.setattr(dead_letter_export, "write_line", fail_later)
    with pytest.raises(http.client.IncompleteRead):
        operator.post("/dead/export", [("all", "1")])


@pytest.mark.parametrize("name", ["a b&c=d", "ü/%20+", '"><b>', "x" * 512, "\u202e\x1b"])
def test_any_id_can_be_selected(ledger: Ledger, operator: Visitor, name: str) -> None:
    ledger.import_dead("slack", [letter(1, name=name)])
    (key,) = keys(operator)
    fields = confirm(operator, [("action", "discard"), ("letter", key)])
    operator.post("/dead/act", [*fields, ("reason", "odd")])
    assert ids(ledger, "slack") == set()


@pytest.mark.parametrize("level", ['"' + "9" * 5000 + '"', "9" * 5000, "1e999", "NaN", '"\u00b2"', '"\\ud800"', "[]"])
def test_any_level_is_shown(ledger: Ledger, operator: Visitor, level: str) -> None:
    alert = f'{{"rule":{{"id":"odd","level":{level}}}}}'.encode()
    ledger.import_dead("slack", [DeadLetter(Delivery("d-1", Header(committed_ms=1), alert), 1)])
    (key,) = keys(operator)
    assert "odd" in operator.get(f"/dead/letter?{urlencode({'letter': key})}").text


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ([("action", "replay"), ("letter", "slack d-1")], "a reason is missing"),
        ([("action", "replay"), ("letter", "slack d-1"), ("reason", "x" * 501)], "longer than 500"),
        ([("action", "explode"), ("letter", "slack d-1"), ("reason", "x")], "choose replay or discard"),
        ([("action", "replay"), ("reason", "x")], "no dead letter is selected"),
        ([("action", "replay"), ("letter", "slack d-2"), ("reason", "x")], "no dead letter matches any more"),
        ([("action", "replay"), ("letter", "slack d-1"), ("reason", "x"), ("rate", "nan")], "the rate must be"),
        ([("action", "replay"), ("letter", "slack d-1"), ("reason", "x"), ("rate", "1e9")], "the rate must be"),
    ],
)
def test_what_cannot_be_done_changes_nothing_and_says_why(
    ledger: Ledger, operator: Visitor, fields: list[tuple[str, str]], text: str
) -> None:
    ledger.import_dead("slack", [letter(1)])
    answer = operator.post("/dead/act", fields)
    assert answer.status == 400
    assert text in answer.text
    assert ids(ledger, "slack") == {"d-1"}


def test_without_a_login_there_is_nothing_to_press_and_nothing_to_post(
    ledger: Ledger, server: EmbeddedServer, tmp_path: Path
) -> None:
    ledger.import_dead("slack", [letter(1)])
    with ConsoleServer(tmp_path, server.url) as console:
        visitor = console.visitor("")
        page = visitor.get("/dead").text
        assert "d-1" in page
        assert "<button name" not in page
        fields = [("action", "discard"), ("letter", "slack d-1"), ("reason", "x")]
        assert visitor.post("/dead/act", fields).status == 403
        assert visitor.post("/dead/confirm", fields).status == 403
        assert visitor.post("/dead/export", fields).status == 403
    assert ids(ledger, "slack") == {"d-1"}


def test_a_form_of_another_site_changes_nothing(ledger: Ledger, operator: Visitor) -> None:
    ledger.import_dead("slack", [letter(1)])
    fields = [("action", "discard"), ("letter", "slack d-1"), ("reason", "x")]
    assert operator.post("/dead/act", fields, token="").status == 403
    assert operator.post("/dead/act", fields, headers={"Origin": "https://attacker.example"}).status == 403
    assert ids(ledger, "slack") == {"d-1"}
