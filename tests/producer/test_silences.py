"""Silences: alerts that they keep back are counted, in the commit that moves the cursor, and announced once."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from common.integration import Integration
from common.ledger import Closed, Commit, Ledger, SilenceCount
from common.silences import (
    KEY,
    MAX_SILENCES,
    Silence,
    compile_silence,
    fetch_counts,
    read_silences,
    silence_for,
    write_silence,
)
from tests.producer.test_excepted import SLACK, alerts, deliver_all, enqueued, excepted, read
from tests.support.world import SHUFFLE_BLOCK, World

if TYPE_CHECKING:
    from pathlib import Path

    import redis

    from producer.loop import Producer
    from tests.producer.conftest import NewWorld

HOUR_MS = 3_600_000


def silence(name: str = "s1", *match: str, **more: Any) -> Silence:
    now_ms = round(time.time() * 1000)
    fields: dict[str, Any] = {
        "start_ms": now_ms - HOUR_MS,
        "end_ms": now_ms + HOUR_MS,
        "why": "patching",
        "author": "anna",
    }
    return Silence(id=name, match=match or ("agent.name = web1",), **(fields | more))


def silenced(world: World, integration_id: str = "slack") -> int:
    return world.ledger.status(integration_id).totals.get("silenced", 0)


def counted(world: World, name: str = "s1", integration_id: str = "slack") -> dict[str, int]:
    found = fetch_counts(world.client, [(integration_id, name)])
    return found[integration_id, name].rules if found else {}


def read_all(world: World, producer: Producer) -> None:
    for _ in range(20):
        world.settle(producer)
        for one in ("slack", "shuffle"):
            deliver_all(world, one)


def test_a_silence_keeps_alerts_back_and_counts_them(new_world: NewWorld) -> None:
    world = new_world(SLACK, SHUFFLE_BLOCK)
    world.conditions["slack"] = {"except_": ("agent.name = build-*",)}
    producer = world.producer()
    world.settle(producer)
    write_silence(world.client, silence(integrations=("sla*",)), is_new=True)
    world.settle(producer)  # one second later
    world.append(*alerts(range(30)), b"garbage")
    world.settle(producer)
    read_all(world, producer)
    assert (read(world), enqueued(world), excepted(world), silenced(world)) == (30, 5, 5, 5)
    assert counted(world) == {"0": 1, "1": 1, "2": 1, "3": 1, "4": 1}
    assert (enqueued(world, "shuffle"), silenced(world, "shuffle")) == (30, 0)

    write_silence(world.client, replace(silence(), end_ms=round(time.time() * 1000) - 1), is_new=False)
    world.settle(producer)
    world.append(*alerts(range(30)))
    read_all(world, producer)
    assert (read(world), enqueued(world), silenced(world)) == (60, 15, 5)


def test_a_restarted_producer_silences_from_its_first_read_on(new_world: NewWorld) -> None:
    world = new_world(SHUFFLE_BLOCK)
    world.settle(world.producer())
    write_silence(world.client, silence(), is_new=True)
    world.append(*alerts(range(9)))
    read_all(world, world.producer())
    assert (read(world, "shuffle"), enqueued(world, "shuffle"), silenced(world, "shuffle")) == (9, 6, 3)


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_numbers_add_up_if_the_producer_is_killed_while_the_backlog_is_full(new_world: NewWorld, steps: int) -> None:
    world = new_world(SHUFFLE_BLOCK, max_backlog=4)
    world.conditions["shuffle"] = {"except_": ("agent.name = db1",)}
    world.settle(world.producer())
    write_silence(world.client, silence("s1", "rule.id = 0, 1"), is_new=True)
    log = alerts(range(50))
    for start in range(0, 50, 5):
        world.append(*log[start : start + 5], b"garbage", b'{"part" ' + log[start])
        killed = world.producer()
        for _ in range(steps):
            world.clock.now_s += 0.3
            killed.run_once()
            enqueued(world, "shuffle")  # adds up at any moment
        deliver_all(world, "shuffle")
    read_all(world, world.producer())
    every = [json.loads(one) for n, one in enumerate(log)] + [json.loads(log[n]) for n in range(0, 50, 5)]
    left = [one for one in every if one["agent"]["name"] != "db1"]
    kept = [one for one in left if one["rule"]["id"] in ("0", "1")]
    assert (read(world, "shuffle"), silenced(world, "shuffle")) == (60, len(kept))
    assert sum(counted(world, "s1", "shuffle").values()) == len(kept)
    assert enqueued(world, "shuffle") == len(left) - len(kept)


def test_a_silence_that_is_malformed_or_about_nothing_costs_only_itself(
    new_world: NewWorld, caplog: pytest.LogCaptureFixture
) -> None:
    world = new_world(SHUFFLE_BLOCK)
    producer = world.producer()
    world.settle(producer)
    write_silence(world.client, silence(), is_new=True)
    write_silence(world.client, silence("named", "@noisy"), is_new=True)
    write_silence(world.client, silence("elsewhere", "rule.id = 0", node="another"), is_new=True)
    world.client.hset(KEY, mapping={"bad\x1b": b"{", "other": silence().encode()})
    for _ in range(3):
        world.settle(producer)
    world.append(*alerts(range(9)))
    read_all(world, producer)
    assert (enqueued(world, "shuffle"), silenced(world, "shuffle")) == (6, 3)
    refused = [record.getMessage() for record in caplog.records if "silence ignored" in record.getMessage()]
    assert len(refused) == 3, "each is logged once"
    assert "\x1b" not in "".join(refused)

    world.client.delete(KEY)
    world.client.set(KEY, "another program's")
    world.settle(producer)
    world.append(*alerts(range(9)))
    read_all(world, producer)
    assert enqueued(world, "shuffle") == 6 + 9


def test_an_ended_silence_is_announced_once_whoever_asks(new_world: NewWorld) -> None:
    world = new_world(SHUFFLE_BLOCK, SLACK)
    producer = world.producer()
    world.settle(producer)
    running = silence("s1", "agent.name = web1 and rule.level = 5", announce=True, why="patching \x1b[31m")
    write_silence(world.client, running, is_new=True)
    world.settle(producer)
    world.append(*alerts(range(30)))
    read_all(world, producer)
    assert silenced(world, "shuffle") == 5
    assert world.waiting("shuffle") == [], "it has not ended"

    write_silence(world.client, replace(running, end_ms=round(time.time() * 1000) - 2_001), is_new=False)
    second = world.producer()
    for _ in range(3):
        world.settle(second)
        world.settle(producer)
    assert world.waiting("shuffle") == ["courier:silence-s1:5"]
    assert world.waiting("slack") == [], "nothing was kept from it"
    record: Any = world.client.hget("courier:{shuffle}:records", "courier:silence-s1:5")
    alert = json.loads(record.partition(b"\n")[2])
    assert (alert["rule"]["level"], alert["courier"]["silence"]["count"]) == (3, 5)
    assert sum(alert["courier"]["silence"]["rules"].values()) == 5
    assert "5 alerts not sent" in alert["rule"]["description"]
    assert "\x1b" not in alert["full_log"]
    read_all(world, world.producer())
    assert world.waiting("shuffle") == [], "it is delivered, and not queued again"


def test_a_commit_for_a_closed_silence_is_refused_and_its_alerts_are_sent(new_world: NewWorld) -> None:
    world = new_world(SHUFFLE_BLOCK)
    producer = world.producer()
    world.settle(producer)
    write_silence(world.client, silence(), is_new=True)
    world.settle(producer)
    world.append(*alerts(range(3)))
    world.settle(producer)
    assert world.ledger.close_silence("shuffle", "s1", 1, "closing", b"{}")
    world.append(*alerts(range(6)))  # the silence has been closed by a clock that is ahead
    read_all(world, producer)
    assert (enqueued(world, "shuffle"), silenced(world, "shuffle")) == (2 + 1 + 6, 1)
    assert read(world, "shuffle") == 9


def test_the_closing_message_is_queued_only_with_the_exact_number(client: redis.Redis) -> None:
    ledger = Ledger(client)
    count = SilenceCount("s1", round(time.time() * 1000) + HOUR_MS, {"5710": 3, "": 1})
    terms: dict[str, Any] = {
        "node": "n",
        "deliveries": [],
        "max_backlog": 9,
        "max_backlog_bytes": 99,
        "silenced": (count,),
    }
    ledger.commit_all({"slack": Commit(expected="", cursor="c1", **terms)}, {})
    assert not ledger.close_silence("slack", "s1", 3, "id", b"{}")
    assert ledger.close_silence("slack", "s1", 4, "id", b"{}")
    assert not ledger.close_silence("slack", "s1", 4, "id", b"{}")
    results, _ = ledger.commit_all({"slack": Commit(expected="c1", cursor="c2", **terms)}, {})
    assert results == {"slack": Closed("s1")}
    assert ledger.cursor("slack", "n") == "c1"
    assert ledger.status("slack").waiting == 1
    assert 0 < client.pttl("courier:{slack}:silenced:s1") <= HOUR_MS


def test_numbers_by_rule_are_bounded(client: redis.Redis) -> None:
    ledger = Ledger(client)
    count = SilenceCount("s1", round(time.time() * 1000) + HOUR_MS, {f"{n}": 1 for n in range(500)})
    terms = Commit(
        node="n", expected="", cursor="c", deliveries=[], max_backlog=9, max_backlog_bytes=99, silenced=(count,)
    )
    ledger.commit_all({"slack": terms}, {})
    assert client.hlen("courier:{slack}:silenced:s1") < 110
    assert fetch_counts(client, [("slack", "s1")])["slack", "s1"].number == 500


def test_old_silences_are_deleted(world: World) -> None:
    now_ms = round(time.time() * 1000)
    old = silence("old", start_ms=1, end_ms=now_ms - 31 * 86_400_000)
    for one in (old, replace(old, id="young", end_ms=now_ms - 29 * 86_400_000)):
        write_silence(world.client, one, is_new=True)
    world.settle(world.producer())
    assert set(read_silences(world.client.hgetall(KEY)).silences) == {"young"}  # type: ignore[arg-type]  # not awaitable


def test_ended_silences_keep_no_new_one_out(new_world: NewWorld) -> None:
    world = new_world(SLACK)
    now_ms = round(time.time() * 1000)
    for n in range(MAX_SILENCES + 5):
        write_silence(world.client, silence(f"old{n}", start_ms=1, end_ms=now_ms - 1000 * n - 1000), is_new=True)
    write_silence(world.client, silence("new"), is_new=True)
    producer = world.producer()
    world.settle(producer)
    world.append(*alerts(range(30)))
    read_all(world, producer)
    assert silenced(world) > 0
    names = {name.decode() for name in world.client.hkeys(KEY)}  # type: ignore[union-attr]  # not awaitable
    assert len(names) == MAX_SILENCES, "those that ended first are deleted"
    assert {"new", "old0"} < names


TABLE = """
[conditions]
web = ["agent.name = web*"]

[[silences]]
match = ["@web"]
until = 2126-11-30T08:00:00+01:00
why = "patching"
{}
"""


def write_toml(folder: Path, text: str, age: int) -> None:
    (folder / "courier.toml").write_text(text)
    os.utime(folder / "courier.toml", (age, age))


def published(client: redis.Redis) -> list[Silence]:
    stored = read_silences(client.hgetall(KEY))  # type: ignore[arg-type]  # as above
    assert not stored.refused
    return sorted(stored.silences.values(), key=lambda one: (one.end_ms, one.id))


def test_silences_of_courier_toml_are_published_followed_and_ended(
    client: redis.Redis, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(client, tmp_path, SHUFFLE_BLOCK)
    write_toml(tmp_path, TABLE.format(""), 1)
    producer = world.producer()
    world.settle(producer)
    world.append(*alerts(range(3)))
    world.settle(producer)
    assert (enqueued(world, "shuffle"), silenced(world, "shuffle")) == (2, 1)
    (one,) = published(client)
    assert (one.node, one.why, one.match) == ("wazuh-1", "patching", ("@web",))
    world.settle(world.producer())
    assert published(client) == [one], "a restart changes nothing"

    write_toml(tmp_path, TABLE.format('until_ = "x"'), 2)
    world.settle(producer)
    assert "courier.toml:9: there is no key silences.1.until_; did you mean until?" in caplog.text
    assert published(client) == [one], "the former file stays in force"

    write_toml(tmp_path, "", 3)
    world.settle(producer)
    world.append(*alerts(range(3)))
    world.settle(producer)
    assert (enqueued(world, "shuffle"), silenced(world, "shuffle")) == (5, 1)
    assert published(client)[0].end_ms <= time.time() * 1000, "it has been ended"

    write_toml(tmp_path, TABLE.format(""), 4)
    world.settle(producer)
    world.append(*alerts(range(3)))
    world.settle(producer)
    assert silenced(world, "shuffle") == 2
    assert [silence.id for silence in published(client)] == [one.id, f"{one.id}-2"]
    world.close()


BAD = {
    'why = "x"\nuntil = 2126-01-01T00:00:00Z': "silences.1.match: is missing",
    'match = ["rule.id = 1"]\nuntil = 2126-01-01T00:00:00Z': "silences.1.why: is missing",
    'match = ["rule.id = 1"]\nwhy = "x"': "silences.1.until: is missing; every silence has an end",
    'match = ["rule.id = 1"]\nwhy = "x"\nuntil = 2126-01-01T00:00:00': "is not a time with UTC offset",
    'match = ["rule.id == 1"]\nwhy = "x"\nuntil = 2126-01-01T00:00:00Z': ":2: silences.1.match: condition 1, column",
    'match = ["rule.id = 1"]\nwhy = " "\nuntil = 2126-01-01T00:00:00Z': ":3: silences.1.why: is empty",
    f'match = ["rule.id = 1"]\nuntil = 2126-01-01T00:00:00Z\nwhy = "{1001 * "x"}"': ":4: silences.1.why: has 1,001",
    f'integrations = ["s", "{201 * "x"}"]\nwhy = "x"\nuntil = 2126-01-01T00:00:00Z': ".integrations: has an entry of",
    "": "courier.toml:1: silence 1 is empty",
}


@pytest.mark.parametrize(("table", "problem"), BAD.items())
def test_a_bad_silence_is_refused_and_the_others_stay(
    client: redis.Redis, tmp_path: Path, caplog: pytest.LogCaptureFixture, table: str, problem: str
) -> None:
    world = World(client, tmp_path, SHUFFLE_BLOCK)
    good = '[[silences]]\nintegrations = ["shuffle"]\nuntil = "2126-11-30T08:00:00Z"\nwhy = "moving"\n'
    write_toml(tmp_path, f"[[silences]]\n{table}\n{good}", 1)
    world.settle(world.producer())
    assert problem in caplog.text
    assert [one.why for one in published(client)] == ["moving"]
    world.close()


def test_the_silence_that_began_first_counts() -> None:
    now_ms = round(time.time() * 1000)
    slack = Integration(id="slack-1", name="slack")
    found = [
        compile_silence(silence("later", "rule.id = 1", start_ms=now_ms - 1)),
        compile_silence(silence("first", "rule.id", start_ms=now_ms - 2, integrations=("slack",))),
        compile_silence(silence("ended", "rule.id", start_ms=0, end_ms=1)),
        compile_silence(silence("other", "rule.id", start_ms=0, integrations=("shuf*",))),
    ]
    alert = {"rule": {"id": "1"}}
    hit = silence_for(alert, now_ms, slack, found)
    assert hit
    assert hit.id == "first"
    assert silence_for({}, now_ms, slack, found) is None
    by_service = compile_silence(silence("service", "rule.id", integrations=("teams",)))
    native = Integration(id="custom-x", name="custom-x", service_override="teams")
    assert silence_for(alert, now_ms, native, [by_service]) is None, "a word selects ids and names, as in all commands"
