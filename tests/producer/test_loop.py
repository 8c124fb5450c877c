"""The producer's loop.

Each test runs with both sources, but for three: those count reads, whose size only the list fixes.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from common.broker.dispatcher import LINGER_S
from common.connection.client import connect
from common.errors import LedgerUnavailable
from common.ledger import Settlement, SettleOutcome
from common.registry.encryption import Cipher
from common.registry.published import PublishedRegistry
from common.reports.producer import fetch_producer_reports
from producer.cursors.signatures import CursorSigner
from producer.loop import RETRY_DELAY_S
from producer.read_ahead import COMMIT_BYTES, MAX_READS_PER_COMMIT
from tests.support.proxy import Proxy
from tests.support.sources import cursor_before
from tests.support.world import NODE, SHUFFLE_BLOCK, SLACK_BLOCK, World, alert

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import redis

    from ops.standalone.embedded_redis import EmbeddedServer
    from tests.producer.conftest import NewWorld
    from tests.support.ledger import Ledger
    from tests.support.sources import Log


def test_new_integration_starts_at_the_end_of_the_log(world: World) -> None:
    world.append(*(alert(n) for n in range(3)))
    producer = world.producer()
    producer.run_once()
    world.append(alert(3), alert(4))
    world.settle(producer)
    assert world.waiting() == world.ids(3, 4)
    assert world.dispatcher.dispatched == ["slack"]


def test_flood_fills_tasks_but_few_matches_dispatch_at_once(
    client: redis.Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("producer.read_ahead.MAX_READS_PER_COMMIT", 1)
    seldom = SHUFFLE_BLOCK.replace("</integration>", "<level>7</level></integration>")
    world = World(client, tmp_path, SLACK_BLOCK.format(""), seldom, batch_max=25)  # as above
    producer = world.producer()
    producer.run_once()
    world.append(*(alert(n, level=7 if n % 5 == 0 else 5) for n in range(60)))

    def dispatched() -> list[str]:
        world.dispatcher.dispatched.clear()
        producer.run_once()
        return sorted(world.dispatcher.dispatched)

    assert [dispatched() for _ in range(4)] == [["shuffle"], ["shuffle"], ["shuffle", "slack"], ["shuffle"]]
    world.clock.now_s += LINGER_S
    assert dispatched() == ["shuffle", "slack"]
    assert dispatched() == ["shuffle", "slack"]
    assert dispatched() == []


def test_end_of_a_flood_is_dispatched_although_its_last_lines_match_nothing(
    client: redis.Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("producer.read_ahead.MAX_READS_PER_COMMIT", 1)
    world = World(client, tmp_path, SLACK_BLOCK.format("<level>7</level>"), batch_max=25)  # as above
    producer = world.producer()
    producer.run_once()
    world.append(*(alert(n, level=7 if n < 10 else 5) for n in range(15)))
    assert producer.run_once(), "there is more to read, and too little for a task"
    assert world.dispatcher.dispatched == []
    producer.run_once()
    assert world.dispatcher.dispatched == ["slack"]


def test_few_matches_of_several_batches_share_one_commit(client: redis.Redis, tmp_path: Path) -> None:
    world = World(client, tmp_path)  # lines in a list: a read returns ten
    producer = world.producer()
    producer.run_once()
    world.append(*(alert(n) for n in range(10 * MAX_READS_PER_COMMIT + 25)))
    world.source.reads.clear()
    assert producer.run_once()
    assert len(world.source.reads) == MAX_READS_PER_COMMIT
    assert world.committed() == 10 * MAX_READS_PER_COMMIT
    assert len(world.waiting()) == 10 * MAX_READS_PER_COMMIT
    assert not producer.run_once(), "the end of the log is no reason to wait for more"
    assert world.committed() == 10 * MAX_READS_PER_COMMIT + 25
    assert len(world.waiting()) == 10 * MAX_READS_PER_COMMIT + 25


def test_batch_with_many_matches_is_committed_alone(client: redis.Redis, tmp_path: Path) -> None:
    world = World(client, tmp_path, SLACK_BLOCK.format(""), SHUFFLE_BLOCK)  # as above
    producer = world.producer()
    producer.run_once()
    large = alert(0).replace(b'"x"', b'"%s"' % (b"x" * (2 * COMMIT_BYTES // 10)))
    world.append(*[large] * 40)
    world.source.reads.clear()
    assert [producer.run_once() for _ in range(2)] == [True, True]
    assert world.source.reads == [cursor_before(0), cursor_before(10)]
    assert len(world.waiting("slack")) == len(world.waiting("shuffle")) == 20


def test_batches_with_many_matches_are_committed_together_if_they_are_folded(
    client: redis.Redis, tmp_path: Path
) -> None:
    (tmp_path / "courier.toml").write_text("[integrations.slack.digest]\nby = []\n")
    world = World(client, tmp_path)  # as above
    producer = world.producer()
    producer.run_once()
    world.append(*[alert(0).replace(b'"x"', b'"%s"' % (b"x" * (2 * COMMIT_BYTES // 10)))] * 40)
    world.source.reads.clear()
    producer.run_once()
    assert world.source.reads == [cursor_before(n) for n in (0, 10, 20, 30)]
    assert world.ledger.status("slack").in_groups == 40


def test_restarted_producer_continues_at_its_cursor(world: World) -> None:
    producer = world.producer()
    producer.run_once()
    world.append(*(alert(n) for n in range(5)))
    world.settle(producer)
    world.append(*(alert(n) for n in range(5, 9)))
    world.settle(world.producer())
    assert len(world.waiting()) == 9
    assert world.ledger.status("slack").totals["committed"] == 9


def test_start_at_beginning(new_world: NewWorld) -> None:
    world = new_world(start_at="beginning")
    world.append(*(alert(n) for n in range(3)))
    world.settle(world.producer())
    assert len(world.waiting()) == 3


def test_two_producers_of_one_node_enqueue_nothing_twice(world: World, caplog: pytest.LogCaptureFixture) -> None:
    one, two = world.producer(), world.producer()
    one.run_once()
    two.run_once()
    world.append(*(alert(n) for n in range(4)))
    for number in range(4, 7):
        world.settle(one)
        world.settle(two)
        world.append(alert(number))
    assert len(world.waiting()) == world.ledger.status("slack").totals["committed"] == 6
    assert "cursor in Redis was moved" in caplog.text


def test_backlog_full_pauses_reading_of_one_integration_only(new_world: NewWorld) -> None:
    world = new_world(SLACK_BLOCK.format("<level>7</level>"), SHUFFLE_BLOCK, max_backlog=4)
    producer = world.producer()
    producer.run_once()
    world.append(*(alert(n, level=7 if n % 2 else 3) for n in range(8)))
    world.settle(producer)
    assert (len(world.waiting("slack")), len(world.waiting("shuffle"))) == (4, 4)
    for one in world.waiting("shuffle"):
        world.ledger.release("shuffle", max_in_flight=9, batch_max=9, lease_s=9, linger_s=0)
        begun = world.ledger.begin("shuffle", [one], token="w", lease_s=9)
        _deliver(world.ledger, "shuffle", begun[0].id)
    world.append(alert(8, level=7))
    world.settle(producer)
    world.settle(producer)
    assert world.ledger.status("shuffle").totals["committed"] == 8
    assert len(world.waiting("slack")) == 4
    assert world.committed() == 8


def test_backpressure_reads_nothing_until_there_is_room(new_world: NewWorld) -> None:
    world = new_world(max_backlog=2)
    producer = world.producer()
    producer.run_once()
    world.append(*(alert(n) for n in range(6)))
    world.settle(producer)
    world.source.reads.clear()
    for _ in range(20):
        world.clock.now_s += 1
        producer.run_once()
    assert world.source.reads == []
    (first, _) = world.waiting()
    world.ledger.release("slack", max_in_flight=1, batch_max=1, lease_s=9, linger_s=0)
    world.ledger.begin("slack", [first], token="w", lease_s=9)
    _deliver(world.ledger, "slack", first)
    world.settle(producer)
    assert world.ledger.status("slack").totals["committed"] == 3


def test_managers_sharing_a_redis_have_separate_cursors(client: redis.Redis, new_world: NewWorld) -> None:
    worlds = [new_world(directory=name, node=name) for name in ("east", "west")]
    worlds[1].key = worlds[0].key
    producers = [world.producer() for world in worlds]
    for producer in producers:
        producer.run_once()
    for world, producer in zip(worlds, producers, strict=True):
        world.append(*(alert(n) for n in range(3)))
        world.settle(producer)
    assert worlds[0].waiting() == [*worlds[0].ids(0, 1, 2), *worlds[1].ids(0, 1, 2)]
    assert set(worlds[0].ledger.status("slack").cursors) == {"east", "west"}
    assert [world.committed() for world in worlds] == [3, 3]
    assert {node.node for node in fetch_producer_reports(client)} == {"east", "west"}


def test_emptied_redis_gets_the_cursors_from_memory(world: World) -> None:
    producer = world.producer()
    producer.run_once()
    world.append(*(alert(n) for n in range(3)))
    world.settle(producer)
    world.client.flushall()
    world.append(*(alert(n) for n in range(3, 5)))
    world.settle(producer)
    world.settle(producer)
    assert world.waiting() == world.ids(3, 4)
    assert PublishedRegistry(world.client, Cipher(world.key)).load().get("slack") is not None


def test_start_on_an_emptied_redis_uses_the_cursor_backup(world: World, caplog: pytest.LogCaptureFixture) -> None:
    producer = world.producer()
    producer.run_once()
    world.append(*(alert(n) for n in range(3)))
    world.settle(producer)
    world.settle(producer)
    world.client.flushall()
    world.append(*(alert(n) for n in range(3, 5)))
    world.settle(world.producer())
    assert world.waiting() == world.ids(3, 4)
    assert "Redis lost the cursor" in caplog.text


def test_intake_pauses_if_redis_is_nearly_full_or_may_evict(world: World) -> None:
    producer = world.producer()
    world.settle(producer)
    used: int = world.client.info("memory")["used_memory"]
    for name, value, back in (("maxmemory", int(1.08 * used), 0), ("maxmemory-policy", "allkeys-lru", "noeviction")):
        before = len(world.waiting())
        world.client.config_set(name, value)
        world.settle(producer)
        world.append(alert(before))
        world.settle(producer)
        assert len(world.waiting()) == before
        assert fetch_producer_reports(world.client)[0].report.intake_paused
        world.client.config_set(name, back)
        world.settle(producer)
        world.settle(producer)
        assert len(world.waiting()) == before + 1
    assert not fetch_producer_reports(world.client)[0].report.intake_paused


def test_line_read_again_is_counted_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    producer = world.producer()
    world.settle(producer)
    world.append(alert(0), b"garbage", alert(1))

    def commit(*_args: object, **_kwargs: object) -> None:
        raise LedgerUnavailable("gone")

    with monkeypatch.context() as broken:
        broken.setattr(world.ledger, "commit_all", commit)
        for _ in range(3):
            world.clock.now_s += 1
            with pytest.raises(LedgerUnavailable):
                producer.run_once()
    world.settle(producer)
    world.settle(producer)
    (node,) = fetch_producer_reports(world.client)
    assert (node.counters["lines"], node.counters["matched"]) == (3, 2)


def test_emptied_redis_is_noticed_before_the_next_heartbeat(world: World) -> None:
    producer = world.producer()
    producer.run_once()
    world.append(alert(0))
    world.settle(producer)
    world.client.flushall()
    world.append(alert(1))
    producer.run_once()
    world.settle(producer)
    assert world.waiting() == world.ids(1)
    assert PublishedRegistry(world.client, Cipher(world.key)).load().get("slack") is not None


def test_redis_with_an_older_cursor_is_filled_without_new_alerts(world: World) -> None:
    producer = world.producer()
    producer.run_once()
    before = CursorSigner(Cipher(world.key), NODE).signed("slack", world.cursor())
    world.append(alert(0))
    world.settle(producer)
    world.client.hset("courier:{slack}:cursor", NODE, before)
    world.client.delete("courier:{slack}:records", "courier:{slack}:waiting")
    world.settle(producer)
    world.settle(producer)
    assert len(world.waiting()) == 1


def test_redis_unavailable_loses_no_alert(
    server: EmbeddedServer, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    producer = world.producer()
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        world.clock.now_s += 1
        if len(waits) == 2:
            server.kill()
            world.append(alert(0), alert(1))
        if len(waits) == 4:
            server.start()

    monkeypatch.setattr(world.source, "wait", wait)
    producer.run(wait, lambda: len(waits) > 6)
    assert len(world.waiting()) == 2


def test_commit_with_a_lost_response_enqueues_nothing_twice(
    server: EmbeddedServer,
    client: redis.Redis,
    tmp_path: Path,
    log: Callable[[Path], Log],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with (
        Proxy(server.port) as proxy,
        connect(f"redis://:{server.password}@127.0.0.1:{proxy.port}/0?socket_timeout=0.3") as impatient,
    ):
        world = World(impatient, tmp_path, log=log)
        world.append(alert(0))  # else the first commit would move the cursor to the new file
        producer = world.producer()
        world.settle(producer)
        world.settle(producer)  # the heartbeat is over, so the commit comes first
        proxy.hold_answers()
        world.append(alert(1), alert(2))
        waits: list[tuple[float, int]] = []

        def wait(seconds: float) -> None:
            waits.append((seconds, client.zcard("courier:{slack}:waiting")))
            proxy.go_on()

        monkeypatch.setattr(world.source, "wait", wait)
        producer.run(wait, lambda: len(waits) > 2)
        assert waits[0] == (RETRY_DELAY_S, 2)
        assert len(world.waiting()) == world.ledger.status("slack").totals["committed"] == 2
        world.close()


def test_type_errors_are_counted_by_field_once_per_line(client: redis.Redis, new_world: NewWorld) -> None:
    world = new_world(max_backlog=1)
    producer = world.producer()
    producer.run_once()
    odd = b'{"rule":{"level":"7","id":5},"location":"x"}'
    world.append(alert(0), odd, alert(1), odd)
    world.settle(producer)
    _deliver(world.ledger, "slack", world.waiting()[0])
    world.settle(producer)
    world.settle(producer)
    (node,) = fetch_producer_reports(client)
    wrong = {name: count for name, count in node.counters.items() if name.startswith("wrong_type:")}
    assert wrong == {"wrong_type:level": 2, "wrong_type:rule_id": 2}


def test_invalid_lines_are_counted_and_reading_continues(world: World) -> None:
    producer = world.producer()
    producer.run_once()
    world.append(b"garbage", b"[1]", b"{}", alert(1), b"\xff\xfe", b"")
    world.settle(producer)
    world.settle(producer)
    assert len(world.waiting()) == 1
    (node,) = fetch_producer_reports(world.client)
    assert {k: v for k, v in node.counters.items() if k.startswith("bad:")} == {
        "bad:invalid_json": 3,
        "bad:not_an_object": 1,
        "bad:no_rule": 1,
    }
    kept = [json.loads(line) for line in world.config.with_name("aside.jsonl").read_text().splitlines()]
    assert [one["sample"] for one in kept] == ["garbage", "[1]", "{}", "\\xff\\xfe", ""]
    source = world.log.open()
    assert f"at {source.read(source.beginning(), 1).lines[0].location}" in kept[0]["detail"]
    source.close()


def _deliver(ledger: Ledger, integration_id: str, delivery_id: str) -> None:
    assert (
        ledger.settle(integration_id, [Settlement(id=delivery_id, outcome=SettleOutcome.DELIVERED)], token="w").count
        == 1
    )
