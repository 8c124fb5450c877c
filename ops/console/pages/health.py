"""`/health`: whether the console responds and reaches Redis, for `courier health console` and load balancers."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from tornado.web import RequestHandler

from common.errors import CourierError

if TYPE_CHECKING:
    from ops.console.application import ConsoleApplication


class HealthHandler(RequestHandler):
    """Needs no login and says nothing else. All who ask within a second share one reading."""

    application: ConsoleApplication

    async def get(self) -> None:
        """Return `OK`, or 503. The reason has the address of Redis, so only the log has it."""
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        try:
            await self.application.console.shared("health", lambda session: session.ledger.now_ms())
        except CourierError:
            self.set_status(HTTPStatus.SERVICE_UNAVAILABLE)
            self.finish("Redis is unavailable; the log of the console says why\n")
        else:
            self.finish("OK\n")
