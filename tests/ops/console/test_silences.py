from __future__ import annotations

import html
import json
import logging
import re
from typing import TYPE_CHECKING, Any

import pytest

from common.ledger import Commit, Folds, Group, Part, SilenceCount
from common.silences import KEY, Silence, State, fetch_silences, read_silences, write_silence
from ops.console import console as shared
from tests.support.console import ConsoleServer
from tests.support.ledger import Ledger
from tests.support.recorder import eventually

if TYPE_CHECKING:
    from pathlib import Path

    import redis

    from ops.standalone.embedded_redis import EmbeddedServer
    from tests.support.console import Visitor

HOSTILE = '"><script>alert(1)</script>\u202e\x1b[31m' + "x" * 900


def known(client: redis.Redis) -> Ledger:
    for one in ("version", "slack", "teams"):
        client.hset("courier:integrations", one, "1")
    return Ledger(client)


@pytest.fixture
def ledger(client: redis.Redis) -> Ledger:
    return known(client)


def commit(deliveries: list[tuple[str, bytes]], **more: Any) -> Commit:
    return Commit(
        node="n", expected="", cursor="c", deliveries=deliveries, max_backlog=9, max_backlog_bytes=9999, **more
    )


def stored(client: redis.Redis) -> list[Silence]:
    return [*read_silences(fetch_silences(client)).silences.values()]


def test_a_silence_is_added_shown_and_ended(
    ledger: Ledger, client: redis.Redis, operator: Visitor, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "courier.console")
    form = [("rule", "5710, 5712"), ("agent", "web*"), ("match", "data.srcip in 10.0.0.0/8\r\n\r\nrule.level < 9\r\n")]
    more = [("integrations", "slack"), ("for", "2h"), ("reason", "patching"), ("announce", "1")]
    answer = operator.post("/silences/add", [*form, *more])
    assert (answer.status, answer.headers["location"]) == (303, "/silences")
    (silence,) = stored(client)
    assert silence.match == ("rule.id = 5710, 5712", "agent.name = web*", "data.srcip in 10.0.0.0/8", "rule.level < 9")
    assert (silence.integrations, silence.author, silence.announce) == (("slack",), "soc", True)
    assert silence.end_ms - silence.start_ms == 7_200_000
    count = SilenceCount(silence.id, silence.delete_ms, {"5710": 3})
    ledger.commit_all({"slack": commit([], silenced=(count,))}, {})
    page = operator.get(answer.headers["location"]).text
    for text in ("producers follow within two seconds", silence.id, "running", "patching", "slack: 3", "5710 (3)"):
        assert text in page
    ended = operator.post("/silences/end", [("silence", silence.id), ("reason", "done")])
    assert "is over" in operator.get(ended.headers["location"]).text
    assert silence.id not in operator.get("/silences").text
    assert silence.id in operator.get("/silences?ended=1").text
    assert stored(client)[0].state(ledger.now_ms()) is State.ENDED
    again = operator.post("/silences/end", [("silence", silence.id), ("reason", "done")])
    assert "already ended" in operator.get(again.headers["location"]).text
    changes = [one for one in caplog.records if hasattr(one, "user")]  # not those of the server's start
    said = [(one.getMessage(), vars(one)["user"], vars(one)["reason"]) for one in changes]
    assert ("silence added", "soc", "patching") in said
    assert ("silence ended", "soc", "done") in said


@pytest.mark.parametrize(
    ("path", "fields", "text"),
    [
        ("add", [("rule", "1"), ("for", "2h")], "a reason is missing"),
        ("add", [("rule", "1"), ("reason", "x")], "give the end"),
        ("add", [("rule", "1"), ("reason", "x"), ("for", "4000000d")], "for or until is too late"),
        ("add", [("rule", "1"), ("reason", "x"), ("for", "2h"), ("until", "2999-01-01T00:00:00Z")], "give the end"),
        ("add", [("rule", "1"), ("reason", "x"), ("for", "soon")], "write 30m, 2h or 3d"),
        ("add", [("rule", "1"), ("reason", "x"), ("for", "999999999999d")], "for:"),
        ("add", [("rule", "1"), ("reason", "x"), ("until", "2020-01-01T00:00:00Z")], "the end must be after"),
        ("add", [("rule", "1"), ("reason", "x"), ("until", "2999-01-01T00:00:00")], "no time with a zone"),
        ("add", [("reason", "x"), ("for", "2h")], "it would silence everything"),
        ("add", [("match", "rule.level <"), ("reason", "x"), ("for", "2h")], "match"),
        ("add", [("match", "level > 3"), ("reason", "x"), ("for", "2h")], "rule.level"),
        ("add", [("integrations", "slak"), ("reason", "x"), ("for", "2h")], "did you mean &#39;slack&#39;"),
        ("end", [("silence", "nothere"), ("reason", "x")], "there is no silence"),
        ("end", [("silence", "of-file"), ("reason", "x")], "courier.toml on n1"),
        ("pause", [("integration", "slak"), ("reason", "x")], "choose an integration"),
        ("pause", [("integration", "slack")], "a reason is missing"),
        ("pause", [("integration", "slack"), ("reason", "x"), ("until", "2020-01-01T00:00:00Z")], "must be after"),
        ("resume", [("reason", "x")], "choose an integration"),
        ("release", [("integration", ""), ("reason", "x")], "choose an integration"),
    ],
)
def test_a_wrong_form_changes_nothing_and_says_why(
    client: redis.Redis, operator: Visitor, path: str, fields: list[tuple[str, str]], text: str
) -> None:
    ledger = known(client)
    end_ms = ledger.now_ms() + 60_000
    of_file = Silence(id="of-file", match=("rule.id = 1",), start_ms=1, end_ms=end_ms, why="w", author="a", node="n1")
    write_silence(client, of_file, is_new=True)
    answer = operator.post(f"/silences/{path}", fields)
    assert answer.status == 400
    assert text in answer.text
    assert stored(client) == [of_file]
    assert not ledger.status("slack").paused_ms


def test_a_refused_silence_loses_nothing_that_was_written(ledger: Ledger, operator: Visitor) -> None:
    del ledger
    match = HOSTILE.replace("\x1b", "")
    form = [("rule", "5710"), ("match", match * 2), ("for", "soon"), ("announce", "1"), ("reason", "patching all")]
    answer = operator.post("/silences/add", form)
    assert (answer.status, "No silence was added: " in answer.text) == (400, True)
    form_text = answer.text.partition('action="/silences/add"')[2].partition("</form>")[0]
    for kept in ('value="5710"', 'value="soon"', 'value="patching all"', 'value="1" checked', html.escape(match * 2)):
        assert kept in form_text.replace("&#34;", "&quot;")
    assert "<script>alert" not in answer.text


def test_an_integration_is_paused_until_a_time_resumed_and_released(ledger: Ledger, operator: Visitor) -> None:
    until = ("until", "2999-01-01T00:00:00+02:00")
    answer = operator.post("/silences/pause", [("integration", "slack"), until, ("reason", "moving")])
    status = ledger.status("slack")
    assert (status.pause_reason, status.paused_until_ms) == ("moving", 32_472_136_800_000)
    page = operator.get(answer.headers["location"]).text
    for shown in ("is paused", "moving", "2998-12-31T22:00:00Z"):
        assert shown in page
    answer = operator.post("/silences/pause", [("integration", "slack"), ("reason", "longer")])
    assert "already paused" in operator.get(answer.headers["location"]).text
    assert ledger.status("slack").paused_until_ms == 0
    answer = operator.post("/silences/resume", [("integration", "slack"), ("from", "slack"), ("reason", "moved")])
    assert answer.headers["location"] == "/integration/slack"
    assert not ledger.status("slack").paused_ms
    held_ms = ledger.now_ms() + 3_600_000
    ledger.commit_all({"teams": commit([("a", b"{}"), ("b", b"{}")], held_until_ms={"b": held_ms})}, {})
    assert sum(ledger.status("teams").held.values()) == 1
    assert "1 until" in operator.get("/silences").text
    operator.post("/silences/release", [("integration", "teams"), ("reason", "now")])
    assert ledger.status("teams").held == {}
    late = operator.post("/silences/release", [("integration", "teams"), ("reason", "now")])
    assert "Nothing was held any more" in operator.get(late.headers["location"]).text


def test_a_group_of_held_alerts_is_shown_and_released_as_held_deliveries_are(ledger: Ledger, operator: Visitor) -> None:
    until_ms = ledger.now_ms() + 3_600_000
    base = json.dumps({"description": "login", "rule": ',"level":5,"id":"5710"', "rest": ""})
    ends = {"night:held1:5710": (until_ms,), "window:5710": (until_ms + 1,)}
    groups = tuple(Group(group=name, every_ms=0, ends_ms=ms, samples=1, values="{}") for name, ms in ends.items())
    part: dict[str, Any] = {"delivery": 0, "oldest": ("t", "1"), "newest": ("t", "2"), "level": 5, "base": base}
    parts = tuple(Part(group=number, number=7, **part) for number in (1, 2))
    folds = Folds(groups=groups, parts=parts, others=(groups[1], groups[0]))
    ledger.commit_all({"slack": commit([("a", b"{}")], held_until_ms={"a": until_ms}, folds=folds)}, {})
    for path in ("/silences", "/integration/slack"):
        page = operator.get(path).text
        assert re.search(r">2 (held by a window )?until ", page), "the delivery and the group, not the open window"
        assert 'action="/silences/release"' in page
    assert "14, of which 14 wait in 2 open groups" in page
    assert eventually(lambda: "14 alerts in 2 open groups of its digest" in operator.get("/").text)
    answer = operator.post("/silences/release", [("integration", "slack"), ("reason", "now")])
    assert "are sent now" in operator.get(answer.headers["location"]).text
    tasks = ledger.release("slack", max_in_flight=9, batch_max=9, lease_s=60, linger_s=0)
    assert sorted(one.partition(":")[0] for task in tasks for one in task) == ["a", "digest"]
    assert 'action="/silences/release"' not in operator.get("/silences").text


def test_hostile_silences_are_harmless_and_malformed_ones_named(
    ledger: Ledger, client: redis.Redis, operator: Visitor
) -> None:
    end_ms = ledger.now_ms() + 60_000
    odd = {"match": (HOSTILE,), "integrations": (HOSTILE[:200],), "why": HOSTILE, "author": HOSTILE}
    write_silence(client, Silence(id="x", start_ms=0, end_ms=end_ms, **odd), is_new=True)  # type: ignore[arg-type]  # fields by name
    client.hset(KEY, HOSTILE, "junk")
    ledger.pause("slack", HOSTILE)
    page = operator.get("/silences?rule=%22%3E%3Cscript%3E").text
    assert "<script>" not in page.replace('<script src="/static', "")
    assert not {"\u202e", "\x1b"} & set(page)
    assert "it is not JSON" in page
    assert "ignored" in page


def test_without_a_login_there_is_nothing_to_change(ledger: Ledger, server: EmbeddedServer, tmp_path: Path) -> None:
    ledger.pause("slack", "moving")
    with ConsoleServer(tmp_path, server.url) as console:
        visitor = console.visitor("")
        for path in ("/silences", "/integration/slack"):
            page = visitor.get(path).text
            assert "moving" in page
            assert '<form method="post"' not in page
        for path in ("/silences/resume", "/silences/add", "/integration/slack/test"):
            assert visitor.post(path, [("integration", "slack"), ("reason", "x")]).status == 403
    assert ledger.status("slack").paused_ms


def test_visitors_share_a_reading_and_see_their_own_change_at_once(
    ledger: Ledger, operator: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared, "SHARED_MAX_AGE_S", 60.0)
    operator.post("/silences/resume", [("integration", "slack"), ("reason", "x")])
    paths = ("/silences", "/integration/slack")
    assert [operator.get(path).text.count("moving") for path in paths] == [0, 0]
    ledger.pause("slack", "moving")
    assert [operator.get(path).text.count("moving") for path in paths] == [0, 0]
    operator.post("/silences/pause", [("integration", "slack"), ("for", "2h"), ("reason", "moving on")])
    assert all("moving on" in operator.get(path).text for path in paths)
    monkeypatch.undo()
    operator.post("/silences/resume", [("integration", "slack"), ("reason", "x")])
