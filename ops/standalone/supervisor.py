"""Keeps the processes of `courier up` running together: starts them, restarts what ends, stops all of it in order.

Each child lives in a session of its own, so that Ctrl-C reaches only the supervisor, and dies with it in any case.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NamedTuple

from common.errors import CourierError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

RESTART_DELAY_S: Final = 1.0
EX_CONFIG: Final = 78
"""sysexits.h: a configuration error, which a restart does not mend."""

_log = logging.getLogger("courier.up")


class Child(NamedTuple):
    """One process: its name in the log and its command line, which holds no secrets."""

    name: str
    command: Sequence[str]


STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""What ends it in order; SIGHUP is what a closed terminal sends."""


class Interrupted(CourierError):  # noqa: N818 — a request, not an error
    """Raised in the main thread by one of STOP_SIGNALS."""


@contextmanager
def interruptible() -> Iterator[None]:
    """Turn STOP_SIGNALS into Interrupted while the block runs; a second one changes nothing.

    An ignored SIGHUP stays so.
    """

    def interrupt(signum: int, _frame: object) -> None:
        for one in STOP_SIGNALS:
            signal.signal(one, signal.SIG_IGN)
        raise Interrupted(signal.Signals(signum).name)

    under_nohup = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    before = {s: signal.signal(s, interrupt) for s in STOP_SIGNALS if not (s is signal.SIGHUP and under_nohup)}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


def exit_status_of(process: subprocess.Popen[bytes]) -> int | None:
    """Return how a process ended, None while it runs.

    What STOP_SIGNALS raise is put off meanwhile. Raised within `poll_interval`, between its taking a lock and its
    promise to give it back, it would leave every later `wait` for this process waiting for ever. For a process of
    one thread.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        return process.poll()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Supervisor:
    """The children and what to do with them. `environment` is theirs, secrets included."""

    def __init__(
        self,
        children: Sequence[Child],
        environment: Mapping[str, str],
        *,
        stop_limit_s: float,
    ) -> None:
        """Take the parts; `stop_limit_s` is how long all children together have to end after SIGTERM."""
        self._children, self._environment = children, dict(environment)
        self._stop_limit_s = stop_limit_s
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """Start every child."""
        for child in self._children:
            self._start(child)

    def watch(self, *, until: Callable[[], bool] = lambda: False, interval_s: float = 0.2) -> None:
        """Restart what ends, until `until` says so. Raises CourierError if a child's configuration is wrong."""
        while not until():
            for child in self._children:
                status = exit_status_of(self._running[child.name])
                if status == EX_CONFIG:
                    raise CourierError(f"{child.name} cannot run as it is configured; see its message above")
                if status is not None:
                    _log.error("%s ended with status %s; starting it again", child.name, status)
                    time.sleep(RESTART_DELAY_S)
                    self._start(child)
            time.sleep(interval_s)

    def stop(self) -> None:
        """Let every child end what it is doing, and kill what is still there after the limit."""
        for process in self._running.values():
            process.terminate()
        deadline = time.monotonic() + self._stop_limit_s
        for name, process in self._running.items():
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                _log.warning("%s did not end in time; its work is taken up again at the next start", name)
                process.kill()
                process.wait()

    def pids(self) -> dict[str, int]:
        """Return the process ids by name."""
        return {name: process.pid for name, process in self._running.items()}

    def _start(self, child: Child) -> None:
        self._running[child.name] = subprocess.Popen(
            [sys.executable, "-m", "ops.standalone.exec_with_parent", str(os.getpid()), *child.command],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
