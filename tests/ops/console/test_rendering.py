from __future__ import annotations

import asyncio
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.admin.rate_history import STEPS, RateHistory, Series
from ops.console.rendering import MAX_CHARS, Templates, curve, link, time
from ops.console.single_flight import SingleFlight

TEMPLATES = Templates()


def rendered(source: str, **values: object) -> str:
    return TEMPLATES._environment.from_string(source).render(values)


@given(st.text())
def test_a_value_can_neither_leave_its_place_nor_hide(text: str) -> None:
    for source in ("{{ text }}", "{{ text | long }}", "{{ text | json }}"):
        shown = rendered(source, text=text)
        assert not set("<>'\"") & set(shown)
        assert all(one.isprintable() or one.isspace() for one in shown)
        assert "\r" not in shown
    assert re.fullmatch(r'<code class="id" data-copy="([^<>"]*)">\1</code>', rendered("{{ text | id }}", text=text))


def test_long_words_are_cut() -> None:
    assert rendered("{{ text }}", text="x" * 100_000) == "x" * MAX_CHARS + "…"
    assert rendered("{{ text | long }}", text="x" * 200_100).endswith("x\n… 100 more characters")
    assert rendered("{{ value | json }}", value=["x" * 9] * 100_000).endswith("\n… and more")


def test_times_are_utc_and_readable_by_scripts() -> None:
    assert time(1_769_846_400_000) == (
        '<time datetime="2026-01-31T08:00:00Z" title="2026-01-31T08:00:00Z">2026-01-31T08:00:00Z</time>'
    )
    assert [time(None), time(0), time(10**18), time(-5)] == [""] * 4


def test_links_carry_any_text() -> None:
    assert link("/dead", integration='a"b', reason="", rule="1&2") == "/dead?integration=a%22b&amp;rule=1%262"


@pytest.mark.parametrize("series", [Series(), Series((0.0,), (0.0,)), Series((5.0, 1e9), (0.0, 3.5))])
def test_curve_has_no_inline_style(series: Series) -> None:
    assert "style" not in curve(series)
    assert "nan" not in curve(series)


def test_rates_are_kept_for_ten_minutes_in_steps() -> None:
    history = RateHistory()
    for second in range(0, 1200, 2):
        history.update({"slack": {"committed": 5 * second, "delivered": second, "skipped": second}}, second * 1000)
    series = history.of("slack")
    assert len(series.arrived) == STEPS
    assert set(series.arrived) == {5.0}
    assert set(series.completed) == {2.0}
    history.update({}, 2_000_000)
    assert history.of("slack") == Series()


def test_everybody_who_asks_at_once_waits_for_one_read() -> None:
    async def run() -> tuple[list[int], int]:
        reads = 0
        now = 0.0

        async def read() -> int:
            nonlocal reads
            reads += 1
            await asyncio.sleep(0)
            return reads

        flight = SingleFlight(read, max_age_s=1, now=lambda: now)
        impatient = asyncio.create_task(flight.get())
        await asyncio.sleep(0)
        impatient.cancel()
        found = await asyncio.gather(*(flight.get() for _ in range(50)))
        now = 0.9
        found.append(await flight.get())
        now = 1.0
        found.append(await flight.get())
        return found, reads

    found, reads = asyncio.run(run())
    assert set(found[:51]) == {1}
    assert found[51] == reads == 2


def test_after_a_change_nobody_gets_what_was_read_before_it() -> None:
    async def run() -> list[str]:
        state, go_on = "before", asyncio.Event()

        async def read() -> str:
            found = state
            await go_on.wait()
            return found

        flight = SingleFlight(read, max_age_s=60)
        early = asyncio.create_task(flight.get())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        state = "after"
        flight.forget()
        late = asyncio.create_task(flight.get())
        await asyncio.sleep(0)
        go_on.set()
        return [await early, await late, await flight.get()]

    assert asyncio.run(run()) == ["before", "after", "after"]
