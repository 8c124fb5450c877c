"""One process with everything that it starts: its output bounded, its time limited, nothing of it left behind (D16).

The process leads a session of its own, so that one signal reaches all that it started. Its number stays taken until
it is reaped; therefore the group is signalled before, and never by a number that may meanwhile be another's.
"""

from __future__ import annotations

import os
import resource
import select
import signal
import subprocess
from contextlib import suppress
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from workers.transports.script.process_groups import GRACE_S

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from workers.transports.script.process_groups import ProcessGroups
    from workers.transports.script.user import ScriptUser

LINGER_S: Final = 1.0
"""How long after its own end a process's output is still read while a child of it holds the pipe open."""

_KILLED_S: Final = 5.0
"""A killed process is gone at once, unless it hangs inside the kernel."""

_TICK_S: Final = 0.1
_SHORTEST_TICK_S: Final = 0.001
_CHUNK_BYTES: Final = 65_536


class ExitResult(NamedTuple):
    """How a process ended: its status as `subprocess` gives it (None: it cannot even be killed) and its last bytes."""

    status: int | None
    output: bytes
    timed_out: bool


class Command(NamedTuple):
    """What to run: `file` is executed in `folder` with `arguments`, of which the first is the program's own name.

    `limits` are numbers of `resource`, such as RLIMIT_AS, and the most that the process and each child may have of it.
    `user` runs it, None for this process's own.
    """

    file: str
    arguments: Sequence[str]
    folder: Path
    environment: Mapping[str, str]
    limits: Mapping[int, int] = MappingProxyType({})
    user: ScriptUser | None = None


def run(
    command: Command,
    *,
    deadline_s: float,
    output_limit: int,
    clock: Callable[[], float],
    groups: ProcessGroups,
    on_started: Callable[[int], object] = lambda _pid: None,
) -> ExitResult:
    """Run a command to its end or its deadline; `note` is told its process id. What outlives it is left to `groups`.

    Raises OSError if it cannot be started or limited, ValueError if an argument or variable cannot be passed on.
    """
    user = command.user
    with groups.track(clock() + deadline_s) as group:
        process = subprocess.Popen(
            command.arguments,
            executable=command.file,
            cwd=command.folder,
            env=command.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
            start_new_session=True,
            user=user and user.uid,
            group=user and user.gid,
            extra_groups=user and user.groups,
        )
        group.number = process.pid
        assert process.stdout is not None  # noqa: S101 — it is a pipe, as asked for
        with process.stdout:
            try:
                on_started(process.pid)
                _limit(process.pid, command.limits)
                watch = _OutputReader(process.pid, process.stdout.fileno(), output_limit, clock)
                timed_out = not watch.until(group.until)
                if timed_out:
                    group.signal(signal.SIGTERM)
                    watch.until(clock() + GRACE_S)
                    group.signal(signal.SIGKILL)
                group.pipe = os.dup(process.stdout.fileno()) if watch.is_open and not timed_out else None
            except BaseException:  # nobody would look after it
                group.signal(signal.SIGKILL)
                raise
            finally:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(_KILLED_S)
    return ExitResult(process.returncode, watch.output(), timed_out)


def _limit(pid: int, limits: Mapping[int, int]) -> None:
    """Set the limits, but none above the worker's own, which only root may exceed: the process has inherited that."""
    for limit, most in limits.items():
        own = resource.getrlimit(limit)[1]
        allowed = most if own == resource.RLIM_INFINITY else min(most, own)
        with suppress(ProcessLookupError):  # it has ended already
            resource.prlimit(pid, limit, (allowed, allowed))


class _OutputReader:
    """Reads a process's output while waiting for its end."""

    def __init__(self, pid: int, pipe: int, limit: int, clock: Callable[[], float]) -> None:
        self._pid, self._pipe, self._limit, self._clock = pid, pipe, limit, clock
        self._kept = bytearray()
        self.is_open, self._tick_s = True, _SHORTEST_TICK_S
        self._poll = select.poll()
        self._poll.register(pipe, select.POLLIN)

    def until(self, moment: float) -> bool:
        """Return True once the process has ended, False if it has not at `moment`; it is not reaped."""
        ended = False
        while True:
            now = self._clock()
            if not ended and _has_ended(self._pid):
                ended, moment = True, min(moment, now + LINGER_S)
            if now >= moment or (ended and not self.is_open):
                return ended
            self._wait(min(moment - now, self._pause_s()))

    def output(self) -> bytes:
        """Return the last bytes."""
        return bytes(self._kept[-self._limit :])

    def _pause_s(self) -> float:
        """Output wakes us by itself; the end of a process that has closed it follows soon, so look often at first."""
        if self.is_open:
            return _TICK_S
        self._tick_s = min(2 * self._tick_s, _TICK_S)
        return self._tick_s

    def _wait(self, seconds: float) -> None:
        """Wait for output and read it; once the pipe is closed, only wait."""
        if not self._poll.poll(1000 * seconds):
            return
        chunk = os.read(self._pipe, _CHUNK_BYTES)
        self._kept += chunk
        if len(self._kept) > 2 * self._limit:
            del self._kept[: -self._limit]
        if not chunk:
            self.is_open = False
            self._poll.unregister(self._pipe)


def _has_ended(pid: int) -> bool:
    """Say whether our child has ended, without reaping it."""
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True
