from __future__ import annotations

import pytest
from msgspec import UNSET

from common.json_depth import MAX_DEPTH
from producer.filters.decode import (
    FilterField,
    InvalidAlert,
    RejectReason,
    Rule,
    decode_alert,
    decode_leniently,
    decode_line,
)

LOWEST_INT, HIGHEST_INT = 2**31, 2**31 - 1


def test_only_the_fields_of_filters_are_decoded() -> None:
    line = decode_line(b'{"id":"1.2","rule":{"level":5,"id":"5710","groups":["a","b"],"mail":false},"location":"x"}\n')
    assert (line.rule, line.location) == (Rule(level=5, id="5710", groups=("a", "b")), "x")
    assert line.type_errors == ()


def test_absent_fields_have_defaults() -> None:
    line = decode_line(b'{"rule":{}}')
    assert (line.rule, line.location, line.type_errors) == (Rule(0, "", ()), UNSET, ())


@pytest.mark.parametrize(
    ("written", "level"),
    [
        ("7", 7),
        ("7.9", 7),
        ("7e0", 7),
        ("-0.5", 0),
        ("007", 7),
        ("-1", 2**32 - 1),
        ("-3000000000", LOWEST_INT),
        ("3000000000", HIGHEST_INT),
        ("1e30", HIGHEST_INT),
        ("1e400", HIGHEST_INT),
        ("9" * 5000, HIGHEST_INT),
    ],
)
def test_levels_are_read_as_c_ints_and_compared_unsigned(written: str, level: int) -> None:
    line = decode_line(f'{{"rule":{{"level":{written}}}}}'.encode())
    assert (line.rule.level, line.type_errors) == (level, ())


@pytest.mark.parametrize(("written", "level"), [('"7"', 0), ("null", 0), ("false", 0), ("true", 1), ("[7]", 0)])
def test_level_of_a_wrong_type_is_zero_or_one_and_reported(written: str, level: int) -> None:
    line = decode_line(f'{{"rule":{{"level":{written}}}}}'.encode())
    assert (line.rule.level, line.type_errors) == (level, (FilterField.LEVEL,))


@pytest.mark.parametrize(
    ("text", "groups", "wrong"),
    [
        ('["a",3,["b"],{"c":"d"},null]', ("a",), True),
        ('[5,"a"]', ("a",), True),
        ('{"k":"a","l":"b"}', ("a", "b"), False),
        ('{"k":1}', (), True),
        ('"a"', (), True),
        ("null", (), True),
        ("[]", (), False),
    ],
)
def test_groups_of_other_types(text: str, groups: tuple[str, ...], *, wrong: bool) -> None:
    line = decode_line(b'{"rule":{"groups":' + text.encode() + b"}}")
    assert line.rule.groups == groups
    assert line.type_errors == ((FilterField.GROUPS,) if wrong else ())


def test_wrong_types_are_reported_and_count_as_absent() -> None:
    line = decode_line(b'{"rule":{"level":"7","id":5712,"groups":7},"location":null}')
    assert (line.rule, line.location) == (Rule(0, "", ()), UNSET)
    assert set(line.type_errors) == set(FilterField) - {FilterField.RULE}
    assert len(line.type_errors) == 4


@pytest.mark.parametrize("rule", ["null", '"x"', "3", "[]", '[{"level":10}]'])
def test_rule_that_is_not_an_object_has_no_fields(rule: str) -> None:
    line = decode_line(f'{{"rule":{rule},"location":"x"}}'.encode())
    assert (line.rule, line.location, line.type_errors) == (Rule(), "x", (FilterField.RULE,))


def test_keys_are_case_sensitive_and_the_last_one_wins() -> None:
    line = decode_line(
        b'{"Location":"no","rule":{"level":9},"rule":{"level":"x","level":3,"LEVEL":12},"location":1,"location":"b"}'
    )
    assert (line.rule.level, line.location, line.type_errors) == (3, "b", ())


@pytest.mark.parametrize(
    "raw",
    [
        b'  {"rule":{"level":7}}  ',
        b'\t{"rule":{"level":7}}\r\n',
        b'\xef\xbb\xbf{"rule":{"level":7}}',
        b'{"rule":{"level":7},"x":"\xff\x01"}',
        b'{"rule":{"level":7},"x":"\\ud83d"}',
        b'{"rule":{"level":7},"x":' + b"[" * (MAX_DEPTH - 1) + b"]" * (MAX_DEPTH - 1) + b"}",
        b'{"rule":{"level":7},"x":"' + b"L" * 70_000 + b'"}',
        b'\0\0{"rule":{"level":7}}',
        b'{"rule":{"level":7},"wrong_types":["rule"]}',
    ],
)
def test_readable_lines_are_decoded(raw: bytes) -> None:
    line = decode_line(raw)
    assert (line.rule, line.type_errors) == (Rule(level=7), ())
    lenient = decode_leniently(raw)
    assert (lenient.rule, lenient.location, lenient.type_errors) == (line.rule, line.location, ())
    assert decode_alert(raw)["rule"] == {"level": 7}


def test_invalid_utf_8_reaches_the_filters() -> None:
    assert decode_line(b'{"rule":{},"location":"\xe9"}').location == "\udce9"


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", RejectReason.INVALID_JSON),
        (b"not json", RejectReason.INVALID_JSON),
        (b'{"rule":{}} x', RejectReason.INVALID_JSON),
        (b'{"rule":{}}{"rule":{}}', RejectReason.INVALID_JSON),
        (b'{"rule":{},"x":' + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH + b"}", RejectReason.INVALID_JSON),
        (b'{"rule":{"level":NaN}}', RejectReason.INVALID_JSON),
        (b'{"rule":{},"full_log":"SECRET\\x41"}', RejectReason.INVALID_JSON),
        (b"\0\0\0", RejectReason.NUL_BYTE),
        (b'{"rule":{"le\0\0\0', RejectReason.NUL_BYTE),
        (b'[{"rule":{}}]', RejectReason.NOT_AN_OBJECT),
        (b"42", RejectReason.NOT_AN_OBJECT),
        (b"{}", RejectReason.NO_RULE),
        (b'{"RULE":{}}', RejectReason.NO_RULE),
    ],
)
def test_invalid_lines_give_a_reason_and_quote_nothing(raw: bytes, reason: RejectReason) -> None:
    with pytest.raises(InvalidAlert) as caught:
        decode_line(raw)
    assert caught.value.reason is reason
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize(
    ("raw", "alert"),
    [
        (b'{"a":1,"a":{"b":1,"b":2}}', {"a": {"b": 2}}),
        (b'{"a":1,"a":"\xff","b":{"c":1,"c":2}}', {"a": "\udcff", "b": {"c": 2}}),
        (b'{"a":007,"a":[7.,-.5]}', {"a": [7.0, -0.5]}),
        (b'{"a":1e400}', {"a": float("inf")}),
        (b'{"a":1}\0{"b":2}', {"a": 1}),
    ],
)
def test_whole_alerts_are_decoded_as_everyone_reads_json(raw: bytes, alert: object) -> None:
    assert decode_alert(raw) == alert


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b'{"a":', RejectReason.INVALID_JSON),
        (b"[1]", RejectReason.NOT_AN_OBJECT),
        (b"7", RejectReason.NOT_AN_OBJECT),
        (b'{"a":' + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH + b"}", RejectReason.INVALID_JSON),
    ],
)
def test_what_is_no_alert_is_refused(raw: bytes, reason: RejectReason) -> None:
    with pytest.raises(InvalidAlert) as refused:
        decode_alert(raw)
    assert refused.value.reason is reason


def test_nesting_up_to_the_limit_is_decoded_by_every_reader() -> None:
    arrays = b"[" * (MAX_DEPTH - 1) + b"%s" + b"]" * (MAX_DEPTH - 1)
    for value in (b"7", b'"\xff"', b"007"):
        assert decode_alert(b'{"a":' + arrays % value + b"}")
