from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.fernet import Fernet

from common.broker.dispatcher import LINGER_S
from common.connection.client import connect
from common.errors import LedgerUnavailable
from common.ledger import Ledger, Settlement
from common.registry.encryption import Cipher
from common.registry.published import PublishedRegistry
from common.reports.producer import fetch_producer_reports
from producer.config_file import ConfigFile
from producer.cursors.backup import CursorBackup
from producer.cursors.signatures import CursorSigner
from producer.loop import COMMIT_BYTES, MAX_READS_PER_COMMIT, RETRY_DELAY_S, Producer
from producer.quarantine import Quarantine
from tests.support.fakes import Clock, ListSource, NoDispatch, policy
from tests.support.proxy import Proxy

if TYPE_CHECKING:
    from pathlib import Path

    import redis

    from common.integration import Integration
    from common.settings.schema import Policy
    from ops.standalone.embedded_redis import EmbeddedServer
    from producer.health import ProducerHealth
    from producer.source import Source

NODE = "wazuh-1"
SLACK_BLOCK = "<integration><name>slack</name><hook_url>https://h.example/a</hook_url>{}</integration>"
SHUFFLE_BLOCK = "<integration><name>shuffle</name><hook_url>https://s.example/a</hook_url></integration>"


def alert(number: int, level: int = 5) -> bytes:
    return json.dumps({"id": str(number), "rule": {"level": level, "id": "1"}, "location": "x"}).encode()


class World:
    """A producer with its dependencies; `limits` changes the policy of every integration."""

    def __init__(
        self,
        client: redis.Redis,
        directory: Path,
        *blocks: str,
        node: str = NODE,
        health: ProducerHealth | None = None,
        **limits: Any,
    ) -> None:
        self.health = health
        self.config = directory / "ossec.conf"
        self.write(*blocks or (SLACK_BLOCK.format(""),))
        self.client, self.clock, self.source, self.limits = client, Clock(), ListSource(), limits
        self.dispatcher, self.key, self.node = NoDispatch(), Fernet.generate_key(), node
        self.ledger = Ledger(client)

    def write(self, *blocks: str) -> None:
        self.config.write_text(f"<ossec_config>{''.join(blocks)}</ossec_config>")

    def producer(self, source: Source | None = None) -> Producer:
        return Producer(
            node=self.node,
            source=source or self.source,
            config=ConfigFile(self.config),
            registry=PublishedRegistry(self.client, Cipher(self.key)),
            policy=self.policy,
            ledger=self.ledger,
            dispatcher=self.dispatcher,  # type: ignore[arg-type]  # notes instead of releasing
            client=self.client,
            quarantine=Quarantine(self.config.with_name("aside.jsonl"), 10_000, self.clock),
            cursor_backup=CursorBackup(self.config.with_name("places.json")),
            signer=CursorSigner(Cipher(self.key), self.node),
            now=self.clock,
            health=self.health,
        )

    def policy(self, _integration: Integration) -> Policy:
        return policy(**self.limits)

    def settle(self, producer: Producer) -> None:
        """Step, a second at a time, until nothing is left to read."""
        for _ in range(100):
            self.clock.now_s += 1
            if not producer.run_once():
                return

    def waiting(self, integration_id: str = "slack") -> list[str]:
        ids: Any = self.client.zrange(f"courier:{{{integration_id}}}:waiting", 0, -1)
        return [one.decode() for one in ids]

    def cursor(self, integration_id: str = "slack") -> str:
        return self.ledger.cursor(integration_id, self.node).partition(" ")[0]

    def delivery_ids(self, integration_id: str = "slack") -> list[str]:
        """Return node, file and offset of what waits."""
        return [one.rpartition(":")[0] for one in self.waiting(integration_id)]


@pytest.fixture
def world(client: redis.Redis, tmp_path: Path) -> World:
    return World(client, tmp_path)


def test_new_integration_starts_at_the_end_of_the_log(world: World) -> None:
    world.source.lines = [alert(n) for n in range(3)]
    producer = world.producer()
    producer.run_once()
    world.source.lines += [alert(3), alert(4)]
    world.settle(producer)
    assert world.delivery_ids() == [f"{NODE}:log:{n:010x}" for n in (3, 4)]
    assert world.dispatcher.dispatched == ["slack"]


def test_flood_fills_tasks_but_few_matches_dispatch_at_once(
    client: redis.Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("producer.loop.MAX_READS_PER_COMMIT", 1)
    seldom = SHUFFLE_BLOCK.replace("</integration>", "<level>7</level></integration>")
    world = World(client, tmp_path, SLACK_BLOCK.format(""), seldom, batch_max=25)
    producer = world.producer()
    producer.run_once()
    world.source.lines += [alert(n, level=7 if n % 5 == 0 else 5) for n in range(60)]

    def dispatched() -> list[str]:
        world.dispatcher.dispatched.clear()
        producer.run_once()
        return sorted(world.dispatcher.dispatched)

    assert [dispatched() for _ in range(4)] == [["shuffle"], ["shuffle"], ["shuffle", "slack"], ["shuffle"]]
    world.clock.now_s += LINGER_S
    assert dispatched() == ["shuffle", "slack"]
    assert dispatched() == ["shuffle", "slack"]
    assert dispatched() == []


def test_few_matches_of_several_batches_share_one_commit(world: World) -> None:
    producer = world.producer()
    producer.run_once()
    world.source.lines += [alert(n) for n in range(10 * MAX_READS_PER_COMMIT + 25)]
    world.source.reads.clear()
    assert producer.run_once()
    assert len(world.source.reads) == MAX_READS_PER_COMMIT
    assert world.cursor() == f"log:{10 * MAX_READS_PER_COMMIT}"
    assert len(world.waiting()) == 10 * MAX_READS_PER_COMMIT
    assert not producer.run_once(), "the end of the log is no reason to wait for more"
    assert world.cursor() == f"log:{10 * MAX_READS_PER_COMMIT + 25}"
    assert len(world.waiting()) == 10 * MAX_READS_PER_COMMIT + 25


def test_batch_with_many_matches_is_committed_alone(client: redis.Redis, tmp_path: Path) -> None:
    world = World(client, tmp_path, SLACK_BLOCK.format(""), SHUFFLE_BLOCK)
    producer = world.producer()
    producer.run_once()
    large = alert(0).replace(b'"x"', b'"%s"' % (b"x" * (2 * COMMIT_BYTES // 10)))
    world.source.lines += [large] * 40
    world.source.reads.clear()
    assert [producer.run_once() for _ in range(2)] == [True, True]
    assert world.source.reads == ["log:0", "log:10"]
    assert len(world.waiting("slack")) == len(world.waiting("shuffle")) == 20


def test_restarted_producer_continues_at_its_cursor(world: World) -> None:
    producer = world.producer()
    producer.run_once()
    world.source.lines += [alert(n) for n in range(5)]
    world.settle(producer)
    world.source.lines += [alert(n) for n in range(5, 9)]
    world.settle(world.producer())
    assert len(world.waiting()) == 9
    assert world.ledger.status("slack").totals["committed"] == 9


def test_start_at_beginning(client: redis.Redis, tmp_path: Path) -> None:
    world = World(client, tmp_path, start_at="beginning")
    world.source.lines = [alert(n) for n in range(3)]
    world.settle(world.producer())
    assert len(world.waiting()) == 3


def test_two_producers_of_one_node_enqueue_nothing_twice(world: World, caplog: pytest.LogCaptureFixture) -> None:
    one, two = world.producer(), world.producer()
    one.run_once()
    two.run_once()
    world.source.lines += [alert(n) for n in range(4)]
    for _ in range(3):
        world.settle(one)
        world.settle(two)
        world.source.lines.append(alert(len(world.source.lines)))
    assert len(world.waiting()) == world.ledger.status("slack").totals["committed"] == 6
    assert "cursor in Redis was moved" in caplog.text


def test_backlog_full_pauses_reading_of_one_integration_only(client: redis.Redis, tmp_path: Path) -> None:
    world = World(client, tmp_path, SLACK_BLOCK.format("<level>7</level>"), SHUFFLE_BLOCK, max_backlog=4)
    producer = world.producer()
    producer.run_once()
    world.source.lines += [alert(n, level=7 if n % 2 else 3) for n in range(8)]
    world.settle(producer)
    assert (len(world.waiting("slack")), len(world.waiting("shuffle"))) == (4, 4)
    for one in world.waiting("shuffle"):
        world.ledger.release("shuffle", max_in_flight=9, batch_max=9, lease_s=9, linger_s=0)
        begun = world.ledger.begin("shuffle", [one], token="w", lease_s=9)
        _deliver(world.ledger, "shuffle", begun[0].id)
    world.source.lines += [alert(8, level=7)]
    world.settle(producer)
    world.settle(producer)
    assert world.ledger.status("shuffle").totals["committed"] == 8
    assert len(world.waiting("slack")) == 4
    assert world.cursor() == "log:8"


def test_backpressure_reads_nothing_until_there_is_room(client: redis.Redis, tmp_path: Path) -> None:
    world = World(client, tmp_path, max_backlog=2)
    producer = world.producer()
    producer.run_once()
    world.source.lines += [alert(n) for n in range(6)]
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


def test_managers_sharing_a_redis_have_separate_cursors(client: redis.Redis, tmp_path: Path) -> None:
    worlds = []
    for name in ("east", "west"):
        (tmp_path / name).mkdir()
        worlds.append(World(client, tmp_path / name, node=name))
    worlds[1].key = worlds[0].key
    producers = [world.producer() for world in worlds]
    for producer in producers:
        producer.run_once()
    for world, producer in zip(worlds, producers, strict=True):
        world.source.lines += [alert(n) for n in range(3)]
        world.settle(producer)
    assert sorted(worlds[0].delivery_ids()) == [f"{n}:log:{i:010x}" for n in ("east", "west") for i in range(3)]
    assert set(worlds[0].ledger.status("slack").cursors) == {"east", "west"}
    assert [world.cursor() for world in worlds] == ["log:3", "log:3"]
    assert {node.node for node in fetch_producer_reports(client)} == {"east", "west"}


def test_emptied_redis_gets_the_cursors_from_memory(world: World) -> None:
    producer = world.producer()
    producer.run_once()
    world.source.lines += [alert(n) for n in range(3)]
    world.settle(producer)
    world.client.flushall()
    world.source.lines += [alert(n) for n in range(3, 5)]
    world.settle(producer)
    world.settle(producer)
    assert world.delivery_ids() == [f"{NODE}:log:{n:010x}" for n in (3, 4)]
    assert PublishedRegistry(world.client, Cipher(world.key)).load().get("slack") is not None


def test_start_on_an_emptied_redis_uses_the_cursor_backup(world: World, caplog: pytest.LogCaptureFixture) -> None:
    producer = world.producer()
    producer.run_once()
    world.source.lines += [alert(n) for n in range(3)]
    world.settle(producer)
    world.settle(producer)
    world.client.flushall()
    world.source.lines += [alert(n) for n in range(3, 5)]
    world.settle(world.producer())
    assert world.delivery_ids() == [f"{NODE}:log:{n:010x}" for n in (3, 4)]
    assert "Redis lost the cursor" in caplog.text


def test_intake_pauses_if_redis_is_nearly_full_or_may_evict(world: World) -> None:
    producer = world.producer()
    world.settle(producer)
    used: int = world.client.info("memory")["used_memory"]
    for name, value, back in (("maxmemory", int(1.08 * used), 0), ("maxmemory-policy", "allkeys-lru", "noeviction")):
        before = len(world.waiting())
        world.client.config_set(name, value)
        world.settle(producer)
        world.source.lines.append(alert(len(world.source.lines)))
        world.settle(producer)
        assert len(world.waiting()) == before
        assert fetch_producer_reports(world.client)[0].texts["intake_paused"]
        world.client.config_set(name, back)
        world.settle(producer)
        world.settle(producer)
        assert len(world.waiting()) == before + 1
    assert not fetch_producer_reports(world.client)[0].texts["intake_paused"]


def test_line_read_again_is_counted_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    producer = world.producer()
    world.settle(producer)
    world.source.lines += [alert(0), b"garbage", alert(1)]

    def commit(*_args: object, **_kwargs: object) -> None:
        raise LedgerUnavailable("gone")

    with monkeypatch.context() as broken:
        broken.setattr(world.ledger, "commit", commit)
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
    world.source.lines += [alert(0)]
    world.settle(producer)
    world.client.flushall()
    world.source.lines += [alert(1)]
    producer.run_once()
    world.settle(producer)
    assert world.delivery_ids() == [f"{NODE}:log:{1:010x}"]
    assert PublishedRegistry(world.client, Cipher(world.key)).load().get("slack") is not None


def test_redis_with_an_older_cursor_is_filled_without_new_alerts(world: World) -> None:
    producer = world.producer()
    producer.run_once()
    world.source.lines += [alert(0)]
    world.settle(producer)
    before = CursorSigner(Cipher(world.key), NODE).signed("slack", "log:0")
    world.client.hset("courier:{slack}:cursor", NODE, before)
    world.client.delete("courier:{slack}:records", "courier:{slack}:waiting")
    world.settle(producer)
    world.settle(producer)
    assert len(world.waiting()) == 1


def test_redis_unavailable_loses_no_alert(server: EmbeddedServer, world: World) -> None:
    producer = world.producer()
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        world.clock.now_s += 1
        if len(waits) == 2:
            server.kill()
            world.source.lines += [alert(0), alert(1)]
        if len(waits) == 4:
            server.start()

    producer.run(wait, wait, lambda: len(waits) > 6)
    assert len(world.waiting()) == 2


def test_commit_with_a_lost_response_enqueues_nothing_twice(
    server: EmbeddedServer, client: redis.Redis, tmp_path: Path
) -> None:
    with (
        Proxy(server.port) as proxy,
        connect(f"redis://:{server.password}@127.0.0.1:{proxy.port}/0?socket_timeout=0.3") as impatient,
    ):
        world = World(impatient, tmp_path)
        producer = world.producer()
        world.settle(producer)
        world.settle(producer)  # the heartbeat is over, so the commit comes first
        proxy.hold_answers()
        world.source.lines += [alert(0), alert(1)]
        waits: list[tuple[float, int]] = []

        def wait(seconds: float) -> None:
            waits.append((seconds, client.zcard("courier:{slack}:waiting")))
            proxy.go_on()

        producer.run(wait, wait, lambda: len(waits) > 2)
        assert waits[0] == (RETRY_DELAY_S, 2)
        assert len(world.waiting()) == world.ledger.status("slack").totals["committed"] == 2


def test_type_errors_are_counted_by_field_once_per_line(client: redis.Redis, tmp_path: Path) -> None:
    world = World(client, tmp_path, max_backlog=1)
    producer = world.producer()
    producer.run_once()
    odd = b'{"rule":{"level":"7","id":5},"location":"x"}'
    world.source.lines += [alert(0), odd, alert(1), odd]
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
    world.source.lines += [b"garbage", b"[1]", b"{}", alert(1), b"\xff\xfe", b""]
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
    assert "at byte 0 of the log file with fingerprint log" in kept[0]["detail"]


def _deliver(ledger: Ledger, integration_id: str, delivery_id: str) -> None:
    assert ledger.settle(integration_id, [Settlement(id=delivery_id, outcome="delivered")], token="w").count == 1
