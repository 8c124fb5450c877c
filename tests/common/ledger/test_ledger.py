from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from msgspec import structs
from redis import Connection

from common.connection.client import connect
from common.errors import LedgerDamaged, LedgerMisconfigured, LedgerUnavailable
from common.ledger import (
    Begin,
    Commit,
    Event,
    Full,
    Header,
    Reaped,
    Release,
    Settle,
    Settled,
    Settlement,
    SettleOutcome,
    Stale,
    Stored,
)
from common.ledger.keys import FAILED_OFFSET_MS, keys_of
from common.settings.load import load_settings
from ops.standalone.embedded_redis import EmbeddedServer, free_port
from tests.support.fakes import Clock, policy
from tests.support.ledger import Ledger

if TYPE_CHECKING:
    import redis

ID = "slack"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(client: redis.Redis, clock: Clock) -> Ledger:
    return Ledger(client, clock=clock)


def commit(
    ledger: Ledger,
    ids: list[str],
    expected: str = "",
    cursor: str = "c1",
    *,
    max_backlog: int = 1000,
    max_backlog_bytes: int = 10**6,
) -> object:
    deliveries = [(i, f'{{"alert":"{i}"}}'.encode()) for i in ids]
    return ledger.commit(
        ID,
        node="n",
        expected=expected,
        cursor=cursor,
        deliveries=deliveries,
        max_backlog=max_backlog,
        max_backlog_bytes=max_backlog_bytes,
    )


def release(ledger: Ledger, *, max_in_flight: int = 100, batch_max: int = 10) -> list[list[str]]:
    return ledger.release(ID, max_in_flight=max_in_flight, batch_max=batch_max, lease_s=60, linger_s=1)


def test_delivery_goes_from_commit_to_delivered(ledger: Ledger) -> None:
    assert commit(ledger, ["a", "b"]) == Stored(2)
    assert ledger.cursor(ID, "n") == "c1"
    assert release(ledger) == [["a"], ["b"]]
    begun = ledger.begin(ID, ["a", "b"], token="w1", lease_s=60)
    assert [(d.id, d.alert) for d in begun] == [("a", b'{"alert":"a"}'), ("b", b'{"alert":"b"}')]
    assert ledger.settle(ID, [Settlement(id=i, outcome=SettleOutcome.DELIVERED) for i in "ab"], token="w1").count == 2
    status = ledger.status(ID)
    assert (status.waiting, status.released, status.dead, status.oldest_age_s) == (0, 0, 0, None)
    assert status.totals == {"committed": 2, "delivered": 2, "bytes": 0}


def test_commit_with_another_cursor_stores_nothing(ledger: Ledger) -> None:
    commit(ledger, ["a"])
    assert commit(ledger, ["b"], expected="", cursor="c2") == Stale("c1")
    assert ledger.status(ID).waiting == 1
    assert commit(ledger, ["b"], expected="c1", cursor="c2") == Stored(1)


def test_commit_without_deliveries_moves_the_cursor(ledger: Ledger) -> None:
    assert commit(ledger, [], cursor="c9") == Stored(0)
    assert ledger.cursor(ID, "n") == "c9"


def test_full_backlog_returns_the_room_that_is_left(ledger: Ledger) -> None:
    assert commit(ledger, ["a", "b", "c"], max_backlog=2) == Full(2)
    assert commit(ledger, ["a", "b"], max_backlog=2) == Stored(2)
    assert commit(ledger, ["c"], expected="c1", max_backlog=2) == Full(0)
    assert commit(ledger, [], expected="c1", cursor="c2", max_backlog=2) == Stored(0)


def test_commits_and_releases_of_several_integrations_take_one_round_trip(
    client: redis.Redis, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def terms(*ids: str, expected: str = "") -> Commit:
        deliveries = [(i, b"{}") for i in ids]
        return Commit(
            node="n",
            expected=expected,
            cursor="c1",
            deliveries=deliveries,
            max_backlog=2,
            max_backlog_bytes=10**6,
        )

    client.set(keys_of("damaged").waiting, "another program's")
    commits = {
        "slack": terms("a", "b"),
        "stale": terms("a", expected="another"),
        "damaged": terms("a"),
        "full": terms("a", "b", "c"),
    }
    may_go = Release(max_in_flight=100, batch_max=10, lease_s=60, linger_s=1)
    committed, released = ledger.commit_all(commits, dict.fromkeys(commits, may_go))
    assert committed == {"slack": Stored(2), "stale": Stale(""), "full": Full(2)}
    assert released == {"slack": [["a"], ["b"]]}

    trips = Counter[str]()
    send: Any = Connection.send_packed_command
    monkeypatch.setattr(
        Connection,
        "send_packed_command",
        lambda self, command, **more: (trips.update(["sent"]), send(self, command, **more))[1],
    )
    ledger.commit_all({"slack": terms("c", expected="c1")}, {"slack": may_go})
    assert trips == {"sent": 1}


def test_bytes_limit_the_backlog_but_an_empty_one_accepts_one(ledger: Ledger) -> None:
    assert commit(ledger, ["a", "b"], max_backlog_bytes=60) == Full(1)
    assert commit(ledger, ["a"], max_backlog_bytes=1) == Stored(1)
    assert commit(ledger, ["b"], expected="c1", max_backlog_bytes=1) == Full(0)


def test_release_stops_at_the_in_flight_cap(ledger: Ledger) -> None:
    commit(ledger, [f"{n:03}" for n in range(50)])
    assert sum(map(len, release(ledger, max_in_flight=30))) == 30
    assert release(ledger, max_in_flight=30) == []


def test_tasks_grow_with_deliveries_in_flight_and_linger(ledger: Ledger, clock: Clock) -> None:
    commit(ledger, [f"{n:03}" for n in range(320)])
    first = release(ledger, max_in_flight=320, batch_max=64)
    assert [len(task) for task in first] == [20] * 16
    commit(ledger, ["late"], expected="c1", cursor="c2")
    assert release(ledger, max_in_flight=1000, batch_max=64) == []
    clock.now_s += 1
    assert release(ledger, max_in_flight=1000, batch_max=64) == [["late"]]


def test_many_deliveries_are_released_in_larger_tasks(ledger: Ledger) -> None:
    def sizes(max_in_flight: int) -> list[int]:
        released = ledger.release(
            ID, max_in_flight=max_in_flight, batch_max=64, lease_s=60, linger_s=1, ids_per_task=32
        )
        return [len(task) for task in released]

    commit(ledger, [f"{n:03}" for n in range(100)])
    assert sizes(4) == [4]
    assert sizes(100) == [32, 32, 32]


def commit_to(ledger: Ledger, *integration_ids: str, count: int) -> None:
    deliveries = [(f"{n:03}", b"{}") for n in range(count)]
    for one in integration_ids:
        assert ledger.commit(
            one,
            node="n",
            expected="",
            cursor="c",
            deliveries=deliveries,
            max_backlog=100,
            max_backlog_bytes=10**6,
        ) == Stored(count)


def test_release_all_uses_the_parameters_of_each_integration(ledger: Ledger) -> None:
    commit_to(ledger, "slack", "shuffle", "capped", count=5)
    one_by_one = Release(max_in_flight=9, batch_max=9, lease_s=60, linger_s=1)
    together = structs.replace(one_by_one, ids_per_task=5)
    capped = structs.replace(one_by_one, max_in_flight=1)
    wanted = {"slack": one_by_one, "empty": one_by_one, "shuffle": together, "capped": capped}
    assert ledger.release_all(wanted) == {
        "slack": [["000"], ["001"], ["002"], ["003"], ["004"]],
        "shuffle": [["000", "001", "002", "003", "004"]],
        "capped": [["000"]],
    }
    assert ledger.release_all(wanted) == ledger.release_all({}) == {}


def test_scripts_are_loaded_again_after_a_redis_restart(ledger: Ledger, client: redis.Redis) -> None:
    commit_to(ledger, "slack", "shuffle", count=1)
    client.script_flush()
    how = Release(max_in_flight=9, batch_max=9, lease_s=60, linger_s=1)
    assert ledger.release_all({"slack": how, "shuffle": how}) == {"slack": [["000"]], "shuffle": [["000"]]}


def test_begins_and_settlements_of_several_integrations_take_one_round_trip(
    client: redis.Redis, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits = Commit(
        node="n",
        expected="",
        cursor="c1",
        deliveries=[("a", b"{}"), ("b", b"{}")],
        max_backlog=9,
        max_backlog_bytes=10**6,
    )
    names = ["slack", "jira", "damaged"]
    terms = Release(max_in_flight=1, batch_max=10, lease_s=60, linger_s=0)
    ledger.commit_all(dict.fromkeys(names, commits), dict.fromkeys(names, terms))
    client.set(keys_of("damaged").leases, "another program's")
    delivered = Settlement(id="a", outcome=SettleOutcome.DELIVERED)
    settles = {
        "slack": Settle(settlements=[delivered], release=terms),
        "damaged": Settle(settlements=[delivered], release=terms),
        "jira": Settle(settlements=[delivered]),
    }
    ledger.begin("slack", [], token="w", lease_s=60)  # the scripts are sent
    ledger.settle("slack", [], token="w", release=terms)
    with pytest.raises(LedgerDamaged):
        ledger.begin("damaged", ["a"], token="w", lease_s=60)  # it is known

    trips = Counter[str]()
    send: Any = Connection.send_packed_command
    monkeypatch.setattr(
        Connection,
        "send_packed_command",
        lambda self, command, **more: (trips.update(["sent"]), send(self, command, **more))[1],
    )
    begun = ledger.begin_all({i: Begin(ids=["a"], lease_s=60) for i in ("slack", "jira")}, token="w")
    assert {i: [one.id for one in found] for i, found in begun.items()} == {"slack": ["a"], "jira": ["a"]}
    assert trips == {"sent": 1}
    assert "damaged" not in ledger.begin_all({"damaged": Begin(ids=["a"], lease_s=60)}, token="w")
    trips.clear()
    settled = ledger.settle_all({i: settles[i] for i in ("slack", "jira")}, token="w")
    assert settled == {
        "slack": Settled(1, is_waiting=True, tasks=[["b"]]),
        "jira": Settled(1, is_waiting=True),
    }
    assert trips == {"sent": 1}
    assert isinstance(ledger.settle_all(settles, token="w")["damaged"], LedgerDamaged)
    assert ledger.status("jira").totals["delivered"] == 1


def test_damaged_integration_does_not_stop_the_release_of_others(ledger: Ledger, client: redis.Redis) -> None:
    commit_to(ledger, "slack", "shuffle", count=1)
    client.set("courier:{odd}:waiting", "no sorted set")
    how = Release(max_in_flight=9, batch_max=9, lease_s=60, linger_s=1)
    released = ledger.release_all({"slack": how, "odd": how, "shuffle": how})
    assert released.keys() == {"slack", "shuffle"}
    assert [ledger.status(one).released for one in ("slack", "shuffle")] == [1, 1]


def test_few_deliveries_linger_only_while_others_are_in_flight(ledger: Ledger, clock: Clock) -> None:
    def go(max_in_flight: int = 100) -> list[list[str]]:
        return ledger.release(
            ID, max_in_flight=max_in_flight, batch_max=64, lease_s=60, linger_s=1, ids_per_task=8, min_ids=8
        )

    def come(ids: str) -> None:
        assert commit(ledger, list(ids), expected=ledger.cursor(ID, "n") or "", cursor=f"behind {ids}") == Stored(
            len(ids)
        )

    come("a")
    assert go() == [["a"]]
    come("bc")
    assert go() == []
    assert go(max_in_flight=3) == [["b", "c"]]
    come("d")
    assert go() == []
    clock.now_s += 1
    assert go() == [["d"]]
    come("efghijkl")
    assert go() == [list("efghijkl")]


def test_integration_with_waiting_or_released_is_not_empty(ledger: Ledger) -> None:
    assert ledger.non_empty([]) == ledger.non_empty([ID, "other"]) == set()
    commit(ledger, ["a"])
    assert ledger.non_empty([ID, "other"]) == {ID}
    release(ledger)
    assert ledger.non_empty({"other", ID}) == {ID}
    ledger.begin(ID, ["a"], token="w", lease_s=60)
    ledger.settle(ID, [Settlement(id="a", outcome=SettleOutcome.DEAD)], token="w")
    assert ledger.non_empty([ID]) == set()


def test_ten_hanging_targets_leave_worker_slots_to_others(ledger: Ledger, clock: Clock) -> None:
    settings = load_settings(file=None, environment={}, cwd=Path("/nonexistent"))
    default = policy()
    cursor, tasks = "", 0
    for n in range(512):
        commit(ledger, [f"{n:03}"], expected=cursor, cursor=f"c{n}")
        cursor = f"c{n}"
        clock.now_s += 0.01
        tasks += len(release(ledger, max_in_flight=default.max_in_flight, batch_max=default.batch_max))
    assert 10 * tasks < settings.worker.max_tasks


def test_begin_skips_settled_and_taken_deliveries(ledger: Ledger) -> None:
    commit(ledger, ["a", "b"])
    release(ledger)
    ledger.begin(ID, ["a"], token="w1", lease_s=60)
    assert [d.id for d in ledger.begin(ID, ["a", "b", "gone"], token="w2", lease_s=60)] == ["b"]
    ledger.settle(ID, [Settlement(id="a", outcome=SettleOutcome.DELIVERED)], token="w1")
    assert ledger.begin(ID, ["a"], token="w3", lease_s=60) == []


def test_retry_waits_until_due_and_keeps_its_header(ledger: Ledger, clock: Clock) -> None:
    commit(ledger, ["a"])
    release(ledger)
    (delivery,) = ledger.begin(ID, ["a"], token="w", lease_s=60)
    header = Header(committed_ms=delivery.header.committed_ms, attempts=1, completed_calls=("ip",))
    retry = Settlement(id="a", outcome=SettleOutcome.RETRY, reason="http_5xx", delay_ms=5000, header=header)
    assert ledger.settle(ID, [retry], token="w", last_error="server: 500").count == 1
    assert release(ledger) == []
    clock.now_s += 5
    assert release(ledger) == [["a"]]
    (again,) = ledger.begin(ID, ["a"], token="w", lease_s=60)
    assert again.header == header
    assert again.alert == delivery.alert
    status = ledger.status(ID)
    assert status.totals["retried:http_5xx"] == 1
    assert status.last_error == "server: 500"


def test_expired_lease_is_a_lost_attempt(ledger: Ledger, clock: Clock) -> None:
    commit(ledger, ["a"])
    release(ledger)
    ledger.begin(ID, ["a"], token="w1", lease_s=10)
    clock.now_s += 6
    ledger.renew(ID, {"a": "w1", "b": "w1"}, lease_s=10)
    ledger.renew(ID, {"a": "another"}, lease_s=3600)
    clock.now_s += 6
    assert ledger.reap(ID, queued=(), lease_s=60) == Reaped(0, 0, 0)
    clock.now_s += 6
    assert ledger.reap(ID, queued=(), lease_s=60) == Reaped(1, 0, 0)
    assert release(ledger) == [["a"]]
    (delivery,) = ledger.begin(ID, ["a"], token="w2", lease_s=10)
    assert (delivery.header.attempts, delivery.header.lost_attempts) == (1, 1)


def test_unbegun_delivery_waits_again_unless_it_is_queued(ledger: Ledger, clock: Clock) -> None:
    commit(ledger, ["a", "b"])
    release(ledger)
    assert ledger.overdue([ID]) == {}
    clock.now_s += 61
    assert ledger.overdue([ID]) == {ID: ["a", "b"]}
    assert ledger.reap(ID, queued=["a"], lease_s=60) == Reaped(0, 1, 0)
    assert release(ledger) == [["b"]]
    clock.now_s += 61
    assert ledger.reap(ID, queued=(), lease_s=60) == Reaped(0, 2, 0)


def test_clock_set_back_delays_no_delivery(ledger: Ledger, clock: Clock) -> None:
    commit(ledger, ["a", "b", "c"])
    assert release(ledger, max_in_flight=1) == [["a"]]
    ledger.begin(ID, ["a"], token="w", lease_s=60)
    clock.now_s += 20
    release(ledger, max_in_flight=1)
    clock.now_s -= 3600
    assert release(ledger, max_in_flight=3) == [["b"], ["c"]]
    assert ledger.status(ID).totals["clock_set_back"] == 1
    clock.now_s += 39
    assert ledger.reap(ID, queued=["b", "c"], lease_s=60) == Reaped(0, 0, 0)
    clock.now_s += 2
    assert ledger.reap(ID, queued=["b", "c"], lease_s=60) == Reaped(1, 0, 0)


def test_clock_set_back_moves_a_long_queue_in_several_calls(client: redis.Redis, ledger: Ledger, clock: Clock) -> None:
    waiting, control = keys_of(ID).waiting, keys_of(ID).control
    commit(ledger, [f"{n:04}" for n in range(1200)], max_backlog=10_000)
    clock.now_s += 1
    assert ledger.release(ID, max_in_flight=1, batch_max=1, lease_s=60, linger_s=0) == [["0000"]]
    client.zadd(waiting, {f"f{n:04}": FAILED_OFFSET_MS + ledger.now_ms() + 5000 for n in range(700)})
    before: Any = client.zrange(waiting, 0, -1, withscores=True)
    clock.now_s -= 3600
    remaining = []
    for _ in range(4):
        assert ledger.release(ID, max_in_flight=1, batch_max=1, lease_s=60, linger_s=0) == []
        not_moved = client.zcount(waiting, ledger.now_ms(), f"({FAILED_OFFSET_MS}")
        remaining.append((not_moved, client.hexists(control, "clock_shift")))
    assert remaining == [(699, True), (199, True), (0, False), (0, False)]
    after: Any = client.zrange(waiting, 0, -1, withscores=True)
    assert after == [(i, score - 3_600_000) for i, score in before]
    assert ledger.status(ID).totals["clock_set_back"] == 1
    assert ledger.release(ID, max_in_flight=3, batch_max=1, lease_s=60, linger_s=0) == [["0001"], ["0002"]]


def test_clock_set_forward_ends_leases_early(ledger: Ledger, clock: Clock) -> None:
    commit(ledger, ["a"])
    release(ledger)
    ledger.begin(ID, ["a"], token="w", lease_s=60)
    clock.now_s += 86_400
    assert ledger.reap(ID, queued=(), lease_s=60) == Reaped(1, 0, 0)
    assert ledger.settle(ID, [Settlement(id="a", outcome=SettleOutcome.DELIVERED)], token="w").count == 1
    assert ledger.status(ID).waiting == 0


def test_delivery_that_crashes_workers_becomes_a_dead_letter(ledger: Ledger, clock: Clock) -> None:
    commit(ledger, ["a"])
    for _ in range(10):
        release(ledger)
        ledger.begin(ID, ["a"], token="w", lease_s=1)
        clock.now_s += 2
        reaped = ledger.reap(ID, queued=(), lease_s=60)
    assert reaped == Reaped(1, 0, 1)
    assert ledger.status(ID).totals["dead:worker_lost"] == 1


def test_late_success_counts_and_late_failure_does_not(ledger: Ledger, clock: Clock) -> None:
    commit(ledger, ["a", "b"])
    release(ledger)
    ledger.begin(ID, ["a", "b"], token="w1", lease_s=1)
    clock.now_s += 2
    ledger.reap(ID, queued=(), lease_s=60)
    late = Settlement(id="b", outcome=SettleOutcome.DEAD, reason="http_4xx", header=Header(committed_ms=1))
    assert ledger.settle(ID, [Settlement(id="a", outcome=SettleOutcome.DELIVERED), late], token="w1").count == 1
    status = ledger.status(ID)
    assert (status.waiting, status.dead) == (1, 0)


def test_settle_queues_events_for_the_manager_once(ledger: Ledger) -> None:
    commit(ledger, ["a"])
    release(ledger)
    ledger.begin(ID, ["a"], token="w", lease_s=60)
    settlement = Settlement(id="a", outcome=SettleOutcome.DELIVERED, events=(Event("a:v1", b"{}"),))
    assert ledger.settle(ID, [settlement], token="w").count == 1
    assert ledger.settle(ID, [settlement], token="w").count == 0
    assert ledger.status("manager").waiting == 1


def test_dead_letters_are_listed_replayed_and_discarded(ledger: Ledger, clock: Clock) -> None:
    commit(ledger, ["a", "b", "c"])
    release(ledger)
    for delivery in ledger.begin(ID, ["a", "b", "c"], token="w", lease_s=60):
        header = Header(committed_ms=delivery.header.committed_ms, attempts=7)
        ledger.settle(
            ID, [Settlement(id=delivery.id, outcome=SettleOutcome.DEAD, reason="http_4xx", header=header)], token="w"
        )
    assert [letter.delivery.id for letter in ledger.dead_letters(ID, chunk=2)] == ["a", "b", "c"]
    clock.now_s += 100
    assert ledger.replay(ID, ["a", "b", "nobody"], interval_s=10) == 2
    assert release(ledger) == [["a"]]
    (again,) = ledger.begin(ID, ["a"], token="w", lease_s=60)
    assert (again.header.attempts, again.header.replays) == (0, 1)
    assert (again.header.budget_start_ms, again.header.replayed_ms) == (0, ledger.now_ms())
    clock.now_s += 10
    assert release(ledger) == [["b"]]
    (paced,) = ledger.begin(ID, ["b"], token="w", lease_s=60)
    assert paced.header.replayed_ms == ledger.now_ms()
    assert ledger.discard(ID, ["c", "b"]) == 1
    status = ledger.status(ID)
    assert (status.dead, status.totals["discarded"], status.totals["dead_bytes"]) == (0, 1, 0)


def bury_one(ledger: Ledger, delivery_id: str) -> None:
    (delivery,) = ledger.begin(ID, [delivery_id], token="w", lease_s=60)
    header = Header(committed_ms=delivery.header.committed_ms, attempts=7, completed_calls=("ip",))
    ledger.settle(
        ID, [Settlement(id=delivery_id, outcome=SettleOutcome.DEAD, reason="http_4xx", header=header)], token="w"
    )


def test_dead_letters_move_to_another_integration_once(ledger: Ledger) -> None:
    commit(ledger, ["a", "b"])
    release(ledger)
    bury_one(ledger, "a")
    bury_one(ledger, "b")
    ledger.commit(
        "shuffle", node="n", expected="", cursor="c", deliveries=[("b", b"{}")], max_backlog=9, max_backlog_bytes=10**6
    )
    assert ledger.move(ID, ["a", "b", "nobody"], to="shuffle") == 1
    assert (ledger.status(ID).dead, ledger.status("shuffle").waiting) == (1, 2)
    assert ledger.status(ID).totals["moved"] == 1
    ledger.release("shuffle", max_in_flight=9, batch_max=9, lease_s=60, linger_s=0)
    (moved,) = ledger.begin("shuffle", ["a"], token="w", lease_s=60)
    assert (moved.alert, moved.header.attempts, moved.header.replays, moved.header.completed_calls) == (
        b'{"alert":"a"}',
        0,
        1,
        (),
    )


def test_buried_deliveries_stay_readable(ledger: Ledger) -> None:
    commit(ledger, ["a", "b", "c"])
    assert ledger.bury(ID, reason="buried", limit=2) == 2
    assert ledger.bury(ID, reason="buried", limit=2) == 1
    assert ledger.bury(ID, reason="buried") == 0
    letters = list(ledger.dead_letters(ID))
    assert [(one.delivery.id, one.delivery.header.history[-1].reason) for one in letters] == [
        ("a", "buried"),
        ("b", "buried"),
        ("c", "buried"),
    ]
    status = ledger.status(ID)
    assert (status.waiting, status.totals["bytes"], status.totals["dead"]) == (0, 0, 3)


def test_log_replay_is_marked_and_skips_stored_ids(ledger: Ledger) -> None:
    commit(ledger, ["a"])
    again = [("a", b"{}"), ("b", b"{}")]
    assert ledger.commit(
        ID,
        node="replay",
        expected="",
        cursor="c",
        deliveries=again,
        max_backlog=9,
        max_backlog_bytes=10**6,
        replayed=True,
        counters={"read": 2},
    ) == Stored(1)
    totals = ledger.status(ID).totals
    assert (totals["read"], totals["enqueued"], totals["already_queued"]) == (2, 1, 1)
    release(ledger)
    replayed = {d.id: d.header.replays for d in ledger.begin(ID, ["a", "b"], token="w", lease_s=60)}
    assert replayed == {"a": 0, "b": 1}


def test_redis_errors_are_unavailable_or_misconfigured(server: EmbeddedServer) -> None:
    import redis  # noqa: PLC0415 — only for this test's own clients

    with (
        redis.Redis(port=free_port()) as nobody,
        pytest.raises(LedgerUnavailable, match="is unavailable"),
    ):
        Ledger(nobody).cursor(ID, "n")
    with (
        redis.Redis(port=server.port, password="wrong") as stranger,
        pytest.raises(LedgerMisconfigured, match="password"),
    ):
        Ledger(stranger).cursor(ID, "n")
    beyond = connect(server.url.replace("/0", "/99"))
    with beyond, pytest.raises(LedgerMisconfigured, match="no database with this number; set a smaller number"):
        Ledger(beyond).cursor(ID, "n")


def test_redis_that_evicts_keys_is_refused(client: redis.Redis) -> None:
    client.config_set("maxmemory-policy", "allkeys-lru")
    with pytest.raises(LedgerMisconfigured, match="noeviction"):
        Ledger(client).check_server()
    client.config_set("maxmemory-policy", "noeviction")
    assert Ledger(client).check_server() == []
