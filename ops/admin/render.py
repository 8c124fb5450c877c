"""What Courier would send for one alert: requests, or the arguments and files of a script. Secrets are masked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from common.errors import SettingsError, TransportError
from common.integration import Kind
from common.outcome import Skipped
from workers.delivery.factory import build_service
from workers.integrations.base import NotSendable
from workers.redaction import Redactor
from workers.rendering import RenderedCall, render_call
from workers.transports.script.transport import check

if TYPE_CHECKING:
    from collections.abc import Sequence

    from common.integration import Integration
    from common.settings.schema import Policy, WorkerSettings
    from workers.alert.alert import Alert


class Rendered(msgspec.Struct, frozen=True, omit_defaults=True):
    """The calls for an alert, or the reason why there are none. `outcome` is send, skipped or rejected.

    `error` is why the script cannot run on this machine.
    """

    integration: str
    outcome: str
    reason: str = ""
    detail: str = ""
    calls: list[RenderedCall] = []
    error: str = ""


class Renderer:
    """Renders alerts for one integration."""

    def __init__(
        self, integration: Integration, policy: Policy, worker: WorkerSettings, *, debug: bool = False
    ) -> None:
        self._integration, self._policy, self._worker, self._debug = integration, policy, worker, debug
        self._service, _ = build_service(integration, policy, worker, debug=debug)
        self._redactor = Redactor.of(integration, policy)

    def build_calls(self, alert: Alert) -> Sequence[Any]:
        """Return the calls with secrets in plain text. Raises NotSendable."""
        return self._service.build_calls(alert)

    def render(self, alert: Alert) -> Rendered:
        """Return the calls for this alert, regardless of the filters."""
        try:
            calls = [render_call(call, self._redactor, debug=self._debug) for call in self.build_calls(alert)]
        except NotSendable as refusal:
            outcome = refusal.outcome
            name = "skipped" if isinstance(outcome, Skipped) else "rejected"
            return Rendered(self._integration.id, name, str(outcome.reason), self._redactor.text(outcome.detail))
        except TransportError as error:
            return Rendered(self._integration.id, "rejected", str(error.reason), self._redactor.text(error.detail))
        return Rendered(self._integration.id, "send", calls=calls)

    def script_error(self) -> str:
        """Return why the script cannot be run on this machine, or an empty text."""
        if self._integration.kind is not Kind.SCRIPT:
            return ""
        try:
            check(self._integration.service, self._policy, self._worker)
        except TransportError as error:
            return error.detail
        except SettingsError as error:
            return str(error)
        return ""
