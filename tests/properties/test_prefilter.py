"""The prefilter never changes the result: a prefiltered batch has the same matches and errors as each of its lines.

Lines are valid JSON of a manager, and unusual ones: repeated keys, escaped keys, a level elsewhere, odd numbers,
white space, a partial line, two alerts in one line, bytes that are not UTF-8.
"""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.integration import Integration
from producer.alertlog.log_lines import LineBuffer, LogLine, LogLines
from producer.filters.decode import InvalidAlert
from producer.filters.index import FilterIndex
from producer.filters.prefilter import MIN_LEVEL
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


def prefiltered(index: FilterIndex, batch: LogLines) -> tuple[int, list[Verdict]]:
    """Return the number of lines, and the result for each line that is not rejected."""
    number, left = index.prefilter(batch)
    return number, [(line.raw, verdict(index, line.raw)) for line in left]


def matches_and_errors(found: list[Verdict]) -> list[Verdict]:
    """Leave out lines that match nothing, which the prefilter may or may not reject."""
    return [(raw, result) for raw, result in found if result != ()]


@settings(max_examples=4 * settings().max_examples)
@given(blocks, st.lists(lines, min_size=1, max_size=12))
def test_prefiltered_batch_equals_matching_each_line(configured: list[Integration], raws: list[bytes]) -> None:
    gives_the_same(configured, raws)


@settings(max_examples=4 * settings().max_examples)
@given(st.lists(settled, min_size=1, max_size=2), st.lists(ordinary, min_size=8, max_size=12))
def test_lines_that_differ_in_one_value_are_distinguished(configured: list[Integration], raws: list[bytes]) -> None:
    gives_the_same(configured, raws)


def gives_the_same(configured: list[Integration], raws: list[bytes]) -> None:
    index = FilterIndex(configured)
    plain = [(raw, verdict(FilterIndex(configured), raw)) for raw in raws]
    for _ in range(2):  # the second time with full caches
        data = b"".join(raw + b"\n" for raw in raws)
        number, found = prefiltered(index, LineBuffer(data + b'{"half', len(data), "f", 0))
        assert number == len(raws)
        assert matches_and_errors(found) == matches_and_errors(plain)
        number, found = prefiltered(index, LogLines([LogLine(raw, "f", 0, 0) for raw in raws]))
        assert number == len(raws)
        assert matches_and_errors(found) == matches_and_errors(plain)


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


def test_lines_below_every_level_are_rejected() -> None:
    index = FilterIndex([Integration(id="a", name="custom-a", level=12), Integration(id="b", name="custom-b", level=7)])
    data = b'{"rule":{"level":6,"id":"5"},"location":"b"}\n{"rule":{"level":7}}\n'
    assert prefiltered(index, LineBuffer(data, len(data), "f", 0)) == (2, [(b'{"rule":{"level":7}}', ("b",))])


@pytest.mark.parametrize("level", [0, MIN_LEVEL - 1])
def test_no_prefilter_below_the_minimum_level(level: int) -> None:
    index = FilterIndex(
        [Integration(id="a", name="custom-a", level=level), Integration(id="b", name="custom-b", level=12)]
    )
    data = b'{"rule":{"level":0}}\n'
    assert len(prefiltered(index, LineBuffer(data, len(data), "f", 0))[1]) == 1
