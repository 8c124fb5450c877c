"""The fast code equals the simple code: typed and lenient decoding, the index and checking each block."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from common import lenient_json
from common.integration import Integration
from producer.filters.decode import FilterFields, InvalidAlert, decode_leniently
from producer.filters.index import FilterIndex
from tests.properties.test_sregex import plain

words = st.sampled_from(["", "a", "A", "b", "a,b", "é", "a\0b", "7", "007x", "-1", " 7", "\ud83d"])
scalars = words | st.integers(-2, 9) | st.sampled_from([7.9, -0.5, 2**31, 1e30, None, True, False])
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3))
rules = st.fixed_dictionaries(
    {},
    optional={
        "level": st.integers(0, 9) | values,
        "id": st.sampled_from(["7", "8"]) | values,
        "groups": st.lists(words, max_size=3) | values,
        "Level": values,
    },
)
alerts = st.fixed_dictionaries({}, optional={"rule": rules | values, "location": words | values, "data": values})
integrations = st.builds(
    lambda number, settings: Integration(id=f"i{number}", name="custom-a", **settings),
    st.integers(0, 99),
    st.fixed_dictionaries(
        {},
        optional={
            "level": st.integers(0, 9),
            "group": st.sampled_from(["", "a", "a,", ",a", "b,é", "A,b"]),
            "rule_ids": st.sampled_from([(), (7,), (1, 8), (2**32 - 1,)]),
            "event_location": st.sampled_from(["", "a", "!a", "^a$", "é", "!", "b|7"]),
        },
    ),
)


@given(alerts | values, st.booleans())
def test_both_decoders_agree(alert: Any, ascii_only: bool) -> None:
    raw = json.dumps(alert, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    try:
        fast = msgspec.json.decode(raw, type=FilterFields)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return
    lenient = decode_leniently(raw)
    assert (lenient.rule, lenient.location, lenient.type_errors) == (fast.rule, fast.location, ())


@given(st.lists(st.sampled_from([b"{", b"}", b"[", b"]", b'"rule"', b":", b",", b"1", b"01", b" ", b"\0", b"\xff"])))
def test_lenient_decoder_accepts_all_that_the_fast_one_does(tokens: list[bytes]) -> None:
    raw = b"".join(tokens)
    try:
        msgspec.json.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return
    lenient_json.parse(raw, levels=3)


@given(values)
def test_lenient_decoder_reads_json_like_the_standard_library(value: Any) -> None:
    raw = json.dumps(value).encode()
    assert lenient_json.parse(raw, levels=99) == json.loads(raw)


@given(st.binary() | st.binary().map(lambda noise: b'{"rule":{"level":7},"location":"' + noise + b'"}'))
def test_any_bytes_are_decoded_or_invalid(raw: bytes) -> None:
    with suppress(InvalidAlert):
        FilterIndex([Integration(id="a", name="custom-a", event_location="!x")]).match(raw)


@given(st.lists(integrations, max_size=6), st.lists(alerts, min_size=1, max_size=6))
def test_index_equals_checking_each_block(blocks: list[Integration], log: list[Any]) -> None:
    index = FilterIndex(blocks)
    for alert in log * 2:  # the second time from memory
        if "rule" in alert:
            raw = json.dumps(alert).encode()
            assert index.match(raw) == tuple(block.id for block in blocks if passes(block, alert))


def passes(block: Integration, alert: dict[str, Any]) -> bool:
    """Apply spec 3.2 literally to the parsed alert."""
    rule = alert["rule"] if isinstance(alert["rule"], dict) else {}
    return (
        passes_location(block.event_location, alert.get("location"))
        and level(rule.get("level")) >= block.level
        and passes_group(block.group, rule.get("groups"))
        and passes_rule_id(block.rule_ids, rule.get("id"))
    )


def passes_location(pattern: str | None, location: Any) -> bool:
    if pattern is None:
        return True
    if not isinstance(location, str):
        return False
    return plain(pattern.encode(), location.split("\0")[0].encode("utf-8", "surrogatepass"))


def level(value: Any) -> int:
    if value is True:
        return 1
    if not isinstance(value, int | float):
        return 0
    return max(-(2**31), min(2**31 - 1, int(value))) % 2**32


def passes_group(setting: str | None, groups: Any) -> bool:
    if setting is None:
        return True
    items = list(groups.values()) if isinstance(groups, dict) else groups if isinstance(groups, list) else []
    texts = [item.split("\0")[0] for item in items if isinstance(item, str)]
    wanted = re.sub(",$", "", setting).split(",") if setting else []
    return any(text in wanted for text in texts)


def passes_rule_id(ids: tuple[int, ...] | None, rule_id: Any) -> bool:
    if ids is None:
        return True
    number = re.match(r" *(-?\d+)", rule_id) if isinstance(rule_id, str) else None
    return bool(number) and int(number[1]) % 2**32 in ids  # type: ignore[index]  # it was found
