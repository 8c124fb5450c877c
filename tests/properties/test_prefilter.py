"""The first look decides exactly as the plain way: a batch that is sifted gives what each of its lines gives.

Lines are JSON as a manager writes it and as nobody should: equal keys, escaped keys, a level elsewhere, odd numbers,
blanks, half a line, two in one, bytes that are not UTF-8.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.integration import Integration
from producer.filters import prefilter
from producer.filters.decode import InvalidAlert
from producer.filters.index import FilterIndex
from producer.log_lines import LineBuffer, LogLine, LogLines
from tests.properties.test_filters import alerts, integrations

LEVELS = [
    "0",
    "6",
    "7",
    "8",
    "15",
    "16",
    "-1",
    "7.9",
    "8.0",
    "7e0",
    "1e1",
    "true",
    "null",
    '"8"',
    "9" * 30,
    "08",
    "[8]",
]
Verdict = tuple[bytes, object]


def _rule(members: list[str]) -> str:
    return "{" + ",".join(members) + "}"


level_keys = st.sampled_from(['"level"', '"level" ', '"\\u006cevel"', '"Level"', '"lev\\u0065l"'])
members = st.one_of(
    st.builds(lambda key, value: f"{key}:{value}", level_keys, st.sampled_from(LEVELS)),
    st.sampled_from(['"id":"7"', '"id":"8"', '"id":7', '"groups":["a"]', '"groups":["b","é"]', '"groups":["a",1]']),
    st.sampled_from(['"mitre":{"level":15}', '"description":"\\"level\\":15"', '"x":{"rule":{"level":15}}']),
)
rules = st.lists(members, max_size=4).map(_rule) | st.sampled_from(["null", '"rule"', "[]"])
parts = st.one_of(
    st.builds(lambda key, rule: f"{key}:{rule}", st.sampled_from(['"rule"', '"rul\\u0065"', ' "rule"\t']), rules),
    st.sampled_from(
        ['"location":"a"', '"location":"b|7"', '"location":3', '"data":{"rule":{"level":15}}', '"level":15']
    ),
    st.sampled_from(
        ['"full_log":"{\\"rule\\":{\\"level\\":15}}"', '"n":1e400', '"n":007', '"s":"\\ud83d"', '"s":"\x01"']
    ),
)
whole = st.lists(parts, max_size=4).map(lambda texts: ("{" + ",".join(texts) + "}").encode())
spoiled = st.one_of(
    st.builds(lambda raw, at: raw[:at], whole, st.integers(0, 60)),
    st.builds(lambda one, two: one + two, whole, whole),
    st.builds(lambda raw, at, noise: raw[:at] + noise + raw[at:], whole, st.integers(0, 60), st.binary(max_size=3)),
    st.builds(
        lambda before, raw, after: before + raw + after,
        blank := st.sampled_from([b"", b" ", b"\t\r", b"\0"]),
        whole,
        blank,
    ),
)
ordinary = st.builds(  # two of them often differ in one value only
    lambda level, number, group, location: json.dumps(
        {"rule": {"level": level, "id": number, "groups": [group]}, "location": location, "data": {"level": 15}}
    ).encode(),
    st.sampled_from([6, 7, 8]),
    st.sampled_from(["7", "8"]),
    st.sampled_from(["a", "b"]),
    st.sampled_from(["a", "b"]),
)
odd = whole | spoiled | alerts.map(lambda alert: json.dumps(alert).encode())
lines = ordinary | odd.map(lambda raw: raw.replace(b"\n", b""))
settled = st.builds(
    lambda level, group, ids, location: Integration(
        id="s", name="custom-s", level=level, group=group, rule_ids=ids, event_location=location
    ),
    st.sampled_from([0, 7, 8, 2**32 - 1]),
    st.sampled_from([None, "a"]),
    st.sampled_from([None, (7,)]),
    st.sampled_from([None, "a", "!a"]),
)
blocks = st.lists(settled, min_size=1, max_size=2) | st.lists(integrations | settled, max_size=4)


def verdict(index: FilterIndex, raw: bytes) -> object:
    try:
        return index.match(raw)
    except InvalidAlert as bad:
        return bad.reason


def sifted(index: FilterIndex, batch: LogLines) -> tuple[int, list[Verdict]]:
    """Return how many lines there are, and what is found of those that are not turned down."""
    number, left = index.prefilter(batch)
    return number, [(line.raw, verdict(index, line.raw)) for line in left]


def telling(found: list[Verdict]) -> list[Verdict]:
    """Leave out what matches nothing, which the look may or may not turn down."""
    return [(raw, told) for raw, told in found if told != ()]


@settings(max_examples=400)
@given(blocks, st.lists(lines, min_size=1, max_size=12))
def test_prefiltered_batch_equals_matching_each_line(configured: list[Integration], raws: list[bytes]) -> None:
    gives_the_same(configured, raws)


@settings(max_examples=400)
@given(st.lists(settled, min_size=1, max_size=2), st.lists(ordinary, min_size=8, max_size=12))
def test_lines_that_differ_in_one_value_are_distinguished(configured: list[Integration], raws: list[bytes]) -> None:
    gives_the_same(configured, raws)


def gives_the_same(configured: list[Integration], raws: list[bytes]) -> None:
    index = FilterIndex(configured)
    plain = [(raw, verdict(FilterIndex(configured), raw)) for raw in raws]
    for _ in range(2):  # the second time from memory
        data = b"".join(raw + b"\n" for raw in raws)
        number, found = sifted(index, LineBuffer(data + b'{"half', len(data), "f", 0))
        assert number == len(raws)
        assert telling(found) == telling(plain)
        number, found = sifted(index, LogLines([LogLine(raw, "f", 0, 0) for raw in raws]))
        assert number == len(raws)
        assert telling(found) == telling(plain)


@given(st.lists(lines, min_size=1, max_size=12), st.integers(0, 1000))
def test_buffer_contains_its_lines(raws: list[bytes], start: int) -> None:
    data = b"".join(raw + b"\n" for raw in raws)
    block = LineBuffer(data + b"half", len(data), "f", start)
    listed: list[LogLine] = list(block)
    assert [line.raw for line in listed] == raws
    assert [block[at] for at in range(len(block))] == listed == block[:]
    assert block[-1] == listed[-1]
    assert (listed[0].start, listed[-1].end) == (block.start, block.end) == (start, start + len(data))
    assert [line.start for line in listed[1:]] == [line.end for line in listed[:-1]]


@pytest.mark.parametrize(
    "wanted", [{"level": 12}, {"level": 3, "group": "x"}, {"rule_ids": (1,)}, {"event_location": "x"}]
)
def test_lines_that_match_nothing_are_rejected(wanted: dict[str, Any]) -> None:
    index = FilterIndex([Integration(id="a", name="custom-a", **wanted)])
    data = b'{"rule":{"level":5,"id":"5","groups":["b"]},"location":"b"}\n' * 3
    sifted(index, LineBuffer(data, len(data), "f", 0))
    assert sifted(index, LineBuffer(data, len(data), "f", 0)) == (3, [])


@pytest.mark.parametrize(("wanted", "memory"), [({"rule_ids": (1000,)}, "_known"), ({"group": "x"}, "_unwanted")])
def test_prefilter_memory_is_bounded(monkeypatch: pytest.MonkeyPatch, wanted: dict[str, Any], memory: str) -> None:
    monkeypatch.setattr(prefilter, "CACHE_SIZE", 10)
    monkeypatch.setattr(prefilter, "MAX_IDS", 10)
    index = FilterIndex([Integration(id="a", name="custom-a", **wanted)])
    for number in range(99):
        assert index.match(b'{"rule":{"id":"%d","groups":["%d"]}}' % (number, number)) == ()
        assert 0 < len(getattr(index._prefilter, memory)) <= 10
