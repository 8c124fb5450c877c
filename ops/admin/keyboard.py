"""Read single key presses from a terminal."""

from __future__ import annotations

import os
import re
import select
import sys
import termios
import tty
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_NAMES: Final = {
    "[A": "up",
    "[B": "down",
    "[5~": "page up",
    "[6~": "page down",
    "[H": "home",
    "[F": "end",
    "[1~": "home",
    "[4~": "end",
}
"""The bytes after ESC of special keys → their name (xterm control sequences)."""

_KEY: Final = re.compile(r"\x1b[\[O][0-9;]*[A-Za-z~]|.", re.DOTALL)


@contextmanager
def keys() -> Iterator[Callable[[float], str]]:
    """Yield a function that waits up to the given seconds for a key and returns it, or '' on timeout.

    Special keys have names: up, down, page up, page down, home, end. If standard input is not a terminal, the function
    only waits.
    """
    if not sys.stdin.isatty():
        yield _no_key
        return
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    typed = list[str]()
    try:
        tty.setcbreak(terminal)  # Ctrl-C stays an interrupt
        yield lambda seconds: _key(terminal, seconds, typed)
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


def _key(terminal: int, seconds: float, typed: list[str]) -> str:
    """Return the next key. `typed` holds keys that were read together with an earlier one."""
    if not typed and select.select([terminal], [], [], seconds)[0]:
        typed += split(os.read(terminal, 1024).decode("latin-1"))
    return typed.pop(0) if typed else ""


def split(text: str) -> list[str]:
    """Split terminal input into keys."""
    return [_NAMES.get(key[1:].replace("O", "[", 1), key) if len(key) > 1 else key for key in _KEY.findall(text)]


def _no_key(seconds: float) -> str:
    select.select([], [], [], seconds)
    return ""
