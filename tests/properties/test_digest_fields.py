"""What is read of a line to fold it is what the whole alert has, whatever a line has at these fields."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from common.conditions.fields import values_at
from common.conditions.values import text_of
from producer.digests.fields import FieldReader, texts
from producer.digests.parts import level_number, level_of
from producer.filters.agents import AgentGroups
from producer.filters.decode import InvalidAlert, decode_alert

if TYPE_CHECKING:
    from common.conditions.fields import Path

leaves = st.one_of(st.text(max_size=3), st.integers(), st.floats(), st.booleans(), st.none(), st.just(10**400))
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b"]), inner, max_size=2)
)
objects = st.dictionaries(st.sampled_from(["level", "a", "b"]), values, max_size=3) | values
alerts = st.dictionaries(st.sampled_from(["rule", "a", "b", 'c"']), objects, max_size=4)
keys = st.sampled_from(["a", "b", "level", 'c"', "rule"])
paths = st.lists(st.lists(keys, min_size=1, max_size=3).map(tuple), max_size=4)


def expected(alert: dict[str, Any], path: Path) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text for one in values_at(alert, path) if (text := text_of(one)) is not None))


@given(alerts, paths)
@example({"rule": {"level": True, "a": 1}, "a": {"b": [True, 1, "1", None, {}]}}, [("a", "b"), ("rule", "a")])
@example({"rule": {"level": -1}, "a": {"b": "\ud800"}}, [("a", "b"), ("a",)])
@example({"rule": {"level": 2**40}, "a": "\ud800"}, [("b",)])
def test_fields_are_those_of_the_whole_alert(alert: dict[str, Any], wanted: list[Path]) -> None:
    raw = json.dumps(alert).encode()
    reader = FieldReader(wanted, decode_alert)
    try:
        whole = decode_alert(raw)
    except InvalidAlert:  # such as NaN
        with pytest.raises(InvalidAlert):
            reader.read(raw)
        return
    level, *found = reader.read(raw)
    assert level_number(level) == level_of(whole)
    assert [texts(value) for value in found] == [expected(whole, path) for path in wanted]


def test_groups_of_an_agent_are_read_although_the_line_has_none() -> None:
    agents = AgentGroups({"001": ("web", "linux")})
    reader = FieldReader([("agent", "groups")], agents.decode)
    assert reader.read(b'{"rule":{"level":3},"agent":{"id":"001"}}') == (3, ("web", "linux"))
