"""Single keys from a terminal, without Return."""

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
"""What terminals send behind ESC for the keys that are no letters (xterm's control sequences)."""

_KEY: Final = re.compile(r"\x1b[\[O][0-9;]*[A-Za-z~]|.", re.DOTALL)


@contextmanager
def keys() -> Iterator[Callable[[float], str]]:
    """Give a function that waits for a key for so many seconds and returns it, '' if none came.

    Keys that are no letters have names: up, down, page up, page down, home, end. Without a terminal to read from no key
    ever comes.
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
    """Return the next key; `typed` are those that came together with an earlier one."""
    if not typed and select.select([terminal], [], [], seconds)[0]:
        typed += split(os.read(terminal, 1024).decode("latin-1"))
    return typed.pop(0) if typed else ""


def split(text: str) -> list[str]:
    """Return the keys that a terminal sent."""
    return [_NAMES.get(key[1:].replace("O", "[", 1), key) if len(key) > 1 else key for key in _KEY.findall(text)]


def _no_key(seconds: float) -> str:
    select.select([], [], [], seconds)
    return ""
