"""Runs the processes of `courier up`: starts them, restarts those that exit and stops all of them in order.

A child ends when the supervisor ends, even if the supervisor is killed.
"""

from __future__ import annotations

import gc
import logging
import signal
import time
from contextlib import contextmanager
from importlib import import_module
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Final

from common.errors import CourierError, SettingsError
from ops.standalone.child import STOP_SIGNALS, fork, stop_signals_blocked

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from multiprocessing.context import ForkProcess

    from ops.standalone.child import Child

RESTART_DELAY_S: Final = 1.0
EX_CONFIG: Final = 78
"""sysexits.h: a configuration error, which a restart cannot fix."""

_log = logging.getLogger("courier.up")


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
    with stop_signals_blocked():
        return process.poll()


class Supervisor:
    """Starts, restarts and stops the children, which call the command `courier` with `environment`, secrets included.

    The children close the file descriptors `close`, which they must not keep open. Use it in a single-threaded process.
    """

    def __init__(
        self,
        children: Sequence[Child],
        courier: Callable[[Sequence[str]], None],
        environment: Mapping[str, str],
        *,
        stop_limit_s: float,
        close: Sequence[int] = (),
    ) -> None:
        """`stop_limit_s` is the time in which all children together must exit after SIGTERM."""
        self._children, self._courier, self._environment = children, courier, dict(environment)
        self._stop_limit_s, self._close = stop_limit_s, close
        self._running: dict[str, ForkProcess] = {}

    def start(self) -> None:
        """Start every child, in order: each of them runs while the modules of the next one are imported."""
        for child in self._children:
            self._start(child)

    def watch(self, *, until: Callable[[], bool] = lambda: False, interval_s: float = 1.0) -> None:
        """Restart children that exit until `until()` is true, which is called every `interval_s`.

        Raises SettingsError if one exits with EX_CONFIG, so that a supervisor does not restart `courier up` either.
        """
        while not until():
            for child in self._children:
                with stop_signals_blocked():
                    status = self._running[child.name].exitcode
                if status == EX_CONFIG:
                    raise SettingsError(f"{child.name} has an invalid configuration; see its message above")
                if status is not None:
                    _log.error("%s exited; restarting it", child.name, extra={"status": status})
                    time.sleep(RESTART_DELAY_S)
                    self._start(child)
            wait([process.sentinel for process in self._running.values()], interval_s)

    def stop(self) -> None:
        """Let every child finish its work, and kill those that still run after `stop_limit_s`."""
        for process in self._running.values():
            process.terminate()
        deadline = time.monotonic() + self._stop_limit_s
        for name, process in self._running.items():
            process.join(max(0.0, deadline - time.monotonic()))
            if process.exitcode is None:
                _log.warning("%s did not stop in time; killed (its work resumes at the next start)", name)
                process.kill()
                process.join()

    def pids(self) -> dict[str, int | None]:
        """Return the process ids by name."""
        return {name: process.pid for name, process in self._running.items()}

    def _start(self, child: Child) -> None:
        import_module(child.module)
        gc.freeze()  # the collector would write to every shared page
        with stop_signals_blocked():  # a child that is started but not yet noted would not be stopped
            self._running[child.name] = fork(child, self._courier, self._environment, self._close)
