from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.integrations.script.text_alert import render_text

EXAMPLE = (
    b"alertdate='2024-05-11T12:29:19.905+0000'\nalertlocation='/var/log/secure'\nruleid='5712'\nalertlevel='10'\n"
    b"ruledescription='sshd: brute force'\nalertlog='Invalid user  paco  from 10.0.0.1'\nsrcip='10.0.0.1'"
)
EMPTY = b"alertdate=''\nalertlocation=''\nruleid=''\nalertlevel='0'\nruledescription=''\nalertlog=''\nsrcip=''"


def alert(**fields: Any) -> bytes:
    return json.dumps(fields, ensure_ascii=False).encode()


def value(name: str, raw: bytes, max_log: int = 165) -> bytes:
    found = next(line for line in render_text(raw, max_log).split(b"\n") if line.startswith(name.encode() + b"='"))
    return found[len(name) + 2 : -1]


def test_the_specifications_example() -> None:
    raw = alert(
        timestamp="2024-05-11T12:29:19.905+0000",
        rule={"level": 10, "id": "5712", "description": "sshd: brute force"},
        full_log="Invalid user 'paco' from 10.0.0.1",
        data={"srcip": "10.0.0.1"},
        location="/var/log/secure",
    )
    assert render_text(raw, 165) == EXAMPLE


@pytest.mark.parametrize("raw", [b"{}", b'{"rule":null,"data":[]}', b'{"rule":"x","data":{}}'])
def test_missing_fields_are_empty(raw: bytes) -> None:
    assert render_text(raw, 165) == EMPTY


@pytest.mark.parametrize("wrong", ["7", "null", "true", '["x"]', '{"a":1}'])
def test_values_of_the_wrong_type_never_raise(wrong: str) -> None:
    rule = f'{{"id":{wrong},"description":{wrong}}}'
    raw = f'{{"timestamp":{wrong},"location":{wrong},"rule":{rule},"full_log":{wrong},"data":{{"srcip":{wrong}}}}}'
    null = ("alertdate", "alertlocation", "ruleid", "ruledescription")
    assert {value(name, raw.encode()) for name in null} == {b"(null)"}
    assert value("alertlog", raw.encode()) == value("srcip", raw.encode()) == b""


@pytest.mark.parametrize(
    ("written", "level"),
    [
        ("7.9", "7"),
        ("-1", "-1"),
        ("-7.9", "-7"),
        ("1e400", "2147483647"),
        ("3000000000", "2147483647"),
        ('"7"', "0"),
        ("null", "0"),
        ("false", "0"),
        ("true", "1"),
        ("[7]", "0"),
    ],
)
def test_the_level_is_a_c_int(written: str, level: str) -> None:
    assert value("alertlevel", f'{{"rule":{{"level":{written}}}}}'.encode()) == level.encode()


def test_the_log_ends_in_dots_from_the_limit_on() -> None:
    whole = value("alertlog", alert(full_log="a" * 164))
    assert whole == b"a" * 164
    for length in (165, 166, 5000):
        assert value("alertlog", alert(full_log="a" * length)) == b"a" * 162 + b"..."
    assert value("alertlog", alert(full_log="é" * 83)) == b" " * 162 + b"..."


@given(st.text(), st.integers(165, 1024))
def test_dangerous_characters_of_the_log_are_replaced(text: str, max_log: int) -> None:
    log = value("alertlog", json.dumps({"full_log": text}).encode(), max_log)
    assert not set(log) & set(b"'`\"!$\\;{|}~\x7f\n")
    assert log.isascii()
    assert len(log) == min(len(text.partition("\0")[0].encode()), max_log)


def test_srcip_keeps_only_characters_of_addresses() -> None:
    assert value("srcip", alert(data={"srcip": "2001:db8::1"})) == b"2001:db8::1"
    assert value("srcip", alert(data={"srcip": "a'b\\c`d-e,f g\nh"})) == b"a b c d e f g h"


def test_bytes_in_are_bytes_out() -> None:
    raw = b'{"location":"a\xff\xc3\xa9\\u00e9","timestamp":"cut\\u0000here",'
    raw += b'"rule":{"description":"\\ud800 \\ud83d\\udd25"}}'
    assert value("alertlocation", raw) == b"a\xff\xc3\xa9\xc3\xa9"
    assert value("alertdate", raw) == b"cut"
    assert value("ruledescription", raw) == "\ufffd 🔥".encode()


@pytest.mark.parametrize("raw", [b"", b"[]", b"7", b'{"a":', b"nonsense s3cret"])
def test_an_invalid_alert_is_refused_without_quoting_it(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"missing|object") as refusal:
        render_text(raw, 165)
    assert "s3cret" not in str(refusal.value)
