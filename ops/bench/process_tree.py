"""The CPU time and the memory of a process with all its children, from /proc (proc(5))."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

TICKS_A_SECOND: Final = os.sysconf("SC_CLK_TCK")
PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
MB: Final = 1_000_000


class Process(NamedTuple):
    """One line of /proc/PID/stat."""

    pid: int
    parent: int
    ticks: int
    """User and system time of the process and of those children that it has waited for."""

    pages: int
    """Resident memory."""


class Usage(NamedTuple):
    """What a process and its children have used."""

    cpu_s: float
    resident_mb: float
    """The sum over the processes; memory that they share counts for each of them."""


def parse_stat(line: str) -> Process:
    """Parse /proc/PID/stat. The name of the command, in brackets, may hold blanks and brackets itself."""
    head, _, rest = line.rpartition(")")
    fields = rest.split()
    return Process(
        pid=int(head.split(None, 1)[0]),
        parent=int(fields[1]),
        ticks=sum(map(int, fields[11:15])),
        pages=int(fields[21]),
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
        resident_mb=sum(one.pages for one in found) * PAGE_BYTES / MB,
    )


def _all_processes() -> Iterator[Process]:
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            yield parse_stat(path.read_text(errors="replace"))
        except (FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            continue
