from __future__ import annotations

import stat
from typing import TYPE_CHECKING
from unittest.mock import Mock

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from common.errors import CourierError, LedgerUnavailable
from common.ledger import Attempt, DeadLetter, Delivery, Header, LastResponse, Ledger
from ops.admin.dead_letter_file import read_line, write_line
from ops.admin.dead_letters import FoundLetter
from ops.cli.main import courier

if TYPE_CHECKING:
    from pathlib import Path

    import redis

    from ops.standalone.embedded_redis import EmbeddedServer

HEADER = Header(
    committed_ms=1_700_000_000_000,
    attempts=3,
    completed_calls=("ip",),
    history=(Attempt(1_700_000_000_500, "http_4xx", 'no "channel" </a>'),),
    response=LastResponse(1_700_000_000_500, 404, "no\nchannel", truncated=True),
)
ALERTS = [
    b'{"rule":{"id":"5712"}}',
    b"\xff\x00 no text",
    b"",
    '{"é":"\\u2028\u2028"}\r'.encode(),
    b"\xef\xbb\xbf{}\n\n",
]


@pytest.fixture
def ledger(server: EmbeddedServer, client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    monkeypatch.setenv("COURIER_REDIS_URL", server.url)
    publish(client)
    return Ledger(client)


def publish(client: redis.Redis) -> None:
    client.hset("courier:integrations", mapping={"slack": "sealed", "shuffle": "sealed", "version": 1})


def run(*arguments: str, given: bytes = b"") -> str:
    result = CliRunner().invoke(courier, ["dead", *arguments], input=given, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def refusal(*arguments: str, given: bytes = b"") -> str:
    result = CliRunner().invoke(courier, ["dead", *arguments], input=given)
    assert isinstance(result.exception, CourierError)
    return str(result.exception)


def letters(count: int = len(ALERTS)) -> list[DeadLetter]:
    return [
        DeadLetter(Delivery(f"n:f:{i}", HEADER, ALERTS[i % len(ALERTS)]), 1_700_000_001_000 + i) for i in range(count)
    ]


def records(client: redis.Redis) -> object:
    parts = ("records", "dead")
    return [
        (client.hgetall if part == "records" else lambda k: client.zrange(k, 0, -1, withscores=True))(
            f"courier:{{{one}}}:{part}"
        )
        for one in ("slack", "shuffle")
        for part in parts
    ]


def test_export_and_import_preserve_dead_letters_byte_for_byte(
    client: redis.Redis, ledger: Ledger, tmp_path: Path
) -> None:
    ledger.import_dead("slack", letters())
    ledger.import_dead("shuffle", letters(2))
    before, file = records(client), tmp_path / "letters"
    assert run("export", str(file)) == "7 exported\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert ledger.status("slack").dead == 5
    client.flushall()
    publish(client)
    assert run("import", str(file)) == "7 imported\n"
    assert records(client) == before
    assert run("import", str(file)) == "0 imported, 7 skipped because they already exist\n"
    assert records(client) == before
    totals = ledger.status("slack").totals
    assert (totals["imported"], "dead" in totals) == (5, False)
    assert totals["dead_bytes"] == sum(map(len, client.hvals("courier:{slack}:records")))


def test_import_does_not_change_waiting_deliveries(client: redis.Redis, ledger: Ledger) -> None:
    del client
    ledger.import_dead("slack", letters(2))
    out = run("export", "-").encode()
    ledger.replay("slack", ["n:f:1"])
    ledger.discard("slack", ["n:f:0"])
    assert run("import", "-", given=out).startswith("1 imported, 1 skipped")
    status = ledger.status("slack")
    assert (status.dead, status.waiting) == (1, 1)


def test_export_accepts_the_filters_of_list(ledger: Ledger) -> None:
    ledger.import_dead("slack", letters())
    ledger.import_dead("shuffle", letters(1))
    for narrowed, count in ((["--rule", "5712"], 2), (["--integration", "slack", "n:f:3"], 1), (["--newer", "1h"], 0)):
        assert run("export", *narrowed, "-").count("\n") == count


def test_large_import_is_chunked_and_keeps_the_order(ledger: Ledger) -> None:
    many = letters(1201)
    lines = b"".join(
        write_line(FoundLetter("shuffle" if n % 601 == 600 else "slack", one)) for n, one in enumerate(many)
    )
    assert run("import", "-", given=lines) == "1201 imported\n"
    assert [one.delivery.id for one in ledger.dead_letters("shuffle")] == ["n:f:600"]
    slack = [one for n, one in enumerate(many) if n != 600]
    assert list(ledger.dead_letters("slack")) == slack


def test_export_never_overwrites_or_leaves_a_partial_file(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "letters"
    file.write_text("mine")
    assert "already exists" in refusal("export", str(file))
    assert file.read_text() == "mine"
    assert "cannot be written" in refusal("export", str(tmp_path / "no" / "folder"))
    ledger.import_dead("slack", letters(1))
    monkeypatch.setattr("ops.cli.dead.transfer.write_line", Mock(side_effect=LedgerUnavailable("away")))
    assert refusal("export", str(tmp_path / "half")) == "away"
    assert not (tmp_path / "half").exists()
    assert "cannot be read" in refusal("import", str(tmp_path / "nothing"))


GOOD = write_line(FoundLetter("slack", letters(1)[0]))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"{", "not a dead letter"),
        (b"[]", "not a dead letter"),
        (b'{"courier":"dead letter 9"}', "dead letter 9"),
        (GOOD.replace(b'"alert":', b'"allert":'), "either `alert` or `alert_base64`"),
        (GOOD.replace(b"1700000001000", b"1e300"), "not a dead letter"),
        (GOOD.replace(b"1700000001000", b"900000000000000"), "Expected `int`"),
        (GOOD.replace(b'"attempts":3', b'"attempts":-3'), "Expected `int`"),
        (GOOD.replace(b"n:f:0", b""), "not a dead letter"),
        (GOOD.replace(b"n:f:0", b"\xff"), "not a dead letter"),
        (GOOD.replace(b"slack", b"slak"), "unknown integration 'slak'"),
    ],
)
def test_import_names_the_invalid_line_and_keeps_those_before_it(ledger: Ledger, line: bytes, expected: str) -> None:
    error = refusal("import", "-", given=GOOD + b"\n" + line.rstrip(b"\n") + b"\n" + GOOD)
    assert error.startswith("-:3: ")
    assert expected in error
    assert ledger.status("slack").dead == 1


def test_import_refuses_a_redis_that_evicts_keys(ledger: Ledger, client: redis.Redis) -> None:
    client.config_set("maxmemory-policy", "allkeys-lru")
    try:
        assert "evict deliveries" in refusal("import", "-", given=GOOD)
    finally:
        client.config_set("maxmemory-policy", "noeviction")
    assert ledger.status("slack").dead == 0


@given(alert=st.binary() | st.text().map(lambda text: text.encode("utf-8", "replace")), detail=st.text())
def test_any_alert_survives_export_and_import(alert: bytes, detail: str) -> None:
    detail = detail.encode("utf-8", "replace").decode()
    header = Header(committed_ms=1, history=(Attempt(1, "http_4xx", detail),))
    found = FoundLetter("slack", DeadLetter(Delivery("a", header, alert), 2))
    line = write_line(found)
    assert line.count(b"\n") == 1
    assert read_line(line) == found
