"""Runs one process and its children, with limits on output and time, and leaves none of them behind (D16).

The process leads its own session, so that one signal reaches all its children. Its number cannot be reused until it is
reaped. So the group is signalled before that: after it, the number could belong to another process.
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
"""Seconds after the exit of a process for which its output is still read while a child keeps the pipe open."""

_KILLED_S: Final = 5.0
"""Seconds to wait for a killed process. It ends immediately, unless it hangs inside the kernel."""

_TICK_S: Final = 0.1
_SHORTEST_TICK_S: Final = 0.001
_CHUNK_BYTES: Final = 65_536


class ExitResult(NamedTuple):
    """The exit of a process: its status as in `subprocess` (None: it could not be killed) and the end of its output."""

    status: int | None
    output: bytes
    timed_out: bool


class Command(NamedTuple):
    """What to run: `file` is executed in `folder` with `arguments`, the first of which is the program's name.

    `limits` maps constants of `resource`, such as RLIMIT_AS, to the maximum for the process and for each child. `user`
    runs it; None means this process's user.
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
    """Run a command until its exit or deadline. `on_started` gets its process id. `groups` watches its children after.

    Raises OSError if it cannot be started or limited, ValueError if an argument or variable cannot be passed to it.
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
        assert process.stdout is not None  # noqa: S101 — PIPE was requested
        with process.stdout:
            try:
                on_started(process.pid)
                _limit(process.pid, command.limits)
                reader = _OutputReader(process.pid, process.stdout.fileno(), output_limit, clock)
                timed_out = not reader.until(group.until)
                if timed_out:
                    group.signal(signal.SIGTERM)
                    reader.until(clock() + GRACE_S)
                    group.signal(signal.SIGKILL)
                group.pipe = os.dup(process.stdout.fileno()) if reader.is_open and not timed_out else None
            except BaseException:  # nothing would stop the group later
                group.signal(signal.SIGKILL)
                raise
            finally:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(_KILLED_S)
    return ExitResult(process.returncode, reader.output(), timed_out)


def _limit(pid: int, limits: Mapping[int, int]) -> None:
    """Set the limits, but not above the hard limit inherited from the worker, which only root may raise."""
    for limit, most in limits.items():
        own = resource.getrlimit(limit)[1]
        allowed = most if own == resource.RLIM_INFINITY else min(most, own)
        with suppress(ProcessLookupError):  # it has ended already
            resource.prlimit(pid, limit, (allowed, allowed))


class _OutputReader:
    """Reads a process's output while it waits for the exit."""

    def __init__(self, pid: int, pipe: int, limit: int, clock: Callable[[], float]) -> None:
        self._pid, self._pipe, self._limit, self._clock = pid, pipe, limit, clock
        self._kept = bytearray()
        self.is_open, self._tick_s = True, _SHORTEST_TICK_S
        self._poll = select.poll()
        self._poll.register(pipe, select.POLLIN)

    def until(self, moment: float) -> bool:
        """Return True when the process has exited, False if it has not at `moment`. Does not reap it."""
        ended = False
        while True:
            now = self._clock()
            if not ended and _has_ended(self._pid):
                ended, moment = True, min(moment, now + LINGER_S)
            if now >= moment or (ended and not self.is_open):
                return ended
            self._wait(min(moment - now, self._pause_s()))

    def output(self) -> bytes:
        """Return the last `limit` bytes of the output."""
        return bytes(self._kept[-self._limit :])

    def _pause_s(self) -> float:
        """Output wakes the poll. A process that has closed its output exits soon, so check often at first."""
        if self.is_open:
            return _TICK_S
        self._tick_s = min(2 * self._tick_s, _TICK_S)
        return self._tick_s

    def _wait(self, seconds: float) -> None:
        """Wait for output and read it. After the pipe is closed, only wait."""
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
    """Return whether a child process has exited, without reaping it."""
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True
