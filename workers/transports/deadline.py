"""The moment until which the current thread's call may last, looked at before every single operation of its socket.

A socket's own time limit starts anew with each byte, so that a server that sends one a second is never too slow for
it. A call is made by one thread from beginning to end, so the deadline belongs to the thread. Only the look-up of a
host's name cannot be cut short: the system's resolver has limits of its own (resolv.conf: `timeout`, `attempts`).
"""

from __future__ import annotations

import math
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class _Current(threading.local):
    """Each thread's own."""

    clock: Callable[[], float] = time.monotonic
    until: float = math.inf


_current = _Current()


@contextmanager
def limited(limit_s: float, clock: Callable[[], float]) -> Iterator[None]:
    """Give the operations inside, together, `limit_s` seconds by the monotonic `clock`."""
    _current.clock, _current.until = clock, clock() + limit_s
    try:
        yield
    finally:
        _current.until = math.inf


def left_s(at_most: float | None = None) -> float | None:
    """Return the seconds that the next operation has, for `socket.settimeout`; raise TimeoutError if none are left."""
    left = min(_current.until - _current.clock(), math.inf if at_most is None else at_most)
    if left <= 0:
        raise TimeoutError("the call's time is over")
    return None if math.isinf(left) else left
