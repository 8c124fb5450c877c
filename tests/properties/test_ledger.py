"""Compares the ledger with a simple model of it, on a real Redis server.

After any operations in any order: each delivery is in exactly one state and none is lost, counters and bytes add up, no
window exceeds its limit, no more than the cap is in flight, and a blocked integration releases nothing. Deliveries that
have failed let the others go first for a while, and are no probe while there is another. Each dead letter reaches the
fallback once. The manager is notified once of each dead letter and each time the breaker opens from closed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from common.integration import MANAGER_ID
from common.ledger import (
    Breaker,
    Commit,
    DeadLetter,
    Delivery,
    Header,
    LastResponse,
    Limits,
    Notifications,
    Settlement,
    SettleOutcome,
    Stale,
    Stored,
    Unaccounted,
    unaccounted,
)
from common.ledger.keys import FAILED_OFFSET_MS
from common.ledger.types import Reap
from common.settings.rate_limit import parse_rate_limit
from tests.support.examples import EXAMPLES
from tests.support.fakes import Clock
from tests.support.ledger import Ledger

if TYPE_CHECKING:
    import redis

    from ops.standalone.embedded_redis import EmbeddedServer

ID, OTHER = "slack", "other"
CAP, LEASE_S, MOST_LOST, MOST_ATTEMPTS, YIELDS_MS = 8, 60.0, 10, 12, 5000
RATE, BURST, A_MINUTE, AN_HOUR, A_DAY = 2, 4, 6, 30, 40
LIMITS = (f"{RATE}/s burst {BURST}", f"{A_MINUTE}/min", f"{AN_HOUR}/h", f"{A_DAY}/day")
POLICY = Limits(
    target="T",
    rate_limits=tuple(map(parse_rate_limit, LIMITS)),
    retry_after_max_s=100,
    yields_s=YIELDS_MS / 1000,
    breaker=Breaker(failures=3, ratio=60, samples=6, window_s=120, pause_s=10, pause_max_s=40),
)
NOTIFICATIONS = Notifications(fallback="backup", interval_s=600)
REASONS = {"failure": "http_5xx", "refusal": "unauthorized", "neutral": "rate_limited", "": "internal"}
WORK = {
    "delivered": ("delivered", "success", 0),
    "failed": ("retry", "failure", 0),
    "failed again": ("retry", "failure", 0),
    "refused": ("retry", "refusal", 0),
    "pause": ("retry", "neutral", 7),
    "buried": ("dead", "failure", 0),
}
ANSWER = LastResponse(1_700_000_000_000, 500, "</p>\n")
DAY_MS = 86_400_000


@dataclass
class One:
    """A delivery in the model. `at_ms` is due time, lease expiry or time of death."""

    state: str
    at_ms: int
    token: str = ""
    released_ms: int = 0
    attempts: int = 0
    lost: int = 0

    @property
    def failed(self) -> bool:
        return self.attempts > self.lost

    @property
    def score(self) -> int:
        """The score in its sorted set."""
        return self.at_ms + (FAILED_OFFSET_MS if self.state == "waiting" and self.failed else 0)


@dataclass
class ModelLimits:
    """The tokens. `went` has every release that was not put back; the scripts count at least as many."""

    now_ms: int
    went: list[int] = field(default_factory=list)
    known: dict[int, list[int]] = field(default_factory=lambda: {60_000: [], 3_600_000: []})
    days: list[int] = field(default_factory=list)
    bucket: Fraction = Fraction(BURST)
    bucket_ms: int = 0

    def left(self, now_ms: int) -> int:
        self.bucket = min(Fraction(BURST), self.bucket + Fraction(RATE * (now_ms - self.bucket_ms), 1000))
        self.bucket_ms = now_ms
        self.known = {width: [at for at in went if at > now_ms - width] for width, went in self.known.items()}
        minute, hour = self.known.values()
        today = self.days.count(now_ms // DAY_MS)
        return min(int(self.bucket), A_MINUTE - len(minute), AN_HOUR - len(hour), A_DAY - today)

    def spend(self, now_ms: int) -> None:
        self.bucket -= 1
        self.went.append(now_ms)
        self.days.append(now_ms // DAY_MS)
        for went in self.known.values():
            went.append(now_ms)

    def refund(self, at_ms: int, now_ms: int) -> None:
        """Refund the oldest token of each window that still contains the release, and that of the same day."""
        self.left(now_ms)
        self.went.remove(at_ms)
        for width, went in self.known.items():
            if at_ms > now_ms - width and went:
                went.pop(0)
        if at_ms // DAY_MS == now_ms // DAY_MS:
            self.days.remove(at_ms // DAY_MS)

    def check(self) -> None:
        """Check each window that ends with a release: if none exceeds its limit, no window does."""
        for at in self.went:
            assert sum(at - 60_000 < one <= at for one in self.went) <= A_MINUTE
            assert sum(at - 3_600_000 < one <= at for one in self.went) <= AN_HOUR
            assert sum(one // DAY_MS == at // DAY_MS for one in self.went) <= A_DAY
            for since in self.went:
                if since <= at:
                    between = sum(since <= one <= at for one in self.went)
                    assert between <= BURST + Fraction(RATE * (at - since), 1000)


NOT_CONTACTED = {"skipped", "returned", "postponed"}
"""Outcomes without contact to the target: their tokens are refunded."""


@dataclass
class Health:
    """The circuit breaker of the model."""

    state: str = "closed"
    until_ms: int = 0
    opens: int = 0
    failures: int = 0
    probe: str = ""
    window_ms: int = 0
    windows: list[list[bool]] = field(default_factory=lambda: [[], []])

    def judge(self, delivery_id: str, signal: str, now_ms: int, *, again: bool) -> str:
        """Judge one outcome. If the delivery has failed before (`again`), only a success counts."""
        failed = signal in {"failure", "refusal"}
        if self.state == "closed" and (signal == "success" or (failed and not again)):
            return self.sample(signal, now_ms)
        if self.state != "half-open" or delivery_id != self.probe or not signal:
            return ""
        if failed:
            return self.open(now_ms)
        self.__init__()  # type: ignore[misc]  # reset all fields
        return "closed"

    def sample(self, signal: str, now_ms: int) -> str:
        width, breaker = round(POLICY.breaker.window_s * 1000), POLICY.breaker
        age = now_ms - self.window_ms
        if age >= width:
            near = age < 2 * width
            self.windows = [[], self.windows[0] if near else []]
            self.window_ms = self.window_ms + width if near else now_ms
        self.failures = 0 if signal == "success" else self.failures + 1
        if signal != "refusal":
            self.windows[0].append(signal == "failure")
        both = [*self.windows[0], *self.windows[1]]
        too_many = len(both) >= breaker.samples and 100 * sum(both) >= breaker.ratio * len(both)
        opens = self.failures >= breaker.failures or (too_many and signal == "failure")
        return self.open(now_ms) if opens and signal != "success" else ""

    def open(self, now_ms: int) -> str:
        pause_s = min(POLICY.breaker.pause_max_s, POLICY.breaker.pause_s * 2**self.opens)
        self.__init__(state="open", until_ms=now_ms + round(pause_s * 1000), opens=self.opens + 1)  # type: ignore[misc]  # as above
        return "open"


class Machine(RuleBasedStateMachine):
    """Runs each operation on the ledger and on its model."""

    def __init__(self, client: redis.Redis) -> None:
        super().__init__()
        for key in client.scan_iter("courier:*"):
            client.delete(key)
        self.client, self.clock = client, Clock()
        self.ledger = Ledger(client, clock=self.clock)
        self.all: dict[str, One] = {}
        self.gone: set[str] = set()
        self.limits, self.health = ModelLimits(self.now_ms), Health()
        self.fell_back: set[str] = set()
        self.hold_ends: set[int] = set()
        self.first_opens, self.last_success_ms = 0, 0
        self.paused, self.target_until_ms, self.cursor, self.count = False, 0, 0, 0
        self.totals = dict.fromkeys(
            ("committed", "delivered", "skipped", "retried", "dead", "put_back", "postponed", "replayed"), 0
        )
        self.totals |= dict.fromkeys(("discarded", "lost", "released_again", "breaker_opened", "breaker_closed"), 0)
        self.totals |= dict.fromkeys(("imported", "expired", "moved"), 0)
        self.moved: set[str] = set()

    @property
    def now_ms(self) -> int:
        return round(self.clock() * 1000)

    def head_ms(self, *, failed: bool) -> int:
        """Return the due time of a delivery that is put back: before all others that have, or have not, failed."""
        waiting = (one.at_ms for one in self.all.values() if one.state == "waiting" and one.failed == failed)
        return min([self.now_ms, *waiting])

    def ids(self, state: str) -> list[str]:
        return sorted(i for i, one in self.all.items() if one.state == state)

    def some(self, data: st.DataObject, state: str, most: int = 6) -> list[str]:
        ids = self.ids(state)
        subset = st.lists(st.sampled_from(ids), max_size=most, unique=True) if ids else st.just([])
        return data.draw(st.one_of(st.just(ids[:most]), subset))

    @property
    def blocked(self) -> bool:
        return self.paused or self.target_until_ms > self.now_ms

    @initialize()
    def begin_somewhere_in_the_day(self) -> None:
        self.clock.now_s = 1_700_006_400.0 - 300  # five minutes before 00:00 UTC
        self.commit(count=30, stale=False, again=False, window_ms=0, kept_back={})

    @rule(
        count=st.integers(0, 12),
        stale=st.booleans(),
        again=st.booleans(),
        window_ms=st.sampled_from([0, 0, 5000, 61_000, 3_600_000]),
        kept_back=st.dictionaries(st.sampled_from(["not_matched", "excepted", "silenced"]), st.integers(1, 9)),
    )
    def commit(self, count: int, stale: bool, again: bool, window_ms: int, kept_back: dict[str, int]) -> None:
        first = max(0, self.count - 2) if again else self.count
        ids = [f"{n:04}" for n in range(first, self.count + count)]
        expected = "elsewhere" if stale else str(self.cursor or "")
        held = {i: (self.now_ms // window_ms + 1) * window_ms for i in ids[::2] if window_ms}
        terms = Commit(
            node="n",
            expected=expected,
            cursor=str(self.cursor + 1),
            deliveries=[(i, b'{"n":' + i.encode() + b"}") for i in ids],
            max_backlog=10_000,
            max_backlog_bytes=10**9,
            held_until_ms=held,
            counters=kept_back | {"read": len(ids) + sum(kept_back.values())},
        )
        result = self.ledger.commit_all({ID: terms}, {})[0][ID]
        if stale:
            assert result == Stale(str(self.cursor or ""))
            return
        new = [i for i in ids if i not in self.all]
        assert result == Stored(len(new))
        for i in new:
            self.all[i] = One("waiting", held.get(i, self.now_ms))
            self.gone.discard(i)
            self.hold_ends |= {held[i]} if i in held else set()
        self.cursor, self.count = self.cursor + 1, self.count + count
        self.totals["committed"] += len(new)

    @property
    def held(self) -> list[One]:
        """The deliveries that are held: those with the due time of a hold, whatever gave it to them."""
        ends = {ms for ms in self.hold_ends if ms > self.now_ms}
        return [one for one in self.all.values() if one.state == "waiting" and not one.failed and one.at_ms in ends]

    @rule(limit=st.integers(1, 10))
    def let_go(self, limit: int) -> None:
        held, total = self.held, 0
        while changed := self.ledger.let_go(ID, limit=limit):
            assert changed <= limit
            total += changed
        assert total == len(held)
        for one in held:
            one.at_ms = self.now_ms

    @rule(ms=st.sampled_from([1, 100, 499, 500, 1000, 5000, 10_000, 30_000, 59_999, 60_000, 61_000, 1_800_000]))
    def pass_time(self, ms: int) -> None:
        self.clock.now_s = (self.now_ms + ms) / 1000

    @rule()
    def release(self) -> None:
        tasks = self.ledger.release(ID, max_in_flight=CAP, batch_max=4, lease_s=LEASE_S, linger_s=0, limits=POLICY)
        got = [i for task in tasks for i in task]
        assert got == self.due()[: self.may_go()]
        if not got:
            return
        for i in got:
            self.limits.spend(self.now_ms)
            self.all[i] = One("released", self.now_ms + 60_000, "", self.now_ms, self.all[i].attempts, self.all[i].lost)
        if self.health.state != "closed":
            self.health.state, self.health.until_ms, self.health.probe = "half-open", 0, got[0]

    def due(self) -> list[str]:
        """Return the due deliveries in the order of release: the newest first if the breaker is not closed."""
        due = [(one, i) for i, one in self.all.items() if one.state == "waiting" and one.at_ms <= self.now_ms]
        if self.health.state == "closed":
            return [
                i for one, i in sorted(due, key=lambda o: (o[0].at_ms + YIELDS_MS * o[0].failed, o[0].failed, o[1]))
            ]
        return [i for one, i in sorted(due, key=lambda o: (not o[0].failed, o[0].at_ms, o[1]), reverse=True)]

    def may_go(self) -> int:
        health, left = self.health, self.limits.left(self.now_ms)
        probing = health.state == "half-open" and health.probe in self.ids("released")
        if self.blocked or probing or (health.state == "open" and health.until_ms > self.now_ms):
            return 0
        return max(0, min(left, CAP - len(self.ids("released")), CAP if health.state == "closed" else 1))

    @rule(data=st.data(), token=st.sampled_from(["w1", "w2"]))
    def begin(self, data: st.DataObject, token: str) -> None:
        others = [*self.some(data, "waiting", 1), *self.some(data, "dead", 1), "nobody"]
        self.begin_these([*self.some(data, "released", CAP), *others], token)

    def begin_these(self, ids: list[str], token: str) -> None:
        began = self.ledger.begin(ID, ids, token=token, lease_s=LEASE_S, limits=POLICY)
        free = [i for i in ids if i in self.all and self.all[i].state == "released" and not self.all[i].token]
        stopped = self.blocked or self.health.state == "open"
        taken = [i for i in free if not stopped and (self.health.state == "closed" or i == self.health.probe)]
        assert [d.id for d in began] == taken
        assert {d.last_success_ms for d in began} <= {self.last_success_ms}
        for i in taken:
            self.all[i].token, self.all[i].at_ms = token, self.now_ms + 60_000
        back = [i for i in free if i not in taken]
        heads = {failed: self.head_ms(failed=failed) for failed in (False, True)}
        for i in back:
            self.limits.refund(self.all[i].released_ms, self.now_ms)
            self.all[i].state, self.all[i].at_ms = "waiting", heads[self.all[i].failed]
        self.totals["put_back"] += len(back)

    @rule(
        data=st.data(),
        outcome=st.sampled_from(["delivered", "skipped", "retry", "dead", "returned", "postponed"]),
        late=st.booleans(),
    )
    def settle(self, data: st.DataObject, outcome: str, late: bool) -> None:
        ids = [i for i in self.ids("released") if self.all[i].token]
        if not ids:
            return
        i = data.draw(st.sampled_from(ids))
        signal = {"delivered": "success", "skipped": ""}.get(outcome) or data.draw(st.sampled_from(sorted(REASONS)))
        signal = "" if outcome in NOT_CONTACTED else signal
        pause_s = data.draw(st.sampled_from([0, 0, 5, 1000])) if signal == "neutral" else 0
        self.settle_one(i, outcome, signal, pause_s, "somebody" if late else self.all[i].token)

    def settle_one(self, i: str, outcome: str, signal: str, pause_s: int, token: str) -> None:
        over, one = outcome in {"delivered", "skipped"}, self.all[i]
        header = (
            None
            if over or outcome == "returned"
            else Header(
                committed_ms=1,
                attempts=one.attempts + (outcome != "postponed"),
                lost_attempts=one.lost,
                response=ANSWER,
            )
        )
        reason = {"delivered": "", "skipped": "no_file_hash"}.get(outcome) or REASONS.get(signal, "")
        settlement = Settlement(
            id=i,
            outcome=SettleOutcome(outcome),
            reason=reason,
            delay_ms=2000,
            pause_ms=pause_s * 1000,
            header=header,
            contacted=outcome not in NOT_CONTACTED,
        )
        settled = self.ledger.settle(ID, [settlement], token=token, limits=POLICY, notifications=NOTIFICATIONS)
        counts = over or token == one.token
        assert settled.count == int(counts)
        if not counts:
            assert settled.breaker is None
            return
        assert settled.breaker == (self.health.judge(i, signal, self.now_ms, again=one.failed) or None)
        self.last_success_ms = self.now_ms if signal == "success" else self.last_success_ms
        if settled.breaker:
            self.totals["breaker_opened" if settled.breaker == "open" else "breaker_closed"] += 1
            self.first_opens += settled.breaker == "open" and self.health.opens == 1
        if pause_s:
            self.target_until_ms = max(self.target_until_ms, self.now_ms + min(pause_s, 100) * 1000)
        assert settled.is_blocked == (self.blocked or self.health.state != "closed")
        self.totals[{"retry": "retried", "returned": "put_back"}.get(outcome, outcome)] += 1
        if outcome in NOT_CONTACTED:
            self.limits.refund(one.released_ms, self.now_ms)
        if over:
            del self.all[i]
            self.gone.add(i)
        elif outcome == "postponed":
            self.all[i] = One("waiting", self.now_ms + 2000, attempts=one.attempts, lost=one.lost)
        elif outcome == "returned":
            self.all[i] = One("waiting", self.head_ms(failed=one.failed), attempts=one.attempts, lost=one.lost)
        elif outcome == "retry":
            self.all[i] = One("waiting", self.now_ms + 2000, attempts=one.attempts + 1, lost=one.lost)
        else:
            self.all[i] = One("dead", self.now_ms, attempts=one.attempts + 1, lost=one.lost)
            self.fell_back.add(i)

    @rule(
        outcomes=st.lists(st.sampled_from(sorted(WORK)), min_size=1, max_size=CAP),
        ms=st.sampled_from([0, 500, 2000, 11_000, 45_000, 61_000]),
        begun=st.integers(1, CAP),
        rounds=st.integers(1, 4),
    )
    def work(self, outcomes: list[str], ms: int, begun: int, rounds: int) -> None:
        """Act as a worker: begin some of the released deliveries and settle some of those."""
        for _ in range(rounds):
            self.pass_time(ms)
            self.release()
            self.begin_these(self.ids("released")[:begun], "w1")
            taken = [i for i in self.ids("released") if self.all[i].token]
            for i, outcome in zip(taken, outcomes, strict=False):
                self.settle_one(i, *WORK[outcome], self.all[i].token)

    @rule(data=st.data())
    def reap(self, data: st.DataObject) -> None:
        queued = self.some(data, "released", CAP)
        how = Reap(queued=queued, lease_s=LEASE_S, notifications=NOTIFICATIONS, max_attempts=MOST_ATTEMPTS)
        reaped = self.ledger.reap_all({ID: how})[ID]
        lost = again = died = 0
        for i in self.ids("released"):
            one = self.all[i]
            if one.at_ms > self.now_ms:
                continue
            if one.token:
                lost, one.attempts, one.lost, one.token = lost + 1, one.attempts + 1, one.lost + 1, ""
                one.state, one.at_ms = ("dead" if self.is_spent(one) else "waiting"), self.now_ms
                died += one.state == "dead"
                self.fell_back |= {i} if one.state == "dead" else set()
            elif i in queued:
                one.at_ms = self.now_ms + 60_000
            else:
                again, one.state, one.at_ms = again + 1, "waiting", self.now_ms
        assert (reaped.lost, reaped.released_again, reaped.dead) == (lost, again, died)
        self.totals["lost"] += lost
        self.totals["released_again"] += again
        self.totals["dead"] += died

    def is_spent(self, one: One) -> bool:
        return one.lost >= MOST_LOST or one.attempts >= MOST_ATTEMPTS

    @rule(data=st.data())
    def replay(self, data: st.DataObject) -> None:
        ids = self.some(data, "dead")
        assert self.ledger.replay(ID, [*ids, "nobody"], interval_s=1) == len(ids)
        for n, i in enumerate(ids):
            self.all[i] = One("waiting", self.now_ms + n * 1000)
        self.totals["replayed"] += len(ids)

    @rule(data=st.data())
    def discard(self, data: st.DataObject) -> None:
        ids = self.some(data, "dead")
        assert self.ledger.discard(ID, [*ids, *self.some(data, "waiting", 1)]) == len(ids)
        for i in ids:
            del self.all[i]
            self.gone.add(i)
        self.totals["discarded"] += len(ids)

    @rule(data=st.data())
    def move(self, data: st.DataObject) -> None:
        ids = self.some(data, "dead")
        moved = [i for i in ids if i not in self.moved]
        assert self.ledger.move(ID, [*ids, *self.some(data, "waiting", 1)], to=OTHER) == len(moved)
        for i in moved:
            del self.all[i]
            self.gone.add(i)
            self.moved.add(i)
        self.totals["moved"] += len(moved)

    @rule(data=st.data(), ago_ms=st.integers(0, 200_000))
    def import_dead(self, data: st.DataObject, ago_ms: int) -> None:
        """Import some letters that are in the ledger in any state, and some that were deleted or never there."""
        known = [i for state in ("waiting", "released", "dead") for i in self.some(data, state, 1)]
        gone = data.draw(st.lists(st.sampled_from(sorted(self.gone)), max_size=2, unique=True)) if self.gone else []
        died_ms = self.now_ms - ago_ms
        header = Header(committed_ms=1, attempts=3, response=ANSWER)
        letters = [DeadLetter(Delivery(i, header, b"{}"), died_ms) for i in (*known, *gone)]
        assert self.ledger.import_dead(ID, letters) == len(gone)
        for i in gone:
            self.all[i] = One("dead", died_ms, attempts=3)
            self.gone.discard(i)
        self.totals["imported"] += len(gone)

    @rule(
        age_s=st.sampled_from([None, 1, 60, 100]),
        share=st.sampled_from([None, 0, 50, 100]),
        limit=st.sampled_from([1, 1000]),
    )
    def retain(self, age_s: float | None, share: int | None, limit: int) -> None:
        sizes = {i: len(self.client.hget(f"courier:{{{ID}}}:records", i) or b"") for i in self.ids("dead")}
        held = sum(sizes.values())
        most = None if share is None else held * share // 100
        expired = []
        for i in sorted(sizes, key=lambda i: (self.all[i].at_ms, i))[:limit]:
            old = age_s is not None and self.all[i].at_ms < self.now_ms - age_s * 1000
            if not (old or (most is not None and held > most)):
                break
            held -= sizes[i]
            expired.append(i)
        assert self.ledger.retain(ID, max_age_s=age_s, max_bytes=most, limit=limit) == len(expired)
        for i in expired:
            del self.all[i]
            self.gone.add(i)
        self.totals["expired"] += len(expired)

    @rule(stop=st.booleans())
    def pause_or_resume(self, stop: bool) -> None:
        changed = self.ledger.pause(ID) if stop else self.ledger.resume(ID)
        assert changed == (self.paused != stop)
        self.paused = stop

    @invariant()
    def each_delivery_is_in_its_one_state(self) -> None:
        for state in ("waiting", "released", "dead"):
            members: Any = self.client.zrange(f"courier:{{{ID}}}:{state}", 0, -1, withscores=True)
            held = {i.decode(): int(score) for i, score in members}
            assert held == {i: self.all[i].score for i in self.ids(state)}
        leases: Any = self.client.hgetall(f"courier:{{{ID}}}:leases")
        assert {k.decode(): v.decode() for k, v in leases.items()} == {
            i: one.token for i, one in self.all.items() if one.token
        }
        spent: Any = self.client.hkeys(f"courier:{{{ID}}}:spent")
        assert {i.decode() for i in spent} == set(self.ids("released"))

    @invariant()
    def counters_and_bytes_add_up(self) -> None:
        totals = self.ledger.status(ID).totals
        assert {name: totals.get(name, 0) for name in self.totals} == self.totals
        records: Any = self.client.hgetall(f"courier:{{{ID}}}:records")
        sizes = {i.decode(): len(record) for i, record in records.items()}
        assert sizes.keys() == self.all.keys()
        dead = sum(size for i, size in sizes.items() if self.all[i].state == "dead")
        assert (totals.get("bytes", 0), totals.get("dead_bytes", 0)) == (sum(sizes.values()) - dead, dead)

    @invariant()
    def every_delivery_is_accounted_for(self) -> None:
        statuses = self.ledger.statuses([ID, "backup", OTHER, MANAGER_ID])
        assert {one: unaccounted(status) for one, status in statuses.items()} == dict.fromkeys(
            statuses, Unaccounted(alerts=0, deliveries=0)
        )

    @invariant()
    def every_death_is_notified(self) -> None:
        waiting: Any = self.client.zrange("courier:{backup}:waiting", 0, -1)
        assert {i.decode() for i in waiting} == {f"{i}+fallback:{ID}" for i in self.fell_back}
        values: Any = self.client.hvals(f"courier:{{{MANAGER_ID}}}:records")
        events = [json.loads(json.loads(one.partition(b"\n")[2])["message"])["courier"] for one in values]
        untold: Any = self.client.hget(f"courier:{{{ID}}}:control", "dead_untold")
        assert sum(e.get("number", 0) for e in events) + int(untold or 0) == self.totals["dead"]
        assert sum(e["event"] == "breaker_opened" for e in events) == self.first_opens

    @invariant()
    def nothing_exceeds_its_limit(self) -> None:
        assert len(self.ids("released")) <= CAP
        self.limits.check()

    @invariant()
    def status_shows_what_blocks(self) -> None:
        status = self.ledger.status(ID)
        assert bool(status.paused_ms) == self.paused
        assert status.target_until_ms == (self.target_until_ms if self.target_until_ms > self.now_ms else 0)
        assert (status.breaker, status.breaker_until_ms) == (self.health.state, self.health.until_ms)
        assert bool(status.breaker_reason) == (self.health.state != "closed")
        assert sum(status.held.values()) == len(self.held)
        assert status.failed == sum(one.failed for one in self.all.values() if one.state == "waiting")


@pytest.mark.parametrize("examples", EXAMPLES)
def test_the_ledger_equals_its_model(server: EmbeddedServer, examples: int) -> None:
    with server.client() as client:
        run_state_machine_as_test(
            cast("type[RuleBasedStateMachine]", lambda: Machine(client)),  # hypothesis takes any factory
            settings=settings(
                max_examples=examples,
                stateful_step_count=40,
                deadline=None,
                suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
            ),
        )
