from __future__ import annotations

import pytest

from ops.docs.render.capacity import MEASURED, PAGE, Plan, render


def test_page_is_current() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == render(page), "run: python -m ops.docs.render.capacity"


def test_page_without_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="lacks one of the markers"):
        render("# Scaling\n")


def test_ten_times_the_alerts_need_ten_times_the_resources() -> None:
    small, large = Plan(10_000, 0.1), Plan(100_000, 0.1)
    assert large.outage_gib == pytest.approx(10 * small.outage_gib)
    assert small.worker_cores < large.worker_cores <= 10 * small.worker_cores
    assert small.servers <= large.servers <= 10 * small.servers


def test_planned_core_load_stays_below_the_limit() -> None:
    plan = Plan(100_000, 1.0)
    assert plan.worker_cores * 0.5 >= plan.deliveries * MEASURED["worker_ms"].value / 1000
