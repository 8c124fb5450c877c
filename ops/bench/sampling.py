"""The samples of a long run, and the measures of growth."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from ops.bench.alerts import alert_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ops.bench.system import System

KIB_A_MB: Final = 1000 / 1.024
ID: Final = "slack"
QUARTERS: Final = 4


class Tally:
    """Counts the arrivals of each alert, by its number, in one byte each."""

    def __init__(self) -> None:
        self._counts = bytearray()
        self.distinct = self.repeats = 0

    def add(self, taken: dict[str, int]) -> None:
        """Add the target's counts: id → arrivals."""
        for name, count in taken.items():
            n = int(name.partition(".")[2])
            assert alert_id(n) == name  # noqa: S101 — otherwise all counts are wrong
            if n >= len(self._counts):
                self._counts.extend(bytes(n + 1 - len(self._counts)))
            seen = self._counts[n]
            self.distinct += not seen
            self.repeats += count - (not seen)
            self._counts[n] = min(255, seen + count)

    @property
    def unbroken(self) -> int:
        """The number of alerts before the first that has not arrived."""
        gap = self._counts.find(0)
        return len(self._counts) if gap < 0 else gap


def resident_mb(pid: int) -> float:
    """Return the resident memory of a process in MB (proc(5), VmRSS)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmRSS"))) / KIB_A_MB


def take_sample(system: System, steady: int) -> dict[str, float]:
    """Return one sample; `steady` is the number of the worker that is never restarted."""
    with system.redis.pipeline(transaction=False) as pipe:
        pipe.zcard(f"courier:{{{ID}}}:waiting")
        pipe.zcard(f"courier:{{{ID}}}:released")
        pipe.hlen(f"courier:{{{ID}}}:leases")
        pipe.llen(f"courier.{ID}")
        pipe.dbsize()
        pipe.client_list()
        waiting, released, begun, queued, keys, clients = pipe.execute()
    pids = {"producer": system.producer.pid, "worker": system.workers[steady].pid}
    return {
        **{f"{name}_mb": resident_mb(pid) for name, pid in pids.items()},
        **{f"{name}_files": len(list(Path(f"/proc/{pid}/fd").iterdir())) for name, pid in pids.items()},
        "connections": len(clients),
        "in_flight": released,
        "begun": begun,
        "queued": queued,
        "keys": keys,
        "waiting": waiting,
    }


def growth(values: Sequence[float]) -> float:
    """Return the difference between the medians of the last and the second quarter; the first is the warm-up."""
    quarter = len(values) // QUARTERS
    return median(values[-quarter:]) - median(values[quarter : 2 * quarter])


def growth_of_floor(values: Sequence[float]) -> float:
    """Return the same difference of the minima: a temporary peak caused by other load on the machine is not a leak."""
    quarter = len(values) // QUARTERS
    return min(values[-quarter:]) - min(values[quarter : 2 * quarter])


def column(samples: Sequence[dict[str, Any]], name: str) -> list[float]:
    """Return the values of `name` in all samples."""
    return [float(sample[name]) for sample in samples]
