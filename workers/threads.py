"""Threads for the deliveries of a worker: as many as there are calls at once; the last to become idle goes on first.

The standard library's pool wakes the one that has been idle for longest and ends none: after one flood over 100
integrations every delivery went through hundreds of cold stacks and connections, at a quarter more CPU.
"""

from __future__ import annotations

import threading
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

    def run(self, call: Callable[[], object]) -> None:
        """Have it called by a thread of its own, without waiting for any other call."""
        try:
            thread = self._idle.pop()
        except IndexError:
            _Thread(self._idle, self._idle_s, call).start()
        else:
            thread.go_on_with(call)


class _Thread(threading.Thread):
    """A daemon: whoever wants the result of a call waits for it, and nobody for an idle thread."""

    def __init__(self, idle: list[_Thread], idle_s: float, call: Callable[[], object]) -> None:
        super().__init__(name="delivery", daemon=True)
        self._idle, self._idle_s, self._call = idle, idle_s, call
        self._asleep = threading.Lock()
        self._asleep.acquire()

    def go_on_with(self, call: Callable[[], object]) -> None:
        """Wake it, which whoever took it from the idle ones must do."""
        self._call = call
        self._asleep.release()

    def run(self) -> None:
        while True:
            self._call()
            del self._call
            self._idle.append(self)
            if not self._asleep.acquire(timeout=self._idle_s) and not self._is_needed():
                return

    def _is_needed(self) -> bool:
        """Leave the idle ones, or wait for the call of whoever has taken this thread in the meantime."""
        try:
            self._idle.remove(self)
        except ValueError:
            return self._asleep.acquire()
        return False
