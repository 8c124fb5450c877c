from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from common.integration import Integration
from common.outcome import Reason, Retry
from common.settings.load import load_settings
from tests.support.fakes import policy
from workers.delivery.backoff import budget_spent, retry_delay_s

POLICY = policy(retry_delay_s=2.0, retry_delay_max_s=600.0, retry_max_age_s=3600.0, retry_max_attempts=5)


@pytest.mark.parametrize(("attempts", "ceiling"), [(1, 2), (2, 4), (5, 32), (9, 512), (10, 600), (1000, 600)])
def test_delay_is_random_below_a_doubling_ceiling(attempts: int, ceiling: float) -> None:
    pauses = [retry_delay_s(Retry(Reason.HTTP_5XX), attempts, POLICY, Random(seed)) for seed in range(200)]
    assert max(pauses) <= ceiling
    assert max(pauses) > 0.9 * ceiling
    assert min(pauses) < 0.1 * ceiling


def test_overloaded_service_gets_a_minimum_delay() -> None:
    assert all(retry_delay_s(Retry(Reason.RATE_LIMITED), 1, POLICY, Random(seed)) >= 30 for seed in range(50))
    assert all(retry_delay_s(Retry(Reason.TIMEOUT), 1, POLICY, Random(seed)) >= 10 for seed in range(50))


@pytest.mark.parametrize("reason", [Reason.SCRIPT_FAILED, Reason.SCRIPT_TIMEOUT, Reason.SCRIPT_UNUSABLE])
def test_script_is_retried_after_30_seconds_at_the_earliest(reason: Reason) -> None:
    packaged = load_settings(file=None, environment={}, cwd=Path("/nonexistent")).policy(
        Integration(id="custom-ticket", name="custom-ticket")
    )
    pauses = [
        retry_delay_s(Retry(reason), attempts, packaged, Random(seed))
        for attempts in (1, 2, 3, 4)
        for seed in range(50)
    ]
    assert 30 <= min(pauses) <= max(pauses) <= 240
    assert (budget_spent(4, 0, packaged), budget_spent(5, 0, packaged)) == (False, True)


def test_delay_requested_by_the_service_is_respected() -> None:
    pauses = [retry_delay_s(Retry(Reason.RATE_LIMITED, after_s=90), 3, POLICY, Random(seed)) for seed in range(50)]
    assert 90 <= min(pauses) <= max(pauses) <= 99


def test_requested_delay_of_zero_is_ignored() -> None:
    assert all(
        retry_delay_s(Retry(Reason.RATE_LIMITED, after_s=0), 1, POLICY, Random(seed)) >= 30 for seed in range(50)
    )


def test_delay_grows_beyond_a_requested_delay_that_is_too_short() -> None:
    pauses = [retry_delay_s(Retry(Reason.RATE_LIMITED, after_s=1), 9, POLICY, Random(seed)) for seed in range(200)]
    assert min(pauses) >= 1
    assert 200 < sum(pauses) / len(pauses) < 312


@pytest.mark.parametrize(
    ("attempts", "age_s", "spent"), [(1, 0, False), (4, 3599, False), (5, 0, True), (1, 3600, True)]
)
def test_retry_budget_ends_by_age_or_attempts(attempts: int, age_s: float, spent: bool) -> None:
    assert budget_spent(attempts, age_s, POLICY) is spent
