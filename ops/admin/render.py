"""What Courier would send for one alert: requests, or the arguments and files of a script. Secrets are masked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from common.errors import SettingsError, TransportError
from common.integration import Kind
from common.outcome import Reason, Skipped
from common.secret import MASK
from workers.delivery.factory import build_service
from workers.integrations.base import NotSendable
from workers.redaction import Redactor
from workers.transports.http.transport import prepare
from workers.transports.script.transport import arguments, check

if TYPE_CHECKING:
    from collections.abc import Sequence

    from common.integration import Integration
    from common.settings.schema import Policy, WorkerSettings
    from workers.alert.alert import Alert
    from workers.calls import Request, ScriptCall

ALERT_FILE: Final = Path("<alert file>")
OPTIONS_FILE: Final = Path("<options file>")


class RenderedCall(msgspec.Struct, frozen=True, omit_defaults=True):
    """One call. HTTP: method, url, headers and body. Script: argv, and the content of files by their name in argv."""

    method: str = ""
    url: str = ""
    headers: dict[str, str] = {}
    body: str = ""
    argv: list[str] = []
    files: dict[str, str] = {}


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
            calls = [self._rendered_call(call) for call in self.build_calls(alert)]
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

    def _rendered_call(self, call: Any) -> RenderedCall:
        return self._script(call) if self._integration.kind is Kind.SCRIPT else self._request(call)

    def _request(self, call: Request) -> RenderedCall:
        """Return a request in the form that is sent. Raises TransportError for an invalid URL or header."""
        try:
            request = prepare(call.method, call.url, call.headers, call.params)
        except Exception:  # noqa: BLE001 — any error of the libraries about a URL or header may quote a secret
            raise TransportError(Reason.INVALID_URL, "the URL or a header is invalid") from None
        headers = {name: value for name, value in request.headers.items() if isinstance(value, str)}
        if call.body is not None:
            headers["Content-Length"] = str(len(call.body))
        return RenderedCall(
            method=call.method,
            url=self._redactor.text(request.url or ""),
            headers={name: self._redactor.text(value) for name, value in headers.items()},
            body="" if call.body is None else self._redactor.text(call.body.decode("utf-8", "replace")),
        )

    def _script(self, call: ScriptCall) -> RenderedCall:
        options = None if call.options_file is None else OPTIONS_FILE
        vector = arguments(call, ALERT_FILE, options, debug=self._debug)
        for position, secret in ((1, call.api_key), (2, call.hook_url)):
            vector[position] = MASK if secret else ""
        files = {str(ALERT_FILE): self._redactor.text(call.alert_file.decode("utf-8", "replace"))}
        if options and call.options_file is not None:
            files[str(options)] = self._redactor.text(call.options_file.decode("utf-8", "replace"))
        return RenderedCall(argv=[f"integrations/{call.name}", *vector], files=files)
