"""Group commit: the window, and the commits of several integrations in shared round trips."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from common.ledger import Commit, CommitResult, Full, Stored
from producer.group_commit import MAX_ROUND_TRIP_BYTES, MIN_WINDOW_S, TARGET_ALERTS, GroupWindow, commit_together
from tests.support.world import SHUFFLE_BLOCK, SLACK_BLOCK, World, alert

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import redis

    from producer.cursors.subscription import Commits

MAX_S = 0.05


def test_first_alert_after_a_pause_does_not_wait_and_the_next_one_does() -> None:
    window = GroupWindow(MAX_S)
    assert window.left_s(100.0) == 0
    window.start(1, 100.0)
    assert window.left_s(100.01) == pytest.approx(0.04)
    assert window.left_s(100.06) == 0


@pytest.mark.parametrize(("per_s", "window_s"), [(20, MAX_S), (200, MAX_S), (800, 0.02), (5000, MIN_WINDOW_S)])
def test_window_adapts_to_the_rate(per_s: int, window_s: float) -> None:
    window, now_s, length_s = GroupWindow(MAX_S), 100.0, MAX_S
    for _ in range(20):
        window.start(max(1, round(per_s * length_s)), now_s)
        length_s = window.left_s(now_s)
        now_s += length_s
    assert length_s == pytest.approx(window_s, rel=0.1)


def test_lines_that_match_nothing_gather_for_the_shortest_window_and_change_nothing_else() -> None:
    window = GroupWindow(MAX_S)
    window.start(0, 100.0)
    assert window.left_s(100.0) == pytest.approx(MIN_WINDOW_S)
    window.start(TARGET_ALERTS, 101.0)
    assert window.left_s(101.0) == pytest.approx(MAX_S)
    assert GroupWindow(0.001).left_s(0.0) == 0


class Integrations:
    """Integrations with commits of given sizes; `trips` are the round trips that were made for them."""

    def __init__(self, **sizes: list[int]) -> None:
        self.steps = {name: self._commits(sizes[name]) for name in sizes}
        self.trips: list[dict[str, int]] = []
        self.results: dict[str, list[CommitResult | None]] = {name: [] for name in sizes}

    def _commits(self, sizes: list[int]) -> Commits:
        stored = 0
        for size in sizes:
            result = yield Commit(
                node="n",
                expected="",
                cursor="",
                deliveries=[("id", bytes(size))],
                max_backlog=1,
                max_backlog_bytes=1,
            )
            if not isinstance(result, Stored):
                break
            stored += result.stored
        return stored

    def commit_all(self, batch: Mapping[str, Commit]) -> dict[str, CommitResult]:
        self.trips.append({name: len(commit.deliveries[0][1]) for name, commit in batch.items()})
        return {name: Full(0) if name == "full" else Stored(1) for name in batch if name != "damaged"}


def test_each_round_trip_takes_the_next_commit_of_every_integration() -> None:
    made = Integrations(slack=[1, 2, 3], shuffle=[4], idle=[], full=[5, 6], damaged=[7, 8])
    assert commit_together(made.steps, made.commit_all) == {
        "slack": 3,
        "shuffle": 1,
        "idle": 0,
        "full": 0,
        "damaged": 0,
    }
    assert made.trips == [{"slack": 1, "shuffle": 4, "full": 5, "damaged": 7}, {"slack": 2}, {"slack": 3}]


def test_round_trips_are_bounded_in_integrations_and_bytes() -> None:
    many = Integrations(**{f"i{n}": [1] for n in range(45)})
    commit_together(many.steps, many.commit_all)
    assert [len(trip) for trip in many.trips] == [20, 20, 5]
    large = Integrations(
        **{f"i{n}": [MAX_ROUND_TRIP_BYTES // 2] for n in range(3)} | {"over": [MAX_ROUND_TRIP_BYTES * 2]}
    )
    commit_together(large.steps, large.commit_all)
    assert [sorted(trip) for trip in large.trips] == [["i0", "i1"], ["i2"], ["over"]]


def test_producer_commits_for_all_integrations_at_once_and_gathers_what_follows(
    client: redis.Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(client, tmp_path, SLACK_BLOCK.format(""), SHUFFLE_BLOCK)
    producer = world.producer()
    producer.run_once()
    trips: list[dict[str, int]] = []
    commit_all = world.dispatcher.commit_all

    def counting(commits: Mapping[str, Commit], *more: object) -> Mapping[str, CommitResult]:
        trips.append({name: len(commit.deliveries) for name, commit in commits.items()})
        return commit_all(commits, *more)  # type: ignore[arg-type]  # passes on what it got

    monkeypatch.setattr(world.dispatcher, "commit_all", counting)
    world.clock.now_s += 0.5  # less than the interval of commits without matches
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        world.clock.now_s += seconds
        world.append(alert(len(pauses)), alert(100 + len(pauses)))

    monkeypatch.setattr(world.source, "wait", lambda _seconds: None)
    world.append(alert(0))
    producer.run(pause, lambda: len(pauses) == 2)
    assert trips[:2] == [{"slack": 1, "shuffle": 1}, {"slack": 2, "shuffle": 2}]
    assert pauses[:2] == [pytest.approx(MAX_S)] * 2
    assert len(world.waiting()) == 3
