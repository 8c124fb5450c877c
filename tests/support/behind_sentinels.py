"""Courier's processes with a Redis primary, a replica and Sentinels, and a target that counts requests."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.request import urlopen

from common.broker.celery_app import make_app
from ops.standalone.embedded_redis import free_port
from tests.support.fleet import LEASES, RECORDS, TOTALS, Target
from tests.support.processes import Courier, Manager
from tests.support.recorder import eventually
from tests.support.sentinels import PASSWORD, SENTINEL_PASSWORD, SentinelCluster

if TYPE_CHECKING:
    from contextlib import ExitStack
    from pathlib import Path

    from tests.support.tls import Tls


class System:
    """Producer, worker and Flower that find Redis through Sentinels, and a target that counts requests."""

    def __init__(self, stack: ExitStack, folder: Path, tls: Tls | None = None) -> None:
        self.redis, self._tls = SentinelCluster(stack, folder, tls), tls
        self.target = Target(stack, latency_ms=20)
        self.manager = Manager(folder, self.target)
        flower_port = free_port()
        self.flower_url = f"http://127.0.0.1:{flower_port}"
        environment = {
            "COURIER_REDIS_URL": self.redis.url,
            "COURIER_REDIS_SENTINEL_PASSWORD": SENTINEL_PASSWORD,
            "COURIER_INTEGRATIONS_DEFAULT_LEASE": "5s",
        } | ({"COURIER_REDIS_CA": str(tls.ca)} if tls else {})
        self.parts = [
            stack.enter_context(Courier(folder, *arguments, **environment))
            for arguments in (
                ("producer", *self.manager.files()),
                ("worker", "--http", "--state", str(self.manager.state)),
                ("flower", "--flower-port", str(flower_port)),
            )
        ]

    def wait_until_all_arrived(self) -> None:
        """Wait until all written alerts have arrived and are settled on the current primary."""
        eventually(lambda: self.target.distinct() == self.manager.written)
        with self.redis.replica.client() as client:
            eventually(lambda: not client.hlen(RECORDS) and not client.hlen(LEASES))

    def start_delivering(self, count: int) -> None:
        """Write `count` alerts and wait until some have arrived."""
        eventually(lambda: "new integration; reading starts" in self.parts[0].log)
        self.manager.append(count)
        eventually(lambda: self.target.distinct() > count // 4)

    def count_unsettled_on_replica(self) -> int:
        """Return how many deliveries have arrived that are not settled on the replica."""
        with self.redis.replica.client() as client:
            known = int(client.hget(TOTALS, "delivered") or 0)
        return self.target.distinct() - known

    def queues_page(self) -> str:
        """Return Flower's page of queues, whose lengths it reads from the primary."""
        with urlopen(f"{self.flower_url}/broker", timeout=10) as answer:
            page: str = answer.read().decode()
            return page

    def check_processes_and_logs(self) -> None:
        """Fail if a process has exited, or if a log has a traceback or a password."""
        assert all(part.process.poll() is None for part in self.parts)
        said = "".join(part.log for part in self.parts) + self._workers_respond()
        before, found, after = said.partition("Traceback")
        assert not found, before[-500:] + found + after[:3000]
        assert PASSWORD not in said
        assert SENTINEL_PASSWORD not in said

    def _workers_respond(self) -> str:
        """Return the workers' responses to a remote-control request, as Flower sends it."""
        trusted = f"&ssl_ca_certs={self._tls.ca}" if self._tls else ""
        url = f"{self.redis.url}?sentinel_password={SENTINEL_PASSWORD}{trusted}"
        inspect = make_app(url).control.inspect(timeout=10, limit=1)
        stats, configuration = inspect.stats(), inspect.conf()
        assert stats
        assert configuration
        return json.dumps([stats, configuration])
