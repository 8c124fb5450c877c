"""A producer folds alerts as `[integrations.ID.digest]` says, and what becomes of each alert adds up."""

from __future__ import annotations

import json
import os
from datetime import datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from common.ledger import Commit, Unaccounted, unaccounted
from common.ledger.digest_types import (
    MAX_BASE_BYTES,
    MAX_GROUP_BYTES,
    MAX_SAMPLE_BYTES,
    MAX_SAMPLES,
    MAX_TOP_FIELDS,
    MAX_VALUE_BYTES,
    MAX_VALUES,
)
from producer.digests.folder import WHOLE, Folder
from producer.digests.parts import base_of, group_values, sample_of, top_value
from producer.filters.decode import decode_alert
from tests.support.fakes import SLACK, Clock, CommitOnly
from tests.support.ledger import Ledger
from tests.support.world import SLACK_BLOCK, World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import redis

    OpenWorld = Callable[[str], "DigestWorld"]

EVENING = "2026-06-03T21:00:00+00:00"
NOTHING = Unaccounted(alerts=0, deliveries=0)
NIGHT = '[windows]\nnight = {from = "22:00", to = "06:00", zone = "Europe/Berlin"}\n'
HELD = NIGHT + '[integrations.slack]\nhold = {in = "night", below = 12, then = "digest"}\n'


def alert(number: int, rule: str = "5710", level: int = 5, agent: str = "web", **more: object) -> bytes:
    fields = {
        "timestamp": f"2026-06-03T21:00:{number % 60:02}.000+0000",
        "id": str(number),
        "rule": {"level": level, "id": rule, "description": f'rule "{rule}"'},
        "agent": {"id": "001", "name": agent},
        "location": "x",
    }
    return json.dumps(fields | more).encode()


class DigestWorld(World):
    """A world whose integration slack has a table in courier.toml, with a ledger that has a clock of its own."""

    def __init__(self, client: redis.Redis, folder: Path, table: str) -> None:
        self.folder, self.time = folder, Clock()
        self.time.now_s = datetime.fromisoformat(EVENING).timestamp()
        self.write_table(table)
        super().__init__(client, folder, SLACK_BLOCK.format(""))
        self.ledger = Ledger(client, clock=self.time)
        self.dispatcher = CommitOnly(self.ledger)

    def write_table(self, table: str) -> None:
        """Write a courier.toml that is not new."""
        (self.folder / "courier.toml").write_text(table)
        os.utime(self.folder / "courier.toml", (len(table), len(table)))

    def release(self, after_s: float = 0.0) -> list[dict[str, Any]]:
        """Return the alerts that are released after some seconds."""
        self.time.now_s += after_s
        terms = {"max_in_flight": 10_000, "batch_max": 1000, "lease_s": 60, "linger_s": 0}
        ids = [one for task in self.ledger.release("slack", **terms) for one in task]  # type: ignore[arg-type]  # mixed numbers
        return [json.loads(one.alert) for one in self.ledger.begin("slack", ids, token="w", lease_s=60)]

    def digests(self, after_s: float = 0.0) -> list[dict[str, Any]]:
        """Return what the digests say that are released after some seconds."""
        return [one["courier"]["digest"] for one in self.release(after_s) if "courier" in one]


@pytest.fixture
def open_world(client: redis.Redis, tmp_path: Path) -> Iterator[OpenWorld]:
    made: list[DigestWorld] = []

    def make(table: str) -> DigestWorld:
        made.append(DigestWorld(client, tmp_path, table))
        return made[-1]

    yield make
    for world in made:
        assert unaccounted(world.ledger.status("slack")) == NOTHING
        world.close()


def test_alerts_become_one_digest_a_group_and_two_producers_share_it(open_world: OpenWorld) -> None:
    world = open_world(
        '[integrations.slack.digest]\nby = ["rule.id"]\nfirst = 2\ntop = ["agent.name"]\nsamples = 1\n'
        'match = ["not rule.id = 1"]'
    )
    world.append(*(alert(n, rule=str(n % 3), level=5 + n // 60, agent=f"web-{n % 2}") for n in range(90)))
    world.limits["start_at"] = "beginning"
    producer, other = world.producer(), world.producer()
    for one in (producer, other):
        world.settle(one)
    assert len(world.waiting()) == 30 + 2 * 2
    world.append(*(alert(n, rule="0", agent="db") for n in range(90, 95)))
    world.settle(other)
    assert len(world.release()) == 34
    status = world.ledger.status("slack")
    assert (status.groups, status.in_groups, status.totals["folded"]) == (2, 61, 61)
    first, second = sorted(world.digests(600), key=lambda one: str(one["group"]))
    assert (first["group"], first["count"], first["level"]) == ({"rule.id": "0"}, 33, 6)
    assert first["top"]["agent.name"] == {"values": [["web-0", 14], ["web-1", 14], ["db", 5]], "approximate": False}
    assert [one["id"] for one in first["samples"]] == ["6"]
    assert (first["first_id"], first["last_id"]) == ("6", "94")
    assert (second["group"], second["count"]) == ({"rule.id": "2"}, 28)


def test_a_changed_or_removed_digest_closes_open_groups_at_once(open_world: OpenWorld) -> None:
    world = open_world('[integrations.slack.digest]\nby = ["rule.id"]')
    producer = world.producer()
    world.settle(producer)
    world.append(alert(0), alert(1))
    world.settle(producer)
    world.write_table('[integrations.slack.digest]\nby = ["agent.name", "rule.id"]')
    world.settle(producer)
    assert [one["group"] for one in world.digests()] == [{"rule.id": "5710"}]
    world.append(alert(2))
    world.settle(producer)
    assert world.digests() == []
    world.write_table("")
    world.settle(producer)
    assert [one["group"] for one in world.digests()] == [{"agent.name": "web", "rule.id": "5710"}]
    world.append(alert(3))
    world.settle(producer)
    assert [one["id"] for one in world.release()] == ["3"]


def test_a_daily_report_is_sent_at_its_time(open_world: OpenWorld) -> None:
    world = open_world(
        '[integrations.slack.digest]\nby = []\nevery = "24h"\nat = "08:00"\nzone = "Europe/Berlin"\ntop = []'
    )
    producer = world.producer()
    world.settle(producer)
    world.append(*(alert(n, rule=str(n)) for n in range(10)))
    world.settle(producer)
    assert world.digests(9 * 3600 - 1) == []
    (report,) = world.digests(1)
    assert (report["group"], report["count"], report["window"]["to"]) == ({}, 10, "2026-06-04T06:00:00.000Z")


@pytest.mark.parametrize(
    ("evening", "hours", "end"),
    [
        ("2026-03-28T21:00:00+00:00", 9, "2026-03-29T06:00:00.000Z"),  # Berlin: 22:00 to 08:00, an hour is skipped
        ("2026-10-24T21:00:00+00:00", 10, "2026-10-25T07:00:00.000Z"),  # 23:00 to 08:00, an hour is repeated
    ],
)
def test_a_daily_report_keeps_its_time_when_clocks_change(
    open_world: OpenWorld, evening: str, hours: int, end: str
) -> None:
    world = open_world('[integrations.slack.digest]\nby = []\nevery = "24h"\nat = "08:00"\nzone = "Europe/Berlin"')
    world.time.now_s = datetime.fromisoformat(evening).timestamp()
    producer = world.producer()
    world.settle(producer)
    world.append(alert(0), alert(1))
    world.settle(producer)
    assert world.digests(hours * 3600 - 1) == []
    (report,) = world.digests(1)
    assert (report["count"], report["window"]["to"]) == (2, end)
    world.append(alert(2))
    world.clock.now_s += 2
    world.settle(producer)
    assert world.digests(24 * 3600 - 1) == []
    assert [one["count"] for one in world.digests(1)] == [1]


def test_a_held_window_ends_as_a_digest(open_world: OpenWorld) -> None:
    world = open_world(HELD)
    producer = world.producer()
    world.settle(producer)
    world.append(*(alert(n, rule=str(n)) for n in range(10)), alert(10, level=12))
    world.settle(producer)
    assert [one["id"] for one in world.release()] == ["10"]
    assert world.digests(7 * 3600 - 1) == []
    (digest,) = world.digests(1)
    assert (digest["group"], digest["count"], digest["first_id"]) == ({}, 10, "0")
    world.append(alert(11))
    world.clock.now_s += 2
    world.settle(producer)
    assert [one["id"] for one in world.release()] == ["11"], "the night is over"


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ('by = "rule.id = 1"', '2: integrations.slack.digest.by: "rule.id = 1" is a condition and not a field'),
        ('top = ["a", "a"]', "2: integrations.slack.digest.top: a field is there twice"),
        ('at = "08:00"', '2: integrations.slack.digest.at: goes with every = "24h" alone'),
        ('at = "8"', '2: integrations.slack.digest.at: "8" is not a time of day; write a time of day such as "08:00"'),
        ('zone = "Mars"', '2: integrations.slack.digest.zone: "Mars" is not a time zone'),
        ('match = "rule.level >"', "2: integrations.slack.digest.match: "),
        (
            "evry = 1",
            "2: there is no key integrations.slack.digest.evry; did you mean integrations.slack.digest.every?",
        ),
        ("min = 0", "2: integrations.slack.digest.min: 0 is less than 1"),
        ("", "1: integrations.slack.digest is a table; write [integrations.slack.digest] and its keys below"),
    ],
)
def test_what_is_wrong_is_refused_with_file_line_and_key(
    open_world: OpenWorld, caplog: pytest.LogCaptureFixture, table: str, problem: str
) -> None:
    world = open_world(f"[integrations.slack.digest]\n{table}")
    world.producer()
    assert f"courier.toml:{problem}" in caplog.text


@pytest.mark.parametrize(
    "raw",
    [
        b'{"rule":{"level":1e999,"description":7,"groups":{"a":1}},"agent":[],"location":null,"id":4}',
        b'{"rule":{"level":-1,"id":"\\ud800"},"agent":{"name":"\\u0000' + b"\xff" * 9_000 + b'"},"full_log":"\xff"}',
        b'{"rule":{"level":3,"x":' + b"[" * 900 + b"]" * 900 + b'},"location":"' + b"\\u0001" * 5_000 + b'"}',
        b'{"rule":{"level":1,"n":' + b"9" * 4_000 + b"}}",
        b'{"rule":[]}',
    ],
)
def test_hostile_alerts_make_bounded_json(client: redis.Redis, raw: bytes) -> None:
    folder = Folder(SLACK, WHOLE, {}, decode_alert)

    line = SimpleNamespace(id="1", raw=raw)
    _, folds, _ = folder.fold([line], {}, 0)
    assert folds
    found = decode_alert(raw)
    assert len(base_of(found).encode()) <= MAX_BASE_BYTES
    assert len(sample_of(found).encode()) <= MAX_SAMPLE_BYTES
    json.loads(sample_of(found))
    ledger = Ledger(client, clock=Clock())
    terms = Commit(
        node="n", expected="", cursor="1", deliveries=[], folds=folds, max_backlog=9, max_backlog_bytes=10**6
    )
    ledger.commit_all({"slack": terms}, {})
    ledger.end_groups({"slack": ""})
    ((delivery_id,),) = ledger.release("slack", max_in_flight=10, batch_max=10, lease_s=60, linger_s=0)
    (begun,) = ledger.begin("slack", [delivery_id], token="w", lease_s=60)
    assert json.loads(begun.alert.decode())["courier"]["digest"]["count"] == 1


def test_the_state_of_a_group_is_bounded() -> None:
    assert len(group_values(dict.fromkeys("abcde", "\x01" * 1000)).encode()) <= MAX_GROUP_BYTES
    assert len(json.dumps(top_value("\x01" * 1000))) <= MAX_VALUE_BYTES + 2
    assert len(json.dumps(top_value("\u6f22" * 1000), ensure_ascii=False).encode()) <= MAX_VALUE_BYTES
    of_values = MAX_TOP_FIELDS * MAX_VALUES * (MAX_VALUE_BYTES + 16)
    assert MAX_BASE_BYTES + MAX_GROUP_BYTES + MAX_SAMPLES * MAX_SAMPLE_BYTES + of_values + 1_000 < 65_536
