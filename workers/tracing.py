"""Spans of a worker's attempts and of their calls. Imported only if traces are on.

HTTP calls follow the stable conventions for HTTP clients (OpenTelemetry semantic conventions 1.23, "HTTP client span").
`url.full` is required there and left out on purpose: the URLs of hooks hold secrets.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from common.ledger import SettleOutcome
from common.telemetry.spans import fail
from workers.calls import AppriseCall, Mail, MailReply, Request, Response, ScriptCall, ScriptExit, SyslogFrames
from workers.delivery.attempt_log import alert_id

if TYPE_CHECKING:
    from common.ledger import Delivery, Settlement
    from common.telemetry.spans import Tracing
    from workers.calls import Transport
    from workers.delivery.served import ServedIntegration
    from workers.delivery.task import AttemptFunction


METHODS: Final = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"})
"""The methods that the conventions know; another one is reported as _OTHER."""

PORTS: Final = {"http": 80, "https": 443}


def trace_attempts(tracing: Tracing, attempt: AttemptFunction) -> AttemptFunction:
    """Return `attempt` with a span around each."""

    async def traced(served: ServedIntegration, delivery: Delivery) -> Settlement:
        header = delivery.header
        attributes: dict[str, str | int] = {
            "courier.alert.id": alert_id(delivery.alert),
            "courier.attempt": header.attempts + 1,
        }
        with tracing.attempt(
            served.integration.id,
            delivery.id,
            is_first=not (header.attempts or header.replays),
            attributes=attributes,
        ) as span:
            settlement = await attempt(served, delivery)
            if settlement.outcome == SettleOutcome.POSTPONED:
                span.drop()
            span.outcome(settlement.outcome.value, settlement.reason, failed=settlement.failed)
        return settlement

    return traced


class TracedTransport:
    """A transport with a span for each call of another one."""

    def __init__(self, tracing: Tracing, transport: Transport) -> None:
        self._tracing, self._transport = tracing, transport

    async def send(self, call: Any) -> Any:
        """Make the call within a span."""
        name, attributes = _described(call)
        with self._tracing.call(name, attributes=attributes, is_client=not isinstance(call, ScriptCall)) as span:
            response = await self._transport.send(call)
            if isinstance(response, MailReply):
                if response.status >= HTTPStatus.BAD_REQUEST:  # negative replies of SMTP begin there as well
                    fail(span, str(response.status))
            elif isinstance(response, Response):
                span.set_attribute("http.response.status_code", response.status)
                if response.status >= HTTPStatus.BAD_REQUEST:
                    fail(span, str(response.status))
            elif isinstance(response, ScriptExit):
                span.set_attribute("process.exit.code", response.status)
                if response.status:
                    fail(span, str(response.status))
        return response


def _described(call: Any) -> tuple[str, dict[str, str | int]]:
    """Return the name and the attributes of a call's span."""
    if isinstance(call, Request):
        method = call.method if call.method in METHODS else "_OTHER"
        return ("HTTP" if method == "_OTHER" else method), {"http.request.method": method, **_server(call.url)}
    if isinstance(call, Mail):
        return "SMTP", _server(call.server.url)
    if isinstance(call, ScriptCall):
        return "script", {"process.executable.name": call.name}
    if isinstance(call, AppriseCall):
        return "Apprise", {}
    return ("syslog" if isinstance(call, SyslogFrames) else "datagram"), {}


def _server(url: str) -> dict[str, str | int]:
    """Return host and port; nothing if a password with special characters may be parsed as part of the host."""
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname, parts.port
    except ValueError:
        return {}
    if not host or "@" in f"{parts.path}{parts.query}{parts.fragment}":
        return {}
    return {"server.address": host, "server.port": port or PORTS.get(parts.scheme, 0)}
