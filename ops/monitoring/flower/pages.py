"""The pages of Flower that Courier replaces: metrics behind the login, a real health check, idle dead workers."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from flower.views.monitor import Healthcheck, Metrics
from flower.views.workers import WorkersView
from tornado.ioloop import IOLoop
from tornado.web import authenticated

from common.errors import LedgerError

if TYPE_CHECKING:
    from collections.abc import Callable

    from flower.app import Flower


class GuardedMetrics(Metrics):  # type: ignore[misc]  # Flower ships no types
    """Flower's metrics, but with the login and without dead workers, which Flower counts as online."""

    @authenticated
    async def get(self) -> None:
        """Set the gauges of dead workers to 0 and return the metrics."""
        state = self.application.events.state
        for name, worker in state.workers.items():
            if not worker.alive:
                state.metrics.worker_online.labels(name).set(0)
                state.metrics.worker_number_of_currently_executing_tasks.labels(name).set(0)
        await super().get()


class RedisHealthcheck(Healthcheck):  # type: ignore[misc]  # Flower ships no types
    """Reports whether Flower can see the workers; Flower's own check returns OK while the process runs."""

    @authenticated
    async def get(self) -> None:
        """Return `OK`, or 503 with the reason."""
        down_s = self.application.events.disconnected_s
        error = f"no connection to Redis for {down_s:.0f} s" if down_s else await self._redis_error()
        if error:
            self.set_status(HTTPStatus.SERVICE_UNAVAILABLE)
        self.write(error or "OK")

    def _log(self) -> None:
        """Log no request: Flower's own process sends one every few seconds, and logs when it loses Redis."""

    async def _redis_error(self) -> str:
        """Send a command to Redis: an open connection may no longer carry data."""
        try:
            await IOLoop.current().run_in_executor(None, self.application.settings["ping_redis"])
        except LedgerError as error:
            return str(error)
        return ""


class LiveWorkersView(WorkersView):  # type: ignore[misc]  # Flower ships no types
    """The list of workers; its header sums up their active tasks."""

    @classmethod
    def _as_dict(cls, worker: Any) -> dict[str, Any]:
        """Return the row of a worker; a dead worker has no active tasks."""
        row: dict[str, Any] = super()._as_dict(worker)
        return row if worker.alive else row | {"active": 0}


def install(flower: Flower, prefix: str, ping_redis: Callable[[], object]) -> None:
    """Let these pages replace Flower's; `prefix` is its url_prefix. `ping_redis` raises LedgerError."""
    flower.settings["ping_redis"] = ping_redis
    prefix = f"/{prefix.strip('/')}" if prefix.strip("/") else ""
    pages = (
        ("/metrics", GuardedMetrics),
        ("/healthcheck", RedisHealthcheck),
        ("/", LiveWorkersView),
        ("/workers", LiveWorkersView),
    )
    flower.add_handlers(r".*", [(prefix + path, page) for path, page in pages])
