"""Any bytes of an alert, a record or a dead letter cause at most a declared error, and take little time."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import lenient_json
from common.errors import UnreadableRecord
from common.exact_json import read_json, write_json
from common.integration import Integration
from common.json_depth import MAX_DEPTH, check_depth
from common.ledger import Delivery, Header
from common.ledger.record import decode_record, encode_record
from common.outcome import Rejected
from common.reports.producer import ProducerReport
from common.reports.store import ReportStore
from common.secret import Secret
from ops.admin.dead_letter_file import read_line
from producer.cursors.backup import CursorBackup
from producer.filters.decode import InvalidAlert, decode_line
from tests.support.fakes import SIGNER
from workers.alert.alert import Alert
from workers.calls import Response
from workers.integrations.base import NotSendable
from workers.integrations.helpers.json_response import parse_json
from workers.integrations.manager import Manager
from workers.redaction import secrets_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TEN_MEGABYTES = 10_000_000
LIMIT_S = 0.5

READERS: dict[str, tuple[Callable[[bytes], object], tuple[type[Exception], ...]]] = {
    "line": (decode_line, (InvalidAlert,)),
    "lenient": (lambda raw: lenient_json.parse(raw, levels=3), (ValueError,)),
    "places": (lambda raw: lenient_json.value_offsets(raw.decode("utf-8", "surrogateescape")), (ValueError,)),
    "alert": (lambda raw: Alert(raw).fields, (ValueError,)),
    "json": (lambda raw: read_json(text_of(raw)), (ValueError,)),
    "answer": (lambda raw: parse_json(Response(status=200, body=raw)), (ValueError,)),
    "record": (lambda raw: decode_record("1", raw), (UnreadableRecord,)),
    "letter": (read_line, (ValueError,)),
    "report": (
        lambda raw: ReportStore("", ProducerReport, expire_s=None).decode({b"report": raw, b"n:lines": raw}),
        (),
    ),
    "options": (
        lambda raw: list(secrets_of(Integration(id="x", name="x", options=Secret(text_of(raw))))),
        (),
    ),
    "manager": (lambda raw: Manager(SIGNER).build_calls(Alert(raw)), (NotSendable,)),
}

_DEEP = st.builds(
    lambda ends, levels, inner, closed: ends[0] * levels + inner + ends[1] * levels * closed,
    st.sampled_from([(b"[", b"]"), (b'{"a":', b"}"), (b'{"rule":', b"}"), (b"[0,", b"]")]),
    st.sampled_from([MAX_DEPTH - 1, MAX_DEPTH, MAX_DEPTH + 1, 5_000]),
    st.sampled_from([b"", b"1", b"007", b'"\xff"', b"\0"]),
    st.booleans(),
)
_RECORDS = st.builds(
    lambda raw, at, junk: raw[:at] + junk + raw[at:],
    st.just(encode_record(Delivery("1", Header(committed_ms=1, completed_calls=("\u00e9",)), b"{}"))),
    st.integers(0, 60),
    st.binary(max_size=3),
)
_BRACKETS = st.from_regex(rb'[\[\]{}:,"\\0-9a\xff ]{0,40}', fullmatch=True)
HOSTILE = st.one_of(st.binary(max_size=300), _DEEP, _RECORDS, _BRACKETS)


def text_of(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def attempt(reader: str, raw: bytes) -> object:
    """Return the value, or the declared error. Any other error is raised."""
    read, declared = READERS[reader]
    try:
        return read(raw)
    except declared as error:
        return error


@pytest.mark.parametrize("reader", READERS)
@given(raw=HOSTILE)
def test_any_bytes_are_a_value_or_a_declared_error(reader: str, raw: bytes) -> None:
    attempt(reader, raw)


@pytest.mark.parametrize("unit", [b"[", b'{"a":', b'{"rule":', b'[{"', b'"[', b'\\"[', b"[0,"])
@pytest.mark.parametrize("reader", ["line", "alert", "record", "letter", "answer"])
def test_ten_megabytes_of_nesting_are_refused_quickly(reader: str, unit: bytes) -> None:
    raw = unit * (TEN_MEGABYTES // len(unit))
    assert cpu_s(lambda: attempt(reader, raw)) < 4 * LIMIT_S


@pytest.mark.parametrize("reader", ["line", "alert", "record", "letter", "answer"])
def test_ten_megabytes_of_brackets_are_refused_within_half_a_second(reader: str) -> None:
    assert min(cpu_s(lambda: attempt(reader, b"[" * TEN_MEGABYTES)) for _ in range(3)) < LIMIT_S


@pytest.mark.parametrize(
    ("before", "unit", "behind"),
    [
        (b"[", b"007,", b"0]"),
        (b"[", b"1,", b"007]"),
        (b"[", b"1\x00,", b"0]"),
        (b"[", b"[07],", b"0]"),
        (b'{"a":{', b'"a":07,', b'"b":0}}'),
        (b"[", b'{"a":07},', b"0]"),
    ],
)
def test_a_wide_malformed_line_is_read_quickly(before: bytes, unit: bytes, behind: bytes) -> None:
    wide = before + unit * (TEN_MEGABYTES // len(unit)) + behind
    line = b'{"rule":{"level":3},"x":' + wide + b"}"
    assert cpu_s(lambda: decode_line(line)) < 4 * LIMIT_S


@pytest.mark.parametrize("opener", [b"[", b'{"a":', b'["[[\\"[[",'])
def test_every_json_reader_has_the_same_depth_limit(opener: bytes) -> None:
    closer = b"}" if opener.startswith(b"{") else b"]"
    for levels, fits in [(MAX_DEPTH, True), (MAX_DEPTH + 1, False)]:
        raw = opener * levels + b"1" + closer * levels
        read = [attempt(reader, raw) for reader in ("lenient", "json", "answer")]
        assert [isinstance(one, ValueError) for one in read] == [not fits] * 3
        line = b'{"rule":{},"x":' + raw[len(opener) : -1] + b"}"
        assert isinstance(attempt("line", line), InvalidAlert) is not fits


def test_json_at_the_depth_limit_can_be_written() -> None:
    value = read_json("[" * MAX_DEPTH + "0.5" + "]" * MAX_DEPTH)
    assert json.loads(write_json(value))
    with pytest.raises(ValueError, match="nested too deeply"):
        write_json([value])


@given(st.recursive(st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20))
def test_brackets_inside_strings_do_not_count_as_nesting(value: object) -> None:
    check_depth(json.dumps([value, "[{" * MAX_DEPTH, '\\"' + "[" * MAX_DEPTH]))


def test_malformed_files_in_the_state_folder_cause_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "places.json").write_bytes(b"[" * 100_000)
    assert CursorBackup(tmp_path / "places.json").load() == {}


def test_an_event_nested_too_deeply_is_a_dead_letter() -> None:
    refused = attempt("manager", b"[" * 100_000)
    assert isinstance(refused, NotSendable)
    assert isinstance(refused.outcome, Rejected)


def cpu_s(work: Callable[[], object]) -> float:
    """Return the CPU seconds of this thread, which do not depend on the load of the machine."""
    before = time.thread_time()
    work()
    return time.thread_time() - before
