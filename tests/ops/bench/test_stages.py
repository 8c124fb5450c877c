from __future__ import annotations

import pytest

from ops.bench.stages import OUTSIDE, REST, SAMPLES_A_SECOND, WORKER, shares

LOOP = "run_forever (asyncio/base_events.py:607)"
ATTEMPT = f"{LOOP};_run (workers/delivery/runner.py:58);attempt (workers/delivery/pipeline.py:84)"
STACKS = (
    f"{ATTEMPT};call (workers/transports/http/transfer.py:77) 40",
    f"{ATTEMPT};build_calls (workers/integrations/slack.py:41) 30",
    f"{LOOP};_run_once (asyncio/base_events.py:1922) 20",
    "start (celery/worker/consumer.py:406);flush (celery/events/dispatcher.py:240) 5",
    "main (somewhere.py:1) 5",
)


def test_each_stack_counts_for_one_stage() -> None:
    found = shares(STACKS, WORKER, cpu_s=200 / SAMPLES_A_SECOND)
    assert found == {
        OUTSIDE: pytest.approx(0.5),
        "HTTP: prepare, send, read the response": pytest.approx(0.2),
        "pipeline: decode, build the request, classify": pytest.approx(0.15),
        "event loop: start deliveries, gather what ended": pytest.approx(0.1),
        "Celery: events for Flower": pytest.approx(0.025),
        REST: pytest.approx(0.025),
    }
    assert next(iter(found)) == OUTSIDE


def test_more_samples_than_cpu_time_leave_nothing_outside() -> None:
    assert shares(["main (somewhere.py:1) 250"], WORKER, cpu_s=0.5) == {REST: 1.0, OUTSIDE: 0.0}


def test_no_samples_are_no_division_by_zero() -> None:
    assert shares([], WORKER, cpu_s=0.0) == {OUTSIDE: 0.0}
