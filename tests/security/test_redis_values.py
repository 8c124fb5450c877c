"""An attacker who can write the keys of one integration can stop this integration, and nothing else."""

from __future__ import annotations

import logging
import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.broker.dispatcher import ReleaseTarget
from common.errors import LedgerDamaged
from common.ledger import Limits, Notifications, Reap, Release, Settlement, SettleOutcome
from common.ledger.keys import KEY_NAMES, digest_key, groups_key, keys_of, keys_with_cursor, limit_keys
from common.ledger.record import MAX_TIME_MS, Header, encode_header
from common.outcome import Reason
from common.settings.rate_limit import parse_rate_limit
from ops.monitoring.snapshot import take_snapshot
from tests.support.fakes import Clock, policy
from tests.support.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Callable

    import redis

BAD: Final = "bad"
OTHERS: Final = ("good", "manager", "other")
LIMITS: Final = tuple(map(parse_rate_limit, ("100/s burst 100", "1000/min", "1000/h", "1000/day")))
POLICY: Final = policy(rate_limits=LIMITS)
BUSY: Final = ("waiting", "released", "begun", "retried", "dead")
"""The states that have one delivery each when the damage occurs."""


def pace(integration_id: str) -> Limits:
    return Limits.of(POLICY, f"T-{integration_id}")


def wrong_values(key: str) -> dict[str, Callable[[redis.Redis], object]]:
    """Return, by type, a function that gives the key a value of this type."""
    return {
        "string": lambda client: client.set(key, "x"),
        "list": lambda client: client.rpush(key, "x"),
        "zset": lambda client: client.zadd(key, {"x": 1}),
        "hash": lambda client: client.hset(key, "x", "y"),
    }


KEYS: Final = [*keys_with_cursor(BAD), groups_key(BAD), digest_key(BAD), *limit_keys(f"T-{BAD}")]
WRONG: Final = [(key, kind) for key in KEYS for kind in wrong_values(key)]


def put(client: redis.Redis, key: str, kind: str) -> bool:
    """Give the key this type. Return False if it already had the type."""
    if client.type(key) == kind.encode():
        return False
    client.delete(key)
    wrong_values(key)[kind](client)
    return True


class World:
    """Integrations, a worker and a manual clock. `arrived` are the delivered ids."""

    def __init__(self, client: redis.Redis) -> None:
        self.client, self.clock = client, Clock()
        self.ledger = Ledger(client, clock=self.clock)
        self.arrived: dict[str, set[str]] = {}
        self.stopped: set[str] = set()

    def commit(self, integration_id: str, *ids: str) -> None:
        self.ledger.commit(
            integration_id,
            node="n",
            expected=self.ledger.cursor(integration_id, "n"),
            cursor=f"behind {ids[-1]}",
            deliveries=[(one, b'{"id":"%s"}' % one.encode()) for one in ids],
            max_backlog=10**6,
            max_backlog_bytes=10**9,
        )

    def release(self, *integration_ids: str) -> dict[str, list[str]]:
        terms = {
            one: ReleaseTarget.of(one, POLICY, f"T-{one}").release_params(coalesce=False) for one in integration_ids
        }
        tasks = self.ledger.release_all(terms)
        return {one: [delivery for task in of_one for delivery in task] for one, of_one in tasks.items()}

    def settle(self, integration_id: str, *settlements: Settlement) -> None:
        self.ledger.settle(
            integration_id,
            settlements,
            token="w",
            limits=pace(integration_id),
            notifications=Notifications(interval_s=60, lag_s=900),
        )

    def begin(self, integration_id: str, ids: list[str]) -> list[Any]:
        return self.ledger.begin(integration_id, ids, token="w", lease_s=60, limits=pace(integration_id))

    def every_state(self, integration_id: str) -> None:
        """Bring one delivery into each state. Its id is the name of the state."""
        for state in ("dead", "retried", "begun", "released"):
            self.commit(integration_id, state)
            ids = self.release(integration_id)[integration_id]
            assert ids == [state]
            if state != "released":
                self.begin(integration_id, ids)
            if state in {"dead", "retried"}:
                header = Header(committed_ms=1, attempts=1)
                outcome = "dead" if state == "dead" else "retry"
                one = Settlement(
                    id=state, outcome=SettleOutcome(outcome), reason="http_4xx", delay_ms=10, header=header
                )
                self.settle(integration_id, one)
        self.commit(integration_id, "waiting")

    def round(self, *integration_ids: str) -> None:
        """Do one round of a worker's work: reap, release, deliver."""
        self.clock.now_s += 61
        telling = Notifications(interval_s=60, lag_s=900)
        self.ledger.overdue(integration_ids)
        self.ledger.reap_all({one: Reap(queued=(), lease_s=2, notifications=telling) for one in integration_ids})
        for integration_id, ids in self.release(*integration_ids).items():
            try:
                begun = self.begin(integration_id, ids)
                self.settle(integration_id, *(Settlement(id=one.id, outcome=SettleOutcome.DELIVERED) for one in begun))
            except LedgerDamaged as error:
                self.stopped.add(error.integration_id)
            else:
                self.arrived.setdefault(integration_id, set()).update(one.id for one in begun)

    def members(self) -> set[bytes]:
        """Return the ids that are in any state."""
        found: set[bytes] = set()
        for part in ("waiting", "released", "dead"):
            key = f"courier:{{{BAD}}}:{part}"
            if self.client.type(key) == b"zset":
                found |= {one for one, _ in self.client.zscan_iter(key)}
        return found


@pytest.fixture
def world(client: redis.Redis) -> World:
    return World(client)


@pytest.mark.parametrize(("key", "kind"), WRONG)
def test_a_key_of_the_wrong_type_stops_only_its_integration(world: World, key: str, kind: str) -> None:
    world.every_state(BAD)
    for other in OTHERS:
        world.commit(other, *map(str, range(20)))
    put(world.client, key, kind)
    for _ in range(3):
        world.round(BAD, *OTHERS)
    for other in OTHERS:
        assert world.arrived[other] >= set(map(str, range(20)))
    assert world.stopped <= {BAD}
    assert take_snapshot(world.client).integrations.keys() >= {"manager"}


@pytest.mark.parametrize(("key", "kind"), WRONG)
def test_a_key_of_the_wrong_type_loses_no_delivery(world: World, key: str, kind: str) -> None:
    world.every_state(BAD)
    held = {one: world.client.dump(one) for one in keys_with_cursor(BAD)}
    if not put(world.client, key, kind):
        return
    before = world.members()
    world.clock.now_s += 120
    ledger, header = world.ledger, Header(committed_ms=1, attempts=1)
    retry = Settlement(id="begun", outcome=SettleOutcome.RETRY, reason="http_4xx", header=header)
    moves: list[Callable[[], object]] = [
        lambda: world.commit(BAD, "new"),
        lambda: world.release(BAD),
        lambda: world.begin(BAD, ["released"]),
        lambda: world.settle(BAD, retry),
        lambda: ledger.reap(BAD, queued=(), lease_s=1),
        lambda: ledger.renew(BAD, {"begun": "w"}, lease_s=60),
        lambda: ledger.replay(BAD, ["dead"]),
        lambda: ledger.bury(BAD, reason="buried"),
        lambda: ledger.move(BAD, ["dead"], to="other"),
    ]
    damaged = set[tuple[str, ...]]()
    for move in moves:
        try:
            move()
        except LedgerDamaged as error:
            damaged.add(error.keys)
    assert damaged <= {(key,)}
    left = world.members() | {one for one, _ in world.client.zscan_iter("courier:{other}:waiting")}
    assert before <= left
    if copy := held.get(key):  # what an operator does who has a copy: all that was there goes on
        world.client.restore(key, 0, copy, replace=True)
        for _ in range(3):
            world.round(BAD)
        dead = {letter.delivery.id for letter in ledger.dead_letters(BAD)}
        assert world.arrived.get(BAD, set()) | dead >= {"waiting", "released", "begun", "retried"}


@pytest.mark.parametrize("part", [part for part in KEY_NAMES if part != "cursor"])
def test_deliveries_that_could_not_be_settled_are_not_sent(world: World, part: str) -> None:
    world.commit(BAD, "a")
    world.client.delete(f"courier:{{{BAD}}}:{part}")
    world.client.set(f"courier:{{{BAD}}}:{part}", "x")
    released = world.release(BAD).get(BAD, [])
    with suppress(LedgerDamaged):
        assert world.begin(BAD, released) == []


@pytest.mark.parametrize("part", KEY_NAMES)
def test_damaged_keys_of_manager_stop_only_deliveries_with_events(world: World, part: str) -> None:
    world.client.set(f"courier:{{manager}}:{part}", "x")
    world.commit("good", *map(str, range(20)))
    (first, *_) = world.release("good")["good"]
    world.begin("good", [first])
    world.settle(
        "good", Settlement(id=first, outcome=SettleOutcome.DEAD, reason="http_4xx", header=Header(committed_ms=1))
    )
    world.round("good", "manager")
    assert len(world.arrived["good"]) == 19


ODD: Final = (b"", b"abc", b"-1", b"inf", b"nan", b"1e300", b"99999999999999999999", b"\xff", b"{}", b"0x7f", b"1 2 3")
CONTROL: Final = (
    "paused_ms",
    "breaker",
    "breaker_until_ms",
    "probe",
    "target",
    "limits",
    "clock_ms",
    "well_ms",
    "failures",
    "opens",
    "window_ms",
    "sampled",
    "sick",
    "sampled_before",
    "sick_before",
    "dead_told_ms",
    "dead_untold",
    "dead_last",
    "lag_looked_ms",
    "lag_told_ms",
    "lags",
    "last_error",
    "last_error_ms",
)
FIELDS: Final = [
    *((f"courier:{{{BAD}}}:control", field) for field in CONTROL),
    *((f"courier:{{{BAD}}}:totals", field) for field in ("committed", "bytes", "dead_bytes", "delivered", "odd")),
    *((f"courier:{{{BAD}}}:spent", field) for field in BUSY),
    *(
        (f"courier:limits:{{T-{BAD}}}", field)
        for field in ("pause_until_ms", "pause_ms", "min", "h", "day", "day_used")
    ),
    (f"courier:limits:{{T-{BAD}}}", "s:100:100"),
]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(values=st.dictionaries(st.sampled_from(FIELDS), st.sampled_from(ODD), min_size=1))
def test_malformed_fields_count_as_absent(client: redis.Redis, values: dict[tuple[str, str], bytes]) -> None:
    client.flushall()
    world = World(client)
    world.every_state(BAD)
    for (key, field), value in values.items():
        client.hset(key, field, value)
    world.ledger.status(BAD)
    world.ledger.room(BAD, max_backlog=10, max_backlog_bytes=10)
    take_snapshot(client)
    world.ledger.resume(BAD)
    world.commit(BAD, "new")
    for _ in range(6):
        world.round(BAD)
    assert world.arrived[BAD] == {"waiting", "released", "begun", "retried", "new"}
    assert world.ledger.status(BAD).damaged == ()


@pytest.mark.parametrize("entry", ODD)
@pytest.mark.parametrize("key", limit_keys(f"T-{BAD}")[1:])
def test_a_malformed_rate_limit_entry_blocks_nothing(world: World, key: str, entry: bytes) -> None:
    world.every_state(BAD)
    world.client.lpush(key, entry)
    world.client.rpush(key, entry)
    world.ledger.status(BAD)
    world.round(BAD)
    world.round(BAD)
    assert world.arrived[BAD] == {"waiting", "released", "begun", "retried"}


HEADERS: Final = {
    "no JSON": b"junk",
    "empty": b"",
    "no header at all": None,
    "array": b"[1]",
    "text": b'"x"',
    "null": b"null",
    "no time": b"{}",
    "time is text": b'{"committed_ms":"1"}',
    "time is null": b'{"committed_ms":null}',
    "time is huge": b'{"committed_ms":1e400}',
    "time has 100 digits": b'{"committed_ms":' + b"9" * 100 + b"}",
    "negative": b'{"committed_ms":-1}',
    "attempts is text": b'{"committed_ms":1,"attempts":"x"}',
    "attempts is a list": b'{"committed_ms":1,"attempts":[]}',
    "lost is an object": b'{"committed_ms":1,"lost":{}}',
    "attempts are huge": b'{"committed_ms":1,"attempts":99999999999999999999}',
    "history is a number": b'{"committed_ms":1,"history":5}',
    "history holds nonsense": b'{"committed_ms":1,"history":[[1]]}',
    "done is a number": b'{"committed_ms":1,"done":5}',
    "fallback is a number": b'{"committed_ms":1,"fallback_of":5}',
    "not UTF-8": b'{"committed_ms":1,"done":["\xff"]}',
    "deep": b'{"committed_ms":1,"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "a megabyte": b'{"committed_ms":1,"history":["' + b"x" * 2**20 + b'"]}',
}


@pytest.mark.parametrize("name", HEADERS)
def test_an_unreadable_record_becomes_a_dead_letter_with_its_bytes(world: World, name: str) -> None:
    world.every_state(BAD)
    world.commit(BAD, "good")
    header = HEADERS[name]
    record = b'{"id":1}' if header is None else header + b'\n{"id":1}'
    world.client.hset(f"courier:{{{BAD}}}:records", mapping=dict.fromkeys(BUSY, record))
    world.ledger.status(BAD)
    take_snapshot(world.client)
    for _ in range(4):
        world.round(BAD)
    assert world.arrived[BAD] == {"good"}
    letters = {letter.delivery.id: letter for letter in world.ledger.dead_letters(BAD)}
    assert letters.keys() == set(BUSY)
    for state, letter in letters.items():
        assert letter.problem
        assert [attempt.reason for attempt in letter.delivery.header.history] == [Reason.UNREADABLE]
        assert letter.delivery.alert.endswith(b'{"id":1}')
        if state != "begun":  # there the end of the lease is counted, if the header can be read as far as that
            assert letter.delivery.alert == record
    assert world.ledger.status(BAD).totals["dead:unreadable"] >= len(BUSY) - 2  # or `begun` had had enough
    assert world.ledger.discard(BAD, list(BUSY)) == len(BUSY)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(field=st.sampled_from(Header.__struct_fields__), value=_JSON, state=st.sampled_from(BUSY))
def test_every_delivery_ends_whatever_its_header_contains(
    client: redis.Redis, field: str, value: Any, state: str
) -> None:
    client.flushall()
    world = World(client)
    world.every_state(BAD)
    header = {"committed_ms": 1, field: value}
    client.hset(f"courier:{{{BAD}}}:records", state, msgspec.json.encode(header) + b"\n{}")
    for _ in range(4):
        world.round(BAD)
        world.ledger.status(BAD)
        take_snapshot(client)
    dead = {letter.delivery.id for letter in world.ledger.dead_letters(BAD)}
    assert world.arrived[BAD] | dead == set(BUSY)
    world.ledger.replay(BAD, sorted(dead))
    world.round(BAD)


@pytest.mark.parametrize("odd", [b"\xff", b"", b"x" * 10_000, b"\xed\xa0\x80"])
def test_a_delivery_id_that_is_not_text_becomes_a_dead_letter(world: World, odd: bytes) -> None:
    world.commit(BAD, "a")
    world.client.hset(f"courier:{{{BAD}}}:records", odd, encode_header(Header(committed_ms=1)) + b"\n{}")
    world.client.zadd(f"courier:{{{BAD}}}:waiting", {odd: 1})
    world.round(BAD)
    assert world.arrived[BAD] == {"a"}
    (letter,) = world.ledger.dead_letters(BAD)
    assert world.ledger.discard(BAD, [letter.delivery.id]) == 1


@pytest.mark.parametrize("score", [float("inf"), float("-inf"), -5.0, 1e300, 0.5])
@pytest.mark.parametrize("part", ["waiting", "released", "dead"])
def test_a_malformed_score_affects_only_its_delivery(world: World, part: str, score: float) -> None:
    world.every_state(BAD)
    world.client.zadd(f"courier:{{{BAD}}}:{part}", {part: score})
    world.ledger.status(BAD)
    take_snapshot(world.client)
    for _ in range(3):
        world.round(BAD)
    assert world.arrived[BAD] >= {"waiting", "released", "begun", "retried"} - {part}
    (letter,) = world.ledger.dead_letters(BAD)
    assert 0 <= letter.died_ms <= MAX_TIME_MS


def test_damage_is_logged_once_with_its_key_and_once_when_repaired(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "courier.ledger")
    world.commit(BAD, "a")
    world.client.set(f"courier:{{{BAD}}}:leases", "x")
    for _ in range(3):
        world.round(BAD, *OTHERS)
    world.client.delete(f"courier:{{{BAD}}}:leases")
    for _ in range(3):
        world.round(BAD, *OTHERS)
    assert [(record.levelname, vars(record)["integration"]) for record in caplog.records] == [
        ("ERROR", BAD),
        ("INFO", BAD),
    ]
    assert f"courier:{{{BAD}}}:leases" in caplog.records[0].message
    assert world.arrived[BAD] == {"a"}


def test_status_names_damaged_keys_and_the_metrics_count_them(world: World) -> None:
    for key in keys_of("manager"):
        world.client.set(key, "x")
    assert set(world.ledger.status("manager").damaged) == set(keys_of("manager"))
    assert len(take_snapshot(world.client).integrations["manager"].damaged) == len(keys_of("manager"))


def test_a_single_release_skips_a_damaged_integration(world: World) -> None:
    world.client.set(f"courier:{{{BAD}}}:waiting", "x")
    how = Release(max_in_flight=9, batch_max=9, lease_s=60, linger_s=1)
    assert world.ledger.release_all({BAD: how}) == {}
    with pytest.raises(LedgerDamaged, match="CourierLedgerDamaged"):
        world.ledger.begin(BAD, ["a"], token="w", lease_s=60) or world.ledger.bury(BAD, reason="buried")


def test_the_runbook_restores_deliveries_after_a_key_was_deleted(world: World) -> None:
    page = Path(__file__).parents[2] / "ops/docs/runbooks/CourierLedgerDamaged.md"
    (script,) = re.findall(r'EVAL "([^"]+)"', page.read_text(encoding="utf-8"))
    world.every_state(BAD)
    records, waiting, released, dead, *_ = keys_of(BAD)
    world.client.set(waiting, "x")
    world.round(BAD)
    world.client.delete(waiting)
    world.client.eval(script, 4, records, waiting, released, dead)
    for _ in range(3):
        world.round(BAD)
    assert world.arrived[BAD] == {"waiting", "released", "begun", "retried"}
    assert [letter.delivery.id for letter in world.ledger.dead_letters(BAD)] == ["dead"]
