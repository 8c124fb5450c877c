"""The identity of the process that holds a lease, which shows on the same machine whether it has exited.

A lease expires by itself, but that takes a minute. If a worker on the same machine dies, the next one detects it
immediately, releases its deliveries again and kills its scripts. Processes of another machine or container are
unknown, so they never count as exited.
"""

from __future__ import annotations

import os
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

_PROC: Final = Path("/proc")


class ProcessIdentity(NamedTuple):
    """A process: the machine's boot id, its PID namespace, its PID and its start time in ticks (proc(5), field 22)."""

    boot: str
    namespace: str
    pid: str
    started: str

    def __str__(self) -> str:
        return "-".join(self)

    def has_exited(self, token: str) -> bool:
        """Return whether `token` names a process of this machine that no longer runs."""
        other = self._parse_local(token)
        return other is not None and _started(other.pid) != other.started

    def running_pid(self, token: str) -> int | None:
        """Return the PID of the process that `token` names if it runs on this machine, else None."""
        other = self._parse_local(token)
        return int(other.pid) if other and other.started and _started(other.pid) == other.started else None

    def _parse_local(self, token: str) -> ProcessIdentity | None:
        """Return the process that `token` names, None if it is of another machine or malformed."""
        boot, _, rest = token.partition("-")
        namespace, _, rest = rest.partition("-")
        pid, _, rest = rest.partition("-")
        started, _, _ = rest.partition(":")
        if (boot, namespace) != (self.boot, self.namespace) or not pid.isdigit():
            return None
        return ProcessIdentity(boot, namespace, pid, started)


def this_process(proc: Path = _PROC) -> ProcessIdentity:
    """Return the identity of the running process, by the file system in `proc`."""
    boot, namespace = _machine(proc)
    pid = str(os.getpid())
    return ProcessIdentity(boot, namespace or pid, pid, _started(pid, proc))


@cache
def _machine(proc: Path) -> tuple[str, str]:
    """Return the boot id of this machine and the PID namespace of this container."""
    try:
        boot = (proc / "sys/kernel/random/boot_id").read_text().strip().replace("-", "")[:12]
        return boot, str((proc / "self/ns/pid").stat().st_ino)
    except OSError:
        return "unknown", ""  # without /proc no process can be checked, so none counts as exited


def of_child(pid: int) -> ProcessIdentity:
    """Return the identity of a child of this process."""
    boot, namespace = _machine(_PROC)
    return ProcessIdentity(boot, namespace, str(pid), _started(str(pid)))


def session_leaders(argument: str) -> set[int]:
    """Return the PIDs of the processes that lead a session and have `argument` as a part of their arguments."""
    found = set()
    for folder in _PROC.glob("[0-9]*"):
        pid = int(folder.name)
        with suppress(OSError):  # it has exited
            if os.fsencode(argument) in (folder / "cmdline").read_bytes() and os.getsid(pid) == pid:
                found.add(pid)
    return found


def _started(pid: str, proc: Path = _PROC) -> str:
    """Return when a process started, in clock ticks since boot; empty if it does not exist or is a zombie."""
    try:
        # The second field, the command in parentheses, may itself contain spaces and parentheses.
        fields = (proc / pid / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]
