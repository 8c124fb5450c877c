"""The pages of Flower that differ: no page without the login, an honest health check, and dead workers do nothing."""

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
    """Flower's own metrics, which it shows to everybody. A dead worker's last heartbeat counts as if it lived."""

    @authenticated  # type: ignore[untyped-decorator]  # Tornado's types are not read
    async def get(self) -> None:
        """Show them."""
        state = self.application.events.state
        for name, worker in state.workers.items():
            if not worker.alive:
                state.metrics.worker_online.labels(name).set(0)
                state.metrics.worker_number_of_currently_executing_tasks.labels(name).set(0)
        await super().get()


class RedisHealthcheck(Healthcheck):  # type: ignore[misc]  # Flower ships no types
    """Whether Flower sees the workers: its own check answers OK as long as there is a process."""

    @authenticated  # type: ignore[untyped-decorator]  # Tornado's types are not read
    async def get(self) -> None:
        """Answer OK, or 503 with the reason."""
        blind_s = self.application.events.blind_s
        trouble = f"no connection to Redis for {blind_s:.0f} s" if blind_s else await self._redis_error()
        if trouble:
            self.set_status(HTTPStatus.SERVICE_UNAVAILABLE)
        self.write(trouble or "OK")

    async def _redis_error(self) -> str:
        """Ask it: a connection that stands may carry nothing any more."""
        try:
            await IOLoop.current().run_in_executor(None, self.application.settings["ask_redis"])
        except LedgerError as error:
            return str(error)
        return ""


class LiveWorkersView(WorkersView):  # type: ignore[misc]  # Flower ships no types
    """The list of workers, whose head adds up what each is at."""

    @classmethod
    def _as_dict(cls, worker: Any) -> dict[str, Any]:
        """Return the row: what a worker that is gone was at is not under way any more."""
        row: dict[str, Any] = super()._as_dict(worker)
        return row if worker.alive else row | {"active": 0}


def install(flower: Flower, prefix: str, ask_redis: Callable[[], object]) -> None:
    """Put these in front of Flower's own; `prefix` is its url_prefix. `ask_redis` raises LedgerError."""
    flower.settings["ask_redis"] = ask_redis
    path = f"/{prefix.strip('/')}" if prefix.strip("/") else ""
    pages = (
        ("/metrics", GuardedMetrics),
        ("/healthcheck", RedisHealthcheck),
        ("/", LiveWorkersView),
        ("/workers", LiveWorkersView),
    )
    flower.add_handlers(r".*", [(path + place, page) for place, page in pages])
