"""What a long run looks at every few seconds, and how it judges that something grows."""

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
    """How often each alert has arrived, by its number: one byte each."""

    def __init__(self) -> None:
        self._counts = bytearray()
        self.distinct = self.repeats = 0

    def add(self, taken: dict[str, int]) -> None:
        """Count what the target tells: id → how often."""
        for name, count in taken.items():
            n = int(name.partition(".")[2])
            assert alert_id(n) == name  # noqa: S101 — otherwise nothing that is counted here means anything
            if n >= len(self._counts):
                self._counts.extend(bytes(n + 1 - len(self._counts)))
            seen = self._counts[n]
            self.distinct += not seen
            self.repeats += count - (not seen)
            self._counts[n] = min(255, seen + count)

    @property
    def unbroken(self) -> int:
        """How many of the first alerts have all arrived."""
        gap = self._counts.find(0)
        return len(self._counts) if gap < 0 else gap


def resident_mb(pid: int) -> float:
    """Return what a process has resident (proc(5), VmRSS)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmRSS"))) / KIB_A_MB


def look(system: System, steady: int) -> dict[str, float]:
    """Return one sample; `steady` is the number of the worker that is never recycled."""
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
    """Return by how much the median of the last quarter is above that of the second; the first is for warming up."""
    quarter = len(values) // QUARTERS
    return median(values[-quarter:]) - median(values[quarter : 2 * quarter])


def growth_of_floor(values: Sequence[float]) -> float:
    """Return the same of the least values: what other work on the machine piles up for a while is not a leak."""
    quarter = len(values) // QUARTERS
    return min(values[-quarter:]) - min(values[quarter : 2 * quarter])


def column(samples: Sequence[dict[str, Any]], name: str) -> list[float]:
    """Return one thing of all samples."""
    return [float(sample[name]) for sample in samples]
