"""A server that loads its append-only file slowly, as one with gigabytes of data does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ops.standalone.embedded_redis import EmbeddedServer

if TYPE_CHECKING:
    from pathlib import Path


class SlowServer(EmbeddedServer):
    """Pauses for `delay_us` after each command that it loads, and responds after every 1024th."""

    delay_us = 0
    waits = True
    """Whether `start` returns only once it has loaded."""

    def quicken(self) -> None:
        """Load the rest without pauses."""
        with self.client() as client:
            client.config_set("key-load-delay", 0)

    def _configuration(self) -> bytes:
        return super()._configuration() + b"key-load-delay %d\n" % self.delay_us

    def _wait_until_ready(self, log_path: Path) -> None:
        if self.waits:
            super()._wait_until_ready(log_path)


def slow_server(folder: Path, *, keys: int, delay_us: int) -> SlowServer:
    """Return a stopped server with data; loading it takes at least `keys` times `delay_us`."""
    server = SlowServer(folder)
    server.start()
    with server.client() as client, client.pipeline(transaction=False) as pipe:
        for number in range(keys):
            pipe.set(f"key-{number}", "")
        pipe.execute()
    server.stop()
    server.delay_us = delay_us
    return server
