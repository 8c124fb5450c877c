"""Who holds a lease: enough of a process's identity to know, on the same machine, that it is gone.

A lease runs out by itself, but that takes a minute. A worker that died beside this one is noticed at once: its
deliveries are brought back without waiting, and its scripts are ended. Of another machine, or container, nothing is
known and nothing said.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

_PROC: Final = Path("/proc")


class ProcessIdentity(NamedTuple):
    """A process: the machine's boot, its process namespace, its id and when it started (proc(5), field 22)."""

    boot: str
    namespace: str
    pid: str
    started: str

    def __str__(self) -> str:
        return "-".join(self)

    def has_exited(self, token: str, proc: Path = _PROC) -> bool:
        """Tell whether `token` is of a process of this machine that does not run any more."""
        other = self._parse_local(token)
        return other is not None and _started(proc, other.pid) != other.started

    def running_pid(self, token: str, proc: Path = _PROC) -> int | None:
        """Return the id of the process that `token` is of, if that runs, and on this machine."""
        other = self._parse_local(token)
        return int(other.pid) if other and other.started and _started(proc, other.pid) == other.started else None

    def _parse_local(self, token: str) -> ProcessIdentity | None:
        """Return whose `token` it is, None for one of another machine and for nonsense."""
        boot, _, rest = token.partition("-")
        namespace, _, rest = rest.partition("-")
        pid, _, rest = rest.partition("-")
        started, _, _ = rest.partition(":")
        if (boot, namespace) != (self.boot, self.namespace) or not pid.isdigit():
            return None
        return ProcessIdentity(boot, namespace, pid, started)


def this_process(proc: Path = _PROC) -> ProcessIdentity:
    """Return the identity of the running process."""
    boot, namespace = _machine(proc)
    pid = str(os.getpid())
    return ProcessIdentity(boot, namespace or pid, pid, _started(proc, pid))


@cache
def _machine(proc: Path) -> tuple[str, str]:
    """Return what tells this boot of this machine, and this container on it, from any other."""
    try:
        boot = (proc / "sys/kernel/random/boot_id").read_text().strip().replace("-", "")[:12]
        return boot, str((proc / "self/ns/pid").stat().st_ino)
    except OSError:
        return "unknown", ""  # no such machine is known to anybody: nothing is said about it


def of_child(pid: int, proc: Path = _PROC) -> ProcessIdentity:
    """Return the identity of a process that this one has started."""
    boot, namespace = _machine(proc)
    return ProcessIdentity(boot, namespace, str(pid), _started(proc, str(pid)))


def _started(proc: Path, pid: str) -> str:
    """Return when a process started, in clock ticks since the boot; empty if there is none, or only its remains."""
    try:
        fields = (proc / pid / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]
