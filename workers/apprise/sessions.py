"""Leads the HTTP requests of Apprise's plugins to Courier's own transport, by an adapter of `requests`.

Plugins call `requests.post` and the like, each of which makes a Session. Two methods of the class Session look whether
the call comes from inside `through`, which a ContextVar says for each thread. All other users of `requests` in the
process, such as OpenTelemetry's exporter, are served as before.
"""

from __future__ import annotations

import io
import threading
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import TYPE_CHECKING, Any, Final

import requests
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict

from common.errors import TransportError
from workers.calls import MAX_REPORT_BYTES, Request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from workers.calls import Response

    Send = Callable[[Request], Response]

_sender: Final[ContextVar[Exchanges | None]] = ContextVar("apprise_sender", default=None)
_installing: Final = threading.Lock()

MAX_REQUESTS: Final = 20
"""Requests for one message: a log-in, a look-up, and the message take three. A server must not cause more for ever."""

STOPS_AT: Final = 500
TOO_MANY: Final = 429


class Exchanges:
    """The requests for one message and what came of them. `send` makes one; it may raise TransportError.

    After a response that says to try later, or none at all, no further request is made: a plugin's own retries would
    take the time of other alerts, and hide when the service asked to continue.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self.responses: list[Response] = []
        self.error: TransportError | None = None
        self._made = 0

    @property
    def has_ended(self) -> bool:
        """Whether no further request is made."""
        last = self.responses[-1].status if self.responses else 0
        return self.error is not None or last == TOO_MANY or last >= STOPS_AT or self._made >= MAX_REQUESTS

    def exchange(self, request: Request) -> Response:
        """Make a request. Raises requests.ConnectionError, as plugins expect it, if there is no response."""
        if self.has_ended:
            raise requests.ConnectionError("no further request")
        self._made += 1
        try:
            response = self._send(request)
        except TransportError as error:
            self.error = error
            raise requests.ConnectionError(str(error.reason)) from None
        self.responses.append(response)
        return response


@contextmanager
def through(exchanges: Exchanges) -> Iterator[None]:
    """Lead the requests that this thread makes inside to `exchanges`."""
    _install()
    token = _sender.set(exchanges)
    try:
        yield
    finally:
        _sender.reset(token)


class Adapter(BaseAdapter):
    """Makes each request by one of Courier's own. Time limit, proxy and certificates are not the caller's."""

    def __init__(self, exchanges: Exchanges) -> None:
        super().__init__()
        self._exchanges = exchanges

    def send(  # type: ignore[override]  # the other parameters are of the connection, which is Courier's
        self, request: requests.PreparedRequest, **_: object
    ) -> requests.Response:
        """Return the response, with its whole body. Raises requests.ConnectionError."""
        response = self._exchanges.exchange(
            Request(
                method=request.method or "GET",
                url=request.url or "",
                headers=_headers(request.headers),
                body=_body(request.body),
                max_body_bytes=MAX_REPORT_BYTES,
            )
        )
        made = requests.Response()
        made.status_code, made.url, made.request = response.status, request.url or "", request
        # Without its address, a redirect is no redirect, so it is not followed.
        made.headers = CaseInsensitiveDict({k: v for k, v in response.headers.items() if k != "location"})
        made.encoding = requests.utils.get_encoding_from_headers(made.headers)
        made.raw = io.BytesIO(response.body)
        return made

    def close(self) -> None:
        """Close nothing: the connections are Courier's."""


def _headers(headers: Mapping[str, str | bytes]) -> dict[str, str]:
    return {
        name: value.decode("latin-1") if isinstance(value, bytes) else value
        for name, value in headers.items()
        if name.lower() not in {"content-length", "transfer-encoding"}
    }


def _body(body: Any) -> bytes | None:
    """Return a body as bytes: a text, bytes, a file or parts, of which `requests` takes any."""
    if body is None or isinstance(body, bytes):
        return body
    if isinstance(body, str):
        return body.encode()
    read = body.read() if hasattr(body, "read") else b"".join(body)
    return read.encode() if isinstance(read, str) else bytes(read)


def _install() -> None:
    """Let sessions look for `through`, once for the process."""
    with _installing:
        if not hasattr(requests.Session.get_adapter, "__wrapped__"):
            requests.Session.get_adapter = _get_adapter(requests.Session.get_adapter)  # type: ignore[method-assign]  # the one place that all requests pass
            requests.Session.prepare_request = _prepare(requests.Session.prepare_request)  # type: ignore[method-assign]  # as above


def _get_adapter(original: Callable[..., BaseAdapter]) -> Callable[..., BaseAdapter]:
    @wraps(original)
    def get_adapter(session: requests.Session, *arguments: Any, **named: Any) -> BaseAdapter:
        exchanges = _sender.get()
        return Adapter(exchanges) if exchanges else original(session, *arguments, **named)

    return get_adapter


def _prepare(original: Callable[..., requests.PreparedRequest]) -> Callable[..., requests.PreparedRequest]:
    @wraps(original)
    def prepare_request(session: requests.Session, request: requests.Request) -> requests.PreparedRequest:
        if _sender.get():
            session.trust_env = False  # no credentials from ~/.netrc
        return original(session, request)

    return prepare_request
