"""Workers and Redis are killed at random during deliveries: no alert is lost, few are sent twice.

At each fault the test counts the deliveries that may be sent twice: those in flight in the killed worker, and those
whose settlement the server lost.
"""

from __future__ import annotations

import json
from contextlib import ExitStack
from functools import partial
from random import Random
from typing import TYPE_CHECKING

import pytest

from tests.chaos.choices import ROUNDS, SEED
from tests.support.fleet import Fleet

if TYPE_CHECKING:
    from pathlib import Path

DELIVERIES = 100_000
WORKER_KILLS = max(1, ROUNDS * 3 // 5)
SERVER_KILLS = 3
FRESH_LIMIT_S = 5.0

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(1800)]


def test_random_kills_of_workers_and_redis_lose_nothing(tmp_path: Path) -> None:
    random = Random(SEED)
    faults = ["worker"] * WORKER_KILLS + ["server"] * SERVER_KILLS
    random.shuffle(faults)
    moments = sorted(random.randrange(DELIVERIES * 19 // 20) for _ in faults)
    with ExitStack() as stack:
        fleet = Fleet(stack, tmp_path, latency_ms=20)
        fleet.manager.append(DELIVERIES)
        for fault, moment in zip(faults, moments, strict=True):
            fleet.wait_for(partial(is_past, fleet, moment), limit_s=300)
            if fault == "worker":
                fleet.kill_worker(random.randrange(len(fleet.workers)))
            else:
                fleet.crash_server(forgets_s=random.uniform(0.5, 1.5))
        drained_s = fleet.wait_for(lambda: fleet.target.distinct() >= DELIVERIES and not fleet.records(), limit_s=300)
        fleet.kill_worker(0)
        after_worker_s = fleet.fresh_alert_s(limit_s=60)
        fleet.crash_server(forgets_s=1.0)
        after_server_s = fleet.fresh_alert_s(limit_s=60)
        fleet.wait_for(lambda: not fleet.records(), limit_s=60)
        figures = summary(fleet, part="workers") | {
            "drained_s": round(drained_s, 1),
            "fresh_after_worker_kill_s": round(after_worker_s, 2),
            "fresh_after_server_kill_s": round(after_server_s, 2),
        }
        print(f"\n{json.dumps(figures)}")
        check(fleet, figures)
        assert max(after_worker_s, after_server_s) < FRESH_LIMIT_S


def is_past(fleet: Fleet, moment: int) -> bool:
    return fleet.target.distinct() > moment


def summary(fleet: Fleet, *, part: str) -> dict[str, object]:
    """Return the figures of a run. `repeats_at_most` is the number of deliveries that may have been sent twice."""
    arrived, totals = fleet.target.numbers(), fleet.totals()
    return {
        "part": part,
        "seed": SEED,
        "alerts": fleet.manager.written,
        "worker_kills": fleet.worker_kills,
        "server_kills": fleet.server_kills,
        "workers_that_ended": fleet.ended,
        "lost": fleet.manager.written - len(arrived),
        "repeats": arrived.total() - len(arrived),
        "repeats_at_most": fleet.at_risk,
        "of_them_forgotten": fleet.forgotten,
        "brought_back": totals.get("lost", 0) + totals.get("released_again", 0),
        "retried": totals.get("retried", 0),
        "dead": totals.get("dead", 0),
    }


def check(fleet: Fleet, figures: dict[str, object]) -> None:
    assert set(fleet.target.numbers()) == set(range(fleet.manager.written))
    assert (figures["lost"], figures["dead"], figures["retried"]) == (0, 0, 0)
    assert fleet.ended == []
    assert int(str(figures["repeats"])) <= fleet.at_risk
