"""Text of an alert, a service, Redis or a file is shown, but cannot control the terminal.

The same hostile text stands in every field that can hold one; each command is run as an operator does, at a terminal
and elsewhere. What it writes has no character that a terminal obeys or does not show, but for line ends and tabs.
"""

from __future__ import annotations

import io
import json
import logging
import re
from typing import TYPE_CHECKING, Any
from unicodedata import category

import pytest
from click.testing import CliRunner
from cryptography.fernet import Fernet
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from common.errors import CourierError
from common.integration import Integration
from common.ledger import Header, Settlement, SettleOutcome
from common.ledger.record import Attempt, LastResponse
from common.logs import JsonFormatter, TextFormatter
from common.printable import printable, printable_json
from common.registry.encryption import Cipher
from common.registry.entries import CATALOGUE, KEY
from common.registry.published import PublishedRegistry
from common.reports.producer import IntegrationLag, ProducerReport, publish_producer_report
from common.reports.worker import WorkerReport, publish_worker_report
from common.secret import Secret
from ops.admin import terminal
from ops.cli import status
from ops.cli.dead import group as dead
from ops.cli.main import courier, main
from tests.support.ledger import Ledger

if TYPE_CHECKING:
    from pathlib import Path

    import redis

    from ops.standalone.embedded_redis import EmbeddedServer

BOLD = re.compile(r"\x1b\[[01]m")
"""What click writes around the titles of a table at a terminal."""

WORST = "a\x1b[2J\x07\x7f\x9b31m\u0085\u200b\u202e\u2066\u2028\u2029\ufeff\u00ad\u115f\ufe0f\U000e0041\r\n\tz"
HOSTILE = st.text(
    st.characters(categories=["Cc", "Cf", "Zl", "Zp", "Cn", "Co"])
    | st.sampled_from(WORST)
    | st.characters(codec="utf-8"),
    min_size=1,
    max_size=40,
)


def is_printable(text: str) -> bool:
    """Return whether every character is printable, a line end or a tab."""
    return not any(
        category(one)[0] == "C" or category(one) in {"Zl", "Zp"} or one in "\u115f\ufe0f"
        for one in re.sub("[\n\t]", "", text)
    )


@given(st.text(st.characters(categories=None), max_size=50))
@example(WORST)
def test_escaping_makes_any_text_printable_and_is_idempotent(text: str) -> None:
    once = printable(text)
    assert is_printable(once)
    assert not {"\n", "\t"} & set(once)
    assert printable(once) == once


@pytest.mark.parametrize(
    "text", ["plain", "naïve café", "大阪 東京\u3000x", "a\u00a0b", "C:\\Windows", '"quoted"', "🔥"]
)
def test_printable_text_is_unchanged(text: str) -> None:
    assert printable(text) == text


@given(st.recursive(st.text() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_escaped_json_keeps_its_meaning(value: Any) -> None:
    for indent in (None, 2):
        shown = printable_json(json.dumps(value, ensure_ascii=False, indent=indent))
        assert is_printable(shown)
        assert json.loads(shown) == value


@given(HOSTILE)
@example(WORST)
def test_a_log_line_shows_any_text(text: str) -> None:
    for formatter in (TextFormatter(), JsonFormatter()):
        stream = io.StringIO()
        handler = logging.StreamHandler(stream)
        handler.setFormatter(formatter)
        info = (ValueError, ValueError(text), None)
        made = logging.LogRecord(text, logging.INFO, "f", 1, "said %s", (text,), info)
        made.integration = text
        handler.handle(made)
        assert is_printable(stream.getvalue())


@given(rows=st.lists(st.tuples(HOSTILE, HOSTILE, HOSTILE), min_size=1, max_size=3), width=st.integers(20, 120))
def test_a_table_shows_any_cell_on_one_line(rows: list[tuple[str, ...]], width: int) -> None:
    columns = (
        terminal.Column("A", terminal.ColumnKind.ID),
        terminal.Column("B"),
        terminal.Column("C", terminal.ColumnKind.NUMBER),
    )
    drawn = terminal.lines(columns, rows, width)
    assert len(drawn) == len(rows) + 1
    assert all(is_printable(line) and not {"\n", "\t"} & set(line) for line in drawn)


def fill(client: redis.Redis, text: str) -> None:
    """Write the text into every place in Redis that commands show."""
    client.flushall()
    registry, ledger = PublishedRegistry(client, Cipher(Fernet.generate_key())), Ledger(client)
    hostile_id = f"slack{text}"
    registry.publish("m1", [Integration(id="slack", name="slack", hook_url=Secret("https://h.example/x"))])
    client.hset(KEY, hostile_id, b"x")
    client.hset(CATALOGUE, hostile_id, json.dumps({"name": "slack", "nodes": []}).encode())
    report = ProducerReport(
        seen_ms=ledger.now_ms(),
        config=text,
        config_error=text,
        intake_paused=text,
        foreign_writes=text,
        lags={text: IntegrationLag(backpressured=True)},
    )
    publish_producer_report(client, f"m{text}", report, added={"lines": 1})
    publish_worker_report(
        client, f"http@{text}", "1", WorkerReport(seen_ms=ledger.now_ms(), begun=3, running=1, idle_since_ms=1)
    )
    alert = json.dumps(
        {
            "id": text,
            "rule": {"id": text, "level": text, "description": text},
            "agent": {"id": text, "name": text},
            text: text,
        }
    ).encode()
    for one in ("slack", hostile_id):
        delivery = f"m1:{text}"
        ledger.commit(
            one,
            node="m1",
            expected="",
            cursor="c",
            deliveries=[(delivery, alert)],
            max_backlog=9,
            max_backlog_bytes=99_999,
        )
        ledger.release(one, max_in_flight=1, batch_max=1, lease_s=60, linger_s=0)
        ledger.begin(one, [delivery], token="w", lease_s=60)
        answer = LastResponse(at_ms=1, status=500, text=text)
        header = Header(committed_ms=1, attempts=3, history=(Attempt(1, text, text),), response=answer)
        ledger.settle(
            one,
            [Settlement(id=delivery, outcome=SettleOutcome.DEAD, reason="unauthorized", header=header)],
            token="w",
            last_error=text,
        )
        ledger.pause(one, text)


COMMANDS = (
    ("status",),
    ("status", "--check"),
    ("status", "--json"),
    ("dead", "list"),
    ("dead", "list", "--json"),
    ("dead", "show"),
    ("dead", "export", "-"),
    ("dead", "replay"),
    ("pause", "slack"),
    ("resume", "slack"),
    ("resume", "--removed", "slack"),
    ("pause", "nobody"),
    ("dead", "bury", "--removed", "slack", "--yes"),
    ("dead", "replay", "--removed", "--yes"),
)


@settings(max_examples=4, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(HOSTILE)
@example(WORST)
@pytest.mark.parametrize("at_terminal", [True, False])
def test_no_command_prints_control_characters_from_redis(
    client: redis.Redis, server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch, at_terminal: bool, text: str
) -> None:
    monkeypatch.setenv("COURIER_REDIS_URL", server.url)
    for module in (terminal, status, dead):
        monkeypatch.setattr(module, "is_terminal", lambda: at_terminal)
    fill(client, text)
    for words in COMMANDS:
        done = CliRunner().invoke(courier, words, color=at_terminal, input="n\n")
        shown = BOLD.sub("", done.output)
        assert is_printable(shown), (words, shown)
        assert done.exception is None or isinstance(done.exception, SystemExit | CourierError), (
            words,
            done.exception,
        )  # no traceback


@pytest.mark.parametrize("text", [WORST, "\u202e", "\x9b2J"])
def test_top_shows_any_text(
    client: redis.Redis, server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("COURIER_REDIS_URL", server.url)
    fill(client, text)
    assert is_printable(CliRunner().invoke(courier, ["top", "--once"]).output)


@pytest.mark.parametrize("words", [(), ("--json",)])
def test_render_shows_any_text_of_an_alert(tmp_path: Path, words: tuple[str, ...]) -> None:
    (tmp_path / "ossec.conf").write_text(
        "<ossec_config><integration><name>slack</name><hook_url>https://h.example/x</hook_url>"
        "<alert_format>json</alert_format></integration><integration><name>custom-x</name>"
        "<event_location>nowhere</event_location></integration></ossec_config>"
    )
    alert = {"id": WORST, "location": WORST, "full_log": WORST, "rule": {"id": "1", "level": 9, "description": WORST}}
    (tmp_path / "alert.json").write_text(
        json.dumps(alert | {"agent": {"id": WORST, "name": WORST}}, ensure_ascii=False)
    )
    given_files = ("--config", str(tmp_path / "ossec.conf"), "--alert", str(tmp_path / "alert.json"))
    shown = CliRunner().invoke(
        courier, ["render", "--integration", "slack", "--integration", "custom-x", *given_files, *words]
    )
    assert shown.exit_code == 0, shown.output
    assert is_printable(shown.output)


@pytest.mark.parametrize("words", [("check",), ("check", "--json"), ("shadow", "--once")])
def test_check_and_shadow_show_any_text_of_ossec_conf(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    odd = "custom-\u202e\x9b2J\u200b"
    (tmp_path / "ossec.conf").write_text(
        f"<ossec_config><integration><name>{odd}</name><hook_url>{odd}</hook_url><group>{odd}</group></integration>"
        f"<integration><name>custom-ok</name><group>{odd}</group><event_location>{odd}</event_location></integration>"
        f"<{'x'}{'y'}>{odd}</xy></ossec_config>"
    )
    (tmp_path / "alerts.json").touch()
    with pytest.raises(SystemExit):
        main([*words, "--config", str(tmp_path / "ossec.conf"), "--alerts", str(tmp_path / "alerts.json")])
    shown = capsys.readouterr()
    assert is_printable(shown.out)
    assert is_printable(shown.err)


@pytest.mark.parametrize(
    "words", [("config",), ("config", "--json"), ("check",), ("dead", "import"), ("dead", "export")]
)
def test_an_error_shows_any_text(tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]) -> None:
    folder = tmp_path / "\u202e\x1b[2J\x9b\u2028"
    folder.mkdir()
    (folder / "courier.toml").write_text('[producer]\nconfig = "ossec\u202e\u0085.conf"\n')
    with pytest.raises(SystemExit):
        main(["--settings", str(folder / "courier.toml"), *words, *([str(folder)] if words[0] == "dead" else [])])
    shown = capsys.readouterr()
    assert is_printable(shown.out)
    assert is_printable(shown.err)
