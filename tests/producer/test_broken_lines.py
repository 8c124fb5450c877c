"""Finding whole alerts on invalid lines."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.ledger import Settlement, SettleOutcome
from producer.broken_lines import alert_spans
from tests.support.world import World, alert

if TYPE_CHECKING:
    from pathlib import Path

    from tests.producer.conftest import NewWorld

WHOLE = b'{"timestamp":"2024-05-11T12:00:00.000+0000","rule":{"level":5,"id":"1"},"data":{"x":{"rule":{"level":15}}}}'
OTHER = b'{"rule":{"level":5,"id":"2"},"full_log":"a { \\" } b"}'


@given(pieces=st.lists(st.tuples(st.sampled_from([WHOLE, OTHER]), st.none() | st.floats(0.02, 0.98)), max_size=5))
def test_whole_alerts_on_a_line_with_partial_ones_are_found(pieces: list[tuple[bytes, float | None]]) -> None:
    """A whole alert before a partial one is found too; partial alerts, and objects inside them, never."""
    line = b"".join(one if share is None else one[: int(len(one) * share)] for one, share in pieces)
    found = [line[start:end] for start, end in alert_spans(line)]
    assert found == [one for one, share in pieces if share is None]


@pytest.mark.parametrize("tail", [b"garbage", b'"x":1}', b"\xff", b"0"])
def test_alert_between_a_partial_one_and_garbage_is_found(tail: bytes) -> None:
    line = WHOLE[:30] + b"garbage" + OTHER + tail
    assert [line[start:end] for start, end in alert_spans(line)] == [OTHER]


@pytest.mark.parametrize("follower", [b",", b"]", b"}", b" ,"])
def test_object_inside_a_partial_alert_is_not_an_alert(follower: bytes) -> None:
    assert alert_spans(b'{"timestamp":"2024","data":[' + OTHER + follower + b'"x') == []


@pytest.mark.parametrize(
    "line", [b"", b"\0\0", b"{}", WHOLE[:-1], b'{"a":' * 10_000, b"[" + WHOLE + b"]", b'"' + OTHER]
)
def test_nothing_else_is_taken_for_an_alert(line: bytes) -> None:
    assert alert_spans(line) in ([], [(1, len(line))])


def test_alert_behind_a_partial_one_is_enqueued(world: World, tmp_path: Path) -> None:
    producer = world.producer()
    world.settle(producer)
    world.append(alert(0)[:30] + alert(1), alert(2) + alert(3), alert(4) + b"\0" + alert(5))
    world.settle(producer)
    world.settle(producer)
    assert len(world.waiting()) == 5
    aside = [json.loads(line) for line in (tmp_path / "aside.jsonl").read_text().splitlines()]
    assert [entry["reason"] for entry in aside] == ["invalid_json", "invalid_json", "nul_byte"]


def test_producer_goes_on_behind_the_last_alert_that_it_committed(new_world: NewWorld) -> None:
    world = new_world(max_backlog=1)
    producer = world.producer()
    world.settle(producer)
    world.append(alert(0) + alert(1) + alert(2), alert(3))
    for number in range(1, 5):
        world.settle(producer)
        (one,) = world.waiting()
        world.ledger.settle("slack", [Settlement(id=one, outcome=SettleOutcome.DELIVERED)], token="w")
        assert world.ledger.status("slack").totals["committed"] == number
        producer = world.producer()
    world.settle(producer)
    assert world.waiting() == []
