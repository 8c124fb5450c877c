"""One alert: what became of it, for each integration. `courier explain --json` has the same report."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from ops.admin.explain.timeline import timeline
from ops.console.handler import PageError, PageHandler

MAX_ID_CHARS: Final = 1000
"""Ids of deliveries have up to 512 characters (`common.ledger.record.MAX_ID_CHARS`)."""


class AlertPage(PageHandler):
    """`/alert/ID`, of an alert or of a delivery."""

    async def show(self) -> None:
        """Show everything that is known of it; a page with status 404 if that is nothing."""
        wanted = self.path_kwargs["wanted"] or ""
        if len(wanted) > MAX_ID_CHARS:
            raise PageError(HTTPStatus.BAD_REQUEST, f"the id is longer than {MAX_ID_CHARS:,} characters")
        answer = await self.console.alerts.find(wanted)
        if not answer.alerts:
            self.set_status(HTTPStatus.NOT_FOUND)
        self.render_page(
            "alert.html",
            wanted=wanted,
            answer=answer,
            timelines=[timeline(one.report) for one in answer.alerts],
        )

    def decode_argument(self, value: bytes, name: str | None = None) -> str:
        """Return a part of the address; ids from Redis may have any bytes."""
        del name
        return value.decode("utf-8", "surrogateescape")
