from __future__ import annotations

import json
from typing import Any

import pytest

from common.integration import Integration
from producer.filters.decode import FilterField, InvalidAlert
from producer.filters.index import MAX_CACHED_LINE_BYTES, FilterIndex

ABSENT: Any = object()


def alert(*, location: Any = "/var/log/secure", **rule: Any) -> bytes:
    fields = {"rule": rule, "location": location}
    return json.dumps({key: value for key, value in fields.items() if value is not ABSENT}).encode()


def passes(raw: bytes, **settings: Any) -> bool:
    return bool(FilterIndex([Integration(id="a", name="custom-a", **settings)]).match(raw))


@pytest.mark.parametrize(
    ("wanted", "rule", "expected"),
    [
        (7, {"level": 7}, True),
        (7, {"level": 7.9}, True),
        (8, {"level": 7.9}, False),
        (7, {"level": "7"}, False),
        (7, {"level": None}, False),
        (7, {}, False),
        (7, {"level": -1}, True),
        (2**32 - 1, {"level": -1}, True),
        (17, {"level": 3_000_000_000}, True),
        (2**32 - 1, {"level": 3_000_000_000}, False),
        (1, {"level": True}, True),
        (0, {}, True),
    ],
)
def test_level(wanted: int, rule: dict[str, Any], *, expected: bool) -> None:
    assert passes(alert(**rule), level=wanted) is expected


@pytest.mark.parametrize(
    ("wanted", "groups", "expected"),
    [
        ("sshd", ["syslog", "sshd"], True),
        ("ssh", ["syslog", "sshd"], False),
        ("SSHD", ["syslog", "sshd"], False),
        ("web|sshd", ["syslog", "sshd"], False),
        ("web,sshd", ["syslog", "sshd"], True),
        ("web, sshd", ["syslog", "sshd"], False),
        ("sshd,", ["syslog", "sshd"], True),
        ("sshd,", [""], False),
        ("", [""], False),
        ("", ["a"], False),
        (",sshd", [""], True),
        ("a,,b", [""], True),
        ("sshd", "sshd", False),
        ("sshd", {"k": "sshd"}, True),
        ("sshd", [3, "sshd"], True),
        ("sshd", [["sshd"]], False),
        ("sshd", ["sshd\0x"], True),
        ("ñ", ["ñ"], True),
    ],
)
def test_group(wanted: str, groups: Any, *, expected: bool) -> None:
    assert passes(alert(groups=groups), group=wanted) is expected


@pytest.mark.parametrize(
    ("wanted", "rule_id", "expected"),
    [
        ((1, 5712), "5712", True),
        ((1, 5712), "05712x", True),
        ((1, 5712), " \t5712.9", True),
        ((1, 5712), "x5712", False),
        ((1, 5712), "57120", False),
        ((5712,), 5712, False),
        ((5712,), None, False),
        ((), "5712", False),
        ((), "0", False),
        ((0,), "abc", False),
        ((100_200,), "4295067496", True),
        ((4_295_067_496,), "100200", True),
        ((4_294_967_295,), "-1", True),
        ((4_294_967_295,), "9" * 5000, True),
        ((5712,), "0" * 5000 + "5712", True),
        (None, "5712", True),
    ],
)
def test_rule_id(wanted: tuple[int, ...] | None, rule_id: Any, *, expected: bool) -> None:
    assert passes(alert(id=rule_id), rule_ids=wanted) is expected


@pytest.mark.parametrize(
    ("wanted", "location", "expected"),
    [
        ("secure", "/var/log/secure", True),
        ("!secure", "/var/log/secure", False),
        ("!x", "", True),
        ("x", ABSENT, False),
        ("!x", ABSENT, False),
        ("", ABSENT, False),
        ("", "", True),
        ("", "x", True),
        ("!x", 3, False),
        ("!x", None, False),
        ("^loc$", "loc\0ation", True),
        ("日本", "(x) any->日本", True),
        ("!x", "\ud83d", True),
    ],
)
def test_event_location(wanted: str, location: Any, *, expected: bool) -> None:
    assert passes(alert(location=location), event_location=wanted) is expected


def test_location_with_invalid_utf_8_is_compared_as_bytes() -> None:
    raw = b'{"rule":{},"location":"srv-\xe9"}'
    assert passes(raw, event_location="srv-\udce9$")
    assert not passes(raw, event_location="srv-é$")


def test_rule_without_fields_passes_a_block_without_filters() -> None:
    for rule in (b'"x"', b"null"):
        raw = b'{"rule":' + rule + b',"location":"x"}'
        assert passes(raw)
        assert passes(raw, event_location="x")
        assert not passes(raw, level=1)
        assert not passes(raw, group=",a")
        assert not passes(raw, rule_ids=(1,))


def test_all_configured_filters_must_pass() -> None:
    settings: dict[str, Any] = {"level": 3, "group": "a", "rule_ids": (5,), "event_location": "secure"}
    assert passes(alert(level=3, groups=["a"], id="5"), **settings)
    for rule in ({"level": 2}, {"groups": ["b"]}, {"id": "6"}, {"location": "x"}):
        assert not passes(alert(**({"level": 3, "groups": ["a"], "id": "5"} | rule)), **settings)


def test_ids_come_in_file_order() -> None:
    index = FilterIndex(
        [
            Integration(id="z", name="custom-z", event_location="secure"),
            Integration(id="m", name="custom-m", level=5),
            Integration(id="a", name="custom-a"),
        ]
    )
    assert index.match(alert(level=5)) == ("z", "m", "a")
    assert index.match(alert(level=3)) == ("z", "a")
    assert index.match(alert(level=5, location="x")) == ("m", "a")
    assert FilterIndex([]).match(alert()) == ()


def test_wrong_types_are_counted_by_field() -> None:
    index = FilterIndex([Integration(id="a", name="custom-a")])
    for raw in (alert(level="7", location=5), alert(location=None), alert(id="5")):
        assert index.match(raw) == ("a",)
    assert index.type_errors == {FilterField.LEVEL: 1, FilterField.LOCATION: 2}


def test_invalid_line_raises() -> None:
    with pytest.raises(InvalidAlert):
        FilterIndex([]).match(b"{}")


def test_caches_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("producer.filters.index.CACHE_SIZE", 10)
    index = FilterIndex([Integration(id="a", name="custom-a", event_location="9")])
    for number in range(99):
        raw = alert(id=str(number), location=str(number))
        assert index.match(raw) == index.match(raw) == (("a",) if "9" in str(number) else ())
        assert len(index._by_rule) <= 10
        assert len(index._by_location) <= 10


def test_long_lines_are_not_cached() -> None:
    index = FilterIndex([Integration(id="a", name="custom-a", event_location="x")])
    raw = alert(location="x" * MAX_CACHED_LINE_BYTES)
    assert index.match(raw) == index.match(raw) == ("a",)
    assert not index._by_rule
    assert not index._by_location
