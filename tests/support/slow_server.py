"""A server that takes its time to load its append-only file, as one with gigabytes in it does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ops.standalone.embedded_redis import EmbeddedServer

if TYPE_CHECKING:
    from pathlib import Path


class SlowServer(EmbeddedServer):
    """Pauses for `delay_us` after each command that it loads; it answers after every 1024th."""

    delay_us = 0
    waits = True
    """Whether `start` returns only once it has loaded."""

    def quicken(self) -> None:
        """Let it load the rest without pauses."""
        with self.client() as client:
            client.config_set("key-load-delay", 0)

    def _configuration(self) -> bytes:
        return super()._configuration() + b"key-load-delay %d\n" % self.delay_us

    def _wait_until_ready(self, log_path: Path) -> None:
        if self.waits:
            super()._wait_until_ready(log_path)


def slow_server(folder: Path, *, keys: int, delay_us: int) -> SlowServer:
    """Return one with data in it that does not run, and will load `keys` times `delay_us` at least."""
    server = SlowServer(folder)
    server.start()
    with server.client() as client, client.pipeline(transaction=False) as pipe:
        for number in range(keys):
            pipe.set(f"key-{number}", "")
        pipe.execute()
    server.stop()
    server.delay_us = delay_us
    return server
