"""The rates of the last minutes, from samples of the counters: what the console draws as a small curve."""

from __future__ import annotations

from collections import deque
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

STEP_MS: Final = 10_000
STEPS: Final = 60
"""Ten minutes in steps of ten seconds."""


class Sample(NamedTuple):
    """The counters at one time in ms: deliveries committed, and completed (delivered or skipped), since ever."""

    at_ms: int
    committed: int
    completed: int


class Series(NamedTuple):
    """Deliveries per second of one integration, one value a step, the newest last. There may be fewer than STEPS."""

    arrived: tuple[float, ...] = ()
    completed: tuple[float, ...] = ()


class RateHistory:
    """Keeps at most one sample a step and integration."""

    def __init__(self) -> None:
        self._samples: dict[str, deque[Sample]] = {}

    def update(self, totals: Mapping[str, Mapping[str, int]], now_ms: int) -> None:
        """Add the counters (`totals` of `courier status --json`) of all integrations at the ledger's time `now_ms`.

        Integrations that are not among them are forgotten.
        """
        self._samples = {one: self._samples.get(one) or deque(maxlen=STEPS + 1) for one in totals}
        for one, counters in totals.items():
            samples = self._samples[one]
            completed = counters.get("delivered", 0) + counters.get("skipped", 0)
            new = Sample(now_ms, counters.get("committed", 0), completed)
            if len(samples) > 1 and samples[-1].at_ms - samples[-2].at_ms < STEP_MS:
                samples.pop()  # the step is not over yet
            samples.append(new)

    def of(self, integration_id: str) -> Series:
        """Return the rates of one integration, empty before its second sample."""
        steps = [_rates(*pair) for pair in pairwise(self._samples.get(integration_id, ()))]
        return Series(tuple(one for one, _ in steps), tuple(one for _, one in steps))


def _rates(old: Sample, new: Sample) -> tuple[float, float]:
    """Return the rates between two samples. Counters that an operator reset count as no deliveries."""
    seconds = max(new.at_ms - old.at_ms, 1) / 1000
    arrived, completed = new.committed - old.committed, new.completed - old.completed
    return max(0, arrived) / seconds, max(0, completed) / seconds
