"""Sends messages by plugins of Apprise. Each call is a thread of its own, as plugins block.

A plugin's HTTP requests are made by the HTTP transport, on the event loop, as those of every other service: with the
same address guard, certificates, proxy and limits, and no redirects. One time limit applies to all requests for one
message.

Plugins are not thread-safe, but may have logged in. So each is used by one call at a time and then kept.

What a plugin says is only whether it worked. The response that counts is chosen from those that it got:

    it worked, and one of them is 2xx    that one
    it failed                            the last one that asks to wait, else the last one that is not 2xx
    it failed, and all are 2xx           the last one, marked as refused: the service says no in the body
    there are none                       TransportError: why there was no response, or that nothing was sent
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import msgspec

from common.errors import TransportError
from common.outcome import Reason
from common.services.apprise import NOT_INSTALLED
from workers.apprise.plugin import PluginError, open_plugin
from workers.apprise.sessions import TOO_MANY, Exchanges, through
from workers.calls import AppriseReply
from workers.transports.http.failures import where
from workers.transports.threads import InThreads

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from apprise.plugins.base import NotifyBase

    from common.settings.schema import Policy
    from workers.calls import AppriseCall, Request, Response, Transport

MAX_IDLE: Final = 16
"""Plugins that are kept of one integration."""

GRACE_S: Final = 5.0
"""Time that the event loop gets in addition to end a request at its own limit."""

OK: Final = range(200, 300)


class AppriseTransport:
    """Sends the messages of one integration, any number at once. `http` makes the requests."""

    def __init__(self, http: Transport, policy: Policy) -> None:
        self._threads = InThreads(_Plugins(http, policy))

    async def send(self, call: AppriseCall) -> AppriseReply:
        """Send the message; return the response that counts. Raises TransportError if there is none."""
        reply: AppriseReply = await self._threads.send((call, asyncio.get_running_loop()))
        return reply


class _Plugins:
    """The plugins of one integration. `send` blocks, and may be called from any thread."""

    def __init__(self, http: Transport, policy: Policy, clock: Callable[[], float] = time.monotonic) -> None:
        self._http, self._policy, self._clock = http, policy, clock
        self._idle: deque[NotifyBase] = deque(maxlen=MAX_IDLE)  # its methods are atomic

    def send(self, job: tuple[AppriseCall, asyncio.AbstractEventLoop]) -> AppriseReply:
        """Send the message; return the response that counts. Raises TransportError if there is none."""
        call, loop = job
        plugin = self._take(call)
        limit_s = self._policy.request_timeout_s
        ends_at = self._clock() + limit_s

        def send(request: Request) -> Response:
            left_s = ends_at - self._clock()
            if left_s <= 0:
                raise TransportError(Reason.TIMEOUT, f"the time for all requests is over; the limit is {limit_s:g} s")
            return self._on_loop(msgspec.structs.replace(request, timeout_s=left_s), left_s, loop)

        exchanges, worked, crash = Exchanges(send), False, ""
        try:
            with through(exchanges):
                worked = bool(plugin.notify(**_arguments(call)))
        except Exception as error:  # noqa: BLE001 — a plugin may raise any, with texts that quote the URL
            crash = type(error).__name__
        if worked:  # another one must log in again
            self._idle.append(plugin)
        return _reply(exchanges, crash, worked=worked)

    def _on_loop(self, request: Request, left_s: float, loop: asyncio.AbstractEventLoop) -> Response:
        future = asyncio.run_coroutine_threadsafe(self._http.send(request), loop)
        try:
            response: Response = future.result(left_s + GRACE_S)
        except FutureTimeoutError:
            future.cancel()
            raise TransportError(Reason.TIMEOUT, f"{where(request.url)} did not respond in time") from None
        return response

    def _take(self, call: AppriseCall) -> NotifyBase:
        with suppress(IndexError):
            return self._idle.pop()
        try:
            return open_plugin(call.url.reveal())
        except ModuleNotFoundError:
            raise TransportError(Reason.NOT_CONFIGURED, NOT_INSTALLED) from None
        except PluginError as error:
            raise TransportError(Reason.NOT_CONFIGURED, f"hook_url {error}") from None


def _arguments(call: AppriseCall) -> dict[str, Any]:
    from apprise import NotifyFormat, NotifyType, OverflowMode  # noqa: PLC0415 — an optional package, and slow to import

    return {
        "title": call.title,
        "body": call.body,
        "notify_type": NotifyType(call.kind),
        "body_format": NotifyFormat(call.format),
        "overflow": OverflowMode.TRUNCATE,  # one alert is one message, also if the URL says otherwise
    }


def _reply(exchanges: Exchanges, crash: str, *, worked: bool) -> AppriseReply:
    """Return the response that counts. Raises TransportError if there is none."""
    responses = exchanges.responses
    accepted = [one for one in responses if one.status in OK]
    if worked and accepted:
        return _as_reply(accepted[-1])
    if exchanges.error and not _waits(responses):
        raise exchanges.error
    refused = _waits(responses) or [one for one in responses if one.status not in OK]
    if refused:
        return _as_reply(refused[-1])
    if accepted:
        return _as_reply(accepted[-1], is_refused=True)
    why = f"Apprise ended with {crash}" if crash else "Apprise sent nothing; is hook_url complete?"
    raise TransportError(Reason.NOT_CONFIGURED, why)


def _waits(responses: Sequence[Response]) -> list[Response]:
    failed = (one for one in responses if one.status not in OK)
    return [one for one in failed if one.status == TOO_MANY or "retry-after" in one.headers]


def _as_reply(response: Response, *, is_refused: bool = False) -> AppriseReply:
    parts = {name: getattr(response, name) for name in response.__struct_fields__}
    return AppriseReply(**parts, is_refused=is_refused)
