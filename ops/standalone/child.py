"""A process of `courier up`, forked from the supervisor after the supervisor has imported what the process needs.

A new interpreter takes a second of CPU to import Celery and the clients. A fork takes milliseconds, also when the
supervisor restarts a part, and shares the memory of the modules with the other parts.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from contextlib import contextmanager
from multiprocessing import get_context
from typing import TYPE_CHECKING, Final, NamedTuple

from ops.standalone.exec_with_parent import end_with_parent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from multiprocessing.context import ForkProcess

STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""The signals that stop `courier up` in order; a closed terminal sends SIGHUP."""

PR_SET_NAME: Final = 15  # prctl(2)


class Child(NamedTuple):
    """One process: its name in the log, and the arguments of `courier`, which must not hold secrets.

    `module` is imported in the supervisor before the fork.
    """

    name: str
    arguments: Sequence[str]
    module: str


@contextmanager
def stop_signals_blocked() -> Iterator[None]:
    """Hold STOP_SIGNALS back until the block ends."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def fork(
    child: Child, courier: Callable[[Sequence[str]], None], environment: Mapping[str, str], close: Sequence[int]
) -> ForkProcess:
    """Start `child`: it calls `courier`, the command, with `environment`. It closes the file descriptors `close`.

    Call it from a single-threaded process, with STOP_SIGNALS blocked: the child inherits the supervisor's handlers.
    """
    arguments = (child, courier, os.getpid(), environment, close)
    process = get_context("fork").Process(target=_run, args=arguments, name=child.name)
    process.start()
    return process


def _run(
    child: Child,
    courier: Callable[[Sequence[str]], None],
    supervisor: int,
    environment: Mapping[str, str],
    close: Sequence[int],
) -> None:
    """Become what a new `courier` process would be; multiprocessing exits with the status of the command."""
    for signum in STOP_SIGNALS:
        if signal.getsignal(signum) is not signal.SIG_IGN:  # nohup ignores SIGHUP
            signal.signal(signum, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
    if not end_with_parent(supervisor):
        return
    os.setsid()  # Ctrl-C reaches only the supervisor
    for descriptor in close:
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(environment)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_NAME, child.name.encode(), 0, 0, 0)
    courier(child.arguments)
