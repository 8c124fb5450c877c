"""A producer holds alerts while a window says so, by the ledger's clock at the commit."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from tests.support.fakes import Clock, CommitOnly
from tests.support.ledger import Ledger
from tests.support.world import SLACK_BLOCK, World, alert

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import redis

    OpenWorld = Callable[[str, str], "TimedWorld"]

TABLE = """
[windows]
night = {{from = "22:00", to = "06:00", zone = "Europe/Berlin"}}
office = [{{days = "mon-fri", from = "08:00", to = "18:00"}}]

[integrations.slack]
{hold}
"""
NOON, EVENING = "2026-06-03T12:00+00:00", "2026-06-03T21:00+00:00"
END_OF_NIGHT, OFFICE_OPENS = "2026-06-04T04:00+00:00", "2026-06-04T08:00+00:00"


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


class TimedWorld(World):
    """A world whose ledger has a clock of its own."""

    def __init__(self, client: redis.Redis, folder: Path, hold: str, moment: str) -> None:
        self.folder, self.time = folder, Clock()
        self.write_hold(hold)
        super().__init__(client, folder, SLACK_BLOCK.format(""))
        self.set_time(moment)
        self.ledger = Ledger(client, clock=self.time)
        self.dispatcher = CommitOnly(self.ledger)

    def write_hold(self, hold: str) -> None:
        """Write a courier.toml that is not new."""
        (self.folder / "courier.toml").write_text(TABLE.format(hold=hold))
        os.utime(self.folder / "courier.toml", (len(hold), len(hold)))

    def set_time(self, moment: str) -> None:
        self.time.now_s = datetime.fromisoformat(moment).timestamp()

    @property
    def held(self) -> dict[int, int]:
        return self.ledger.status("slack").held


@pytest.fixture
def open_world(client: redis.Redis, tmp_path: Path) -> Iterator[OpenWorld]:
    """A maker of worlds with a hold and a time."""
    made: list[TimedWorld] = []

    def make(hold: str, moment: str) -> TimedWorld:
        made.append(TimedWorld(client, tmp_path, hold, moment))
        return made[-1]

    yield make
    for world in made:
        world.close()


@pytest.mark.parametrize(
    ("hold", "moment", "held"),
    [
        ('hold = {in = "night"}', EVENING, {END_OF_NIGHT: 2}),
        ('hold = {in = "night", below = 12}', EVENING, {END_OF_NIGHT: 1}),
        ('hold = {in = "night", below = 5}', EVENING, {}),
        ('hold = {in = "night"}', NOON, {}),
        ('hold = {outside = "office"}', EVENING, {OFFICE_OPENS: 2}),
        ('hold = {outside = "office", below = 12}', EVENING, {OFFICE_OPENS: 1}),
        ('hold = {outside = "office"}', NOON, {}),
        ("", EVENING, {}),
    ],
)
def test_alerts_are_held_until_the_end_of_the_window(
    open_world: OpenWorld, hold: str, moment: str, held: dict[str, int]
) -> None:
    world = open_world(hold, moment)
    producer = world.producer()
    world.settle(producer)
    world.append(alert(0, level=5), alert(1, level=12))
    world.settle(producer)
    assert world.held == {ms(text): number for text, number in held.items()}
    assert world.waiting() == world.ids(0, 1)


def test_what_is_read_after_the_window_is_not_held_and_what_is_held_keeps_its_time(
    open_world: OpenWorld, caplog: pytest.LogCaptureFixture
) -> None:
    world = open_world('hold = {in = "night"}', EVENING)
    producer = world.producer()
    world.settle(producer)
    world.append(alert(0))
    world.settle(producer)
    world.write_hold('hold = {outside = "office"}')
    world.settle(producer)
    world.append(alert(1))
    world.settle(producer)
    assert world.held == {ms(END_OF_NIGHT): 1, ms(OFFICE_OPENS): 1}

    world.write_hold('hold = {in = "nihgt"}')
    world.settle(producer)
    line = "courier.toml:7: integrations.slack.hold: there is no window 'nihgt'; [windows] has night, office"
    assert line in caplog.text
    world.append(alert(2))
    world.settle(producer)
    assert sum(world.held.values()) == 3

    world.write_hold("")
    world.settle(producer)
    world.append(alert(3))
    world.settle(producer)
    assert world.held == {ms(END_OF_NIGHT): 1, ms(OFFICE_OPENS): 2}
    assert "courier.toml:3: windows.night: no `hold` uses this window" in caplog.text

    world.write_hold('hold = {in = "night"}  # again')
    world.settle(producer)
    world.set_time(NOON)  # the next noon: old alerts of a backlog, read late
    world.time.now_s += 86_400
    world.append(alert(4))
    world.settle(producer)
    assert world.held == {}
    assert datetime.fromtimestamp(world.time.now_s, UTC).hour == 12


def test_a_commit_that_does_not_fit_holds_what_it_stores(open_world: OpenWorld) -> None:
    world = open_world('hold = {in = "night", below = 12}', EVENING)
    world.limits["max_backlog"] = 3
    producer = world.producer()
    world.settle(producer)
    world.append(*(alert(n, level=5 + 7 * (n % 2)) for n in range(8)))
    world.settle(producer)
    assert world.held == {ms(END_OF_NIGHT): 2}
    assert world.waiting() == world.ids(0, 1, 2)
