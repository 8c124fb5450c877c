"""A silence in Redis is valid or refused, whatever is there; and what is published follows courier.toml."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from common.errors import ConditionError
from common.silences import FileSilence, Silence, State, compile_silence, decode_silence, file_changes, read_silences
from common.silences.model import check_silence

TIMES = st.integers(0, 10**14 - 1)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=50)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
SILENCES = st.builds(
    Silence,
    id=st.from_regex(r"\A[a-z0-9][a-z0-9-]{0,31}\Z"),
    match=st.lists(TEXTS, min_size=1, max_size=3).map(tuple),
    integrations=st.lists(TEXTS, max_size=3).map(tuple),
    start_ms=st.integers(0, 10**13),
    end_ms=st.integers(10**13, 10**14 - 1),
    why=TEXTS,
    author=TEXTS,
    announce=st.booleans(),
    node=st.sampled_from(["", "wazuh-1", "other"]),
)


@given(SILENCES)
def test_a_valid_silence_reads_back(silence: Silence) -> None:
    assert decode_silence(silence.id, silence.encode()) == silence


@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
def test_anything_else_is_refused(value: bytes) -> None:
    stored = read_silences({b"a": value})
    assert set(stored.refused) == {"a"}
    assert not stored.silences


@given(SILENCES, st.data())
def test_a_changed_field_is_valid_or_refused(silence: Silence, data: st.DataObject) -> None:
    fields = json.loads(silence.encode())
    changed = data.draw(st.sampled_from([*fields, "unknown", "announce"]))
    fields[changed] = data.draw(JSON | TIMES)
    try:
        found = decode_silence(silence.id, json.dumps(fields).encode())
    except ValueError:
        return
    check_silence(found)
    assert found.start_ms <= found.end_ms
    assert (found.id, changed) != (silence.id, "unknown")
    with suppress(ConditionError):
        compile_silence(found).holds({"rule": {"id": "1"}})


WANTED = st.builds(
    FileSilence,
    match=st.sampled_from([("rule.id = 1",), ("rule.id = 2",)]),
    integrations=st.sampled_from([(), ("slack",)]),
    start_ms=st.none() | st.integers(0, 50),
    end_ms=st.integers(51, 200),
    why=st.sampled_from(["a", "b"]),
    author=st.just("courier.toml"),
    announce=st.booleans(),
)


@given(st.lists(st.tuples(st.lists(WANTED, max_size=3), st.integers(1, 20)), max_size=6))
def test_what_is_published_follows_the_file(versions: list[tuple[list[FileSilence], int]]) -> None:
    stored = {"cli": Silence(id="cli", match=("x",), start_ms=0, end_ms=500, why="w", author="a")}
    now_ms = 10
    for wanted, passed_ms in versions:
        now_ms += passed_ms
        changes = file_changes(wanted, stored, "n", now_ms, all_known=True)
        before = dict(stored)
        stored |= {one.id: one for one in changes}
        assert file_changes(wanted, stored, "n", now_ms, all_known=True) == []
        assert stored["cli"] == before["cli"]
        for one in stored.values():
            if one.id in before and before[one.id].state(now_ms) is State.ENDED:
                assert before[one.id] == one, "what has ended stays as it was"
        running = {(one.match, one.integrations, one.end_ms) for one in stored.values() if one.end_ms > now_ms}
        of_file = {(one.match, one.integrations, one.end_ms) for one in wanted if one.end_ms > now_ms}
        assert running - {(("x",), (), 500)} == of_file
