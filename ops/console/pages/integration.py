"""One integration, with everything about it; `courier show --json` has the same data. Sends a test alert."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from common.integration import MANAGER_ID
from ops.admin.integration_detail import read_detail
from ops.console.delivery_tests import TIMEOUT_S
from ops.console.handler import PageError, PageHandler
from ops.console.rendering import address

if TYPE_CHECKING:
    from ops.admin.integration_detail import IntegrationDetail
    from ops.admin.session import LedgerSession


class IntegrationPage(PageHandler):
    """`/integration/ID`."""

    async def show(self) -> None:
        """Show the page."""
        one, settings = self.path_kwargs["integration"], self.console.settings

        def read(session: LedgerSession) -> IntegrationDetail:
            _check_known(session, one)
            return read_detail(session, settings, one)

        self.render_page(
            "integration.html",
            detail=await self.console.shared(("integration", one), read),
            last_test=self.console.tests.last(one),
            timeout_s=TIMEOUT_S,
            can_test=one != MANAGER_ID,
        )


class SendTestPage(PageHandler):
    """`/integration/ID/test`."""

    async def change(self) -> None:
        """Send a test alert, wait for its end, and show it on the page of the integration."""
        one, why = self.path_kwargs["integration"], self.reason()
        await self.console.read(lambda session: _check_known(session, one))
        user = self.visitor.user if self.visitor else ""
        self.log_change("test alert requested", reason=why, integration=one)
        result = await self.console.tests.run(one, user)
        self.log_change(
            "test alert sent", reason=why, integration=one, delivery=result.delivery, outcome=result.outcome.value
        )
        self.redirect(f"{address(f'/integration/{one}')}#test", status=HTTPStatus.SEE_OTHER)


def _check_known(session: LedgerSession, integration_id: str) -> None:
    if integration_id not in session.listed:
        raise PageError(HTTPStatus.NOT_FOUND, "no producer has ever published an integration with this id")
