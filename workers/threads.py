"""Threads for the deliveries of a worker: as many as there are calls at once; the last to become idle goes on first.

The standard library's pool wakes the one that has been idle for longest and ends none: after one flood over 100
integrations every delivery went through hundreds of cold stacks and connections, at a quarter more CPU.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

IDLE_S: Final = 30.0
"""A thread without a call for so long ends."""


class Threads:
    """Runs calls, none of which may raise, each at once."""

    def __init__(self, idle_s: float = IDLE_S) -> None:
        self._idle_s = idle_s
        self._idle: list[_Thread] = []
        self._postponed: deque[Callable[[], object]] = deque()
        self._lock = threading.Lock()

    def run(self, call: Callable[[], object]) -> None:
        """Have it called by a thread of its own; where the system refuses another one, by the next that is free."""
        with self._lock:
            if self._idle:
                self._idle.pop().go_on_with(call)
                return
            try:
                _Thread(self, call).start()
            except RuntimeError:
                self._postponed.append(call)

    def next_call(self, thread: _Thread) -> Callable[[], object] | None:
        """Return what a thread that is free shall do; None if it may rest, after which `go_on_with` wakes it."""
        with self._lock:
            if self._postponed:
                return self._postponed.popleft()
            self._idle.append(thread)
            return None

    def rested(self, thread: _Thread) -> bool:
        """Let a thread rest; return whether it is over for it, since nothing came."""
        if thread.asleep.acquire(timeout=self._idle_s):
            return False
        with self._lock:
            if thread in self._idle:
                self._idle.remove(thread)
                return True
        return not thread.asleep.acquire()


class _Thread(threading.Thread):
    """A daemon: whoever wants the result of a call waits for it, and nobody for an idle thread."""

    def __init__(self, threads: Threads, call: Callable[[], object]) -> None:
        super().__init__(name="delivery", daemon=True)
        self._threads, self._call = threads, call
        self.asleep = threading.Lock()
        self.asleep.acquire()

    def go_on_with(self, call: Callable[[], object]) -> None:
        """Wake it, once."""
        self._call = call
        self.asleep.release()

    def run(self) -> None:
        while True:
            self._call()
            del self._call  # with all that it holds, while this thread rests
            if further := self._threads.next_call(self):
                self._call = further
            elif self._threads.rested(self):
                return
