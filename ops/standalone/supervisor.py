"""Runs the processes of `courier up`: starts them, restarts those that exit and stops all of them in order.

Each child has a session of its own, so that Ctrl-C reaches only the supervisor. A child ends when the supervisor ends,
even if the supervisor is killed.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NamedTuple

from common.errors import CourierError
from ops.module_runner import module_command

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

RESTART_DELAY_S: Final = 1.0
EX_CONFIG: Final = 78
"""sysexits.h: a configuration error, which a restart cannot fix."""

_log = logging.getLogger("courier.up")


class Child(NamedTuple):
    """One process: its name in the log and its command line, which must not hold secrets."""

    name: str
    command: Sequence[str]


STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""The signals that stop `courier up` in order; a closed terminal sends SIGHUP."""


class Interrupted(CourierError):  # noqa: N818 — a request, not an error
    """Raised in the main thread by one of STOP_SIGNALS."""


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise Interrupted on one of STOP_SIGNALS while the block runs. Further signals are ignored.

    An ignored SIGHUP (nohup) stays ignored.
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
    """Return the exit status of a process, None while it runs. Call it from a single-threaded process only.

    STOP_SIGNALS are blocked during the call. An exception inside `poll`, after it took the lock of the Popen and before
    the `try` that releases it, would make every later `wait` for this process block forever.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        return process.poll()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Supervisor:
    """Starts, restarts and stops the children, which all get `environment`, secrets included."""

    def __init__(
        self,
        children: Sequence[Child],
        environment: Mapping[str, str],
        *,
        stop_limit_s: float,
    ) -> None:
        """`stop_limit_s` is the time in which all children together must exit after SIGTERM."""
        self._children, self._environment = children, dict(environment)
        self._stop_limit_s = stop_limit_s
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """Start every child."""
        for child in self._children:
            self._start(child)

    def watch(self, *, until: Callable[[], bool] = lambda: False, interval_s: float = 0.2) -> None:
        """Restart children that exit until `until()` is true. Raises CourierError if one exits with EX_CONFIG."""
        while not until():
            for child in self._children:
                status = exit_status_of(self._running[child.name])
                if status == EX_CONFIG:
                    raise CourierError(f"{child.name} has an invalid configuration; see its message above")
                if status is not None:
                    _log.error("%s exited; restarting it", child.name, extra={"status": status})
                    time.sleep(RESTART_DELAY_S)
                    self._start(child)
            time.sleep(interval_s)

    def stop(self) -> None:
        """Let every child finish its work, and kill those that still run after `stop_limit_s`."""
        for process in self._running.values():
            process.terminate()
        deadline = time.monotonic() + self._stop_limit_s
        for name, process in self._running.items():
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                _log.warning("%s did not stop in time; killed (its work resumes at the next start)", name)
                process.kill()
                process.wait()

    def pids(self) -> dict[str, int]:
        """Return the process ids by name."""
        return {name: process.pid for name, process in self._running.items()}

    def _start(self, child: Child) -> None:
        self._running[child.name] = subprocess.Popen(
            module_command("ops.standalone.exec_with_parent", str(os.getpid()), *child.command),
            env=self._environment,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
