"""A command in a pseudo-terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ops.standalone.embedded_redis import EmbeddedServer

CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r|\x1b[=>]")


class Terminal:
    """A command in a terminal of that size."""

    def __init__(self, server: EmbeddedServer, width: int, height: int, *arguments: str, **variables: str) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
        environment = {k: v for k, v in os.environ.items() if k not in {"COLUMNS", "LINES"}}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "ops.cli.main", *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=environment | {"TERM": "xterm", "COURIER_REDIS_URL": server.url} | variables,
        )
        os.close(theirs)
        self._raw = b""

    @property
    def raw(self) -> bytes:
        """The output so far, with its escape sequences."""
        return self._raw

    @property
    def shown(self) -> str:
        """The output so far."""
        return CONTROL.sub("", self._raw.decode("utf-8", "replace"))

    def until(self, text: str, *, after: int = 0) -> str:
        """Wait for `text` in the output after offset `after`; return that output."""
        while text not in self.shown[after:]:
            self._raw += os.read(self._ours, 65_536)
        return self.shown[after:]

    def press(self, keys: bytes) -> int:
        """Send keys; return the length of the output before them."""
        before = len(self.shown)
        os.write(self._ours, keys)
        return before

    def interrupt(self) -> None:
        """Send SIGINT, as Ctrl-C does: the command does not belong to this terminal's session."""
        self._process.send_signal(signal.SIGINT)

    def end(self) -> str:
        """Wait for the process to exit; return its output."""
        with suppress(OSError):  # the terminal closes when its process exits
            while more := os.read(self._ours, 65_536):
                self._raw += more
        self._process.wait(30)
        os.close(self._ours)
        return self.shown
