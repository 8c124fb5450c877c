"""The CPU time and the memory of a process with all its children, from /proc (proc(5))."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

TICKS_A_SECOND: Final = os.sysconf("SC_CLK_TCK")
MB: Final = 1_000_000


class Process(NamedTuple):
    """One line of /proc/PID/stat."""

    pid: int
    parent: int
    ticks: int
    """User and system time of the process and of those children that it has waited for."""


class Usage(NamedTuple):
    """What a process and its children have used."""

    cpu_s: float
    memory_mb: float
    """Proportional set size: memory that processes share, such as those that `courier up` forks, counts once."""


def parse_stat(line: str) -> Process:
    """Parse /proc/PID/stat. The name of the command, in brackets, may hold blanks and brackets itself."""
    head, _, rest = line.rpartition(")")
    fields = rest.split()
    return Process(
        pid=int(head.split(None, 1)[0]),
        parent=int(fields[1]),
        ticks=sum(map(int, fields[11:15])),
    )


def family(pid: int, processes: Mapping[int, Process]) -> Iterator[Process]:
    """Yield the process and all its descendants."""
    if pid in processes:
        yield processes[pid]
    for one in processes.values():
        if one.parent == pid:
            yield from family(one.pid, processes)


def usage(pids: Iterable[int]) -> Usage:
    """Return what the processes and their descendants have used so far."""
    processes = {one.pid: one for one in _all_processes()}
    found = [one for pid in pids for one in family(pid, processes)]
    return Usage(
        cpu_s=sum(one.ticks for one in found) / TICKS_A_SECOND,
        memory_mb=sum(_pss_bytes(one.pid) for one in found) / MB,
    )


def _pss_bytes(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
        return 0
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith("Pss:")))


def _all_processes() -> Iterator[Process]:
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            yield parse_stat(path.read_text(errors="replace"))
        except (FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            continue
