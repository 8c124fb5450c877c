"""HTTP calls over kept-alive connections, each within one time limit for the call as a whole.

Nothing is carried over from one call to the next but the connections: no cookies, no redirects, no credentials from
~/.netrc. A request that is sent again and again is prepared once: that is two thirds of what a call costs.
"""

from __future__ import annotations

import time
import warnings
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlsplit

from requests import PreparedRequest
from requests.exceptions import InvalidHeader
from requests.structures import CaseInsensitiveDict
from requests.utils import default_headers, get_environ_proxies
from urllib3.exceptions import InsecureRequestWarning

from common.errors import TransportError
from common.outcome import Reason
from workers.integrations.base import Answer
from workers.transports.connections import Adapter
from workers.transports.deadline import limited
from workers.transports.http_errors import reason_of, words_of
from workers.transports.tls import tls_context

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from common.settings_schema import Policy
    from workers.integrations.base import Request

MAX_BODY_BYTES: Final = 1024 * 1024
"""So much of an answer is read; the services' answers have a few KiB."""

_CHUNK_BYTES: Final = 65_536
_REMEMBERED: Final = 256
"""Prepared requests: one is enough where the URL stays the same, and look-ups of one address repeat."""

Pairs = tuple[tuple[str, str], ...]


class _Prepared(NamedTuple):
    request: PreparedRequest
    proxies: dict[str, str]


class HttpTransport:
    """Makes the calls of one integration, from up to `policy.concurrency` threads. `clock` is monotonic."""

    def __init__(self, policy: Policy, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._policy, self._clock = policy, clock
        self._remembered = lru_cache(_REMEMBERED)(self._prepare)
        if not policy.verify_tls:  # the operator knows: a warning with each call would tell nothing new
            warnings.simplefilter("ignore", InsecureRequestWarning)

    def send(self, call: Request) -> Answer:
        """Make the call and return its answer, whatever its status; a body over the limit is cut there.

        Raises TransportError, whose detail names host and port, never path, query or user.
        """
        limit_s = call.timeout_s or self._policy.time_limit_s
        try:
            prepared = self._remembered(call.method, call.url, tuple(call.headers.items()), tuple(call.params.items()))
        except Exception as error:  # noqa: BLE001 — whatever a URL or a header makes the libraries raise
            raise TransportError(Reason.BAD_URL, _unsendable(error)) from None
        try:
            with limited(limit_s, self._clock):
                return self._exchange(prepared, call.body, limit_s)
        except TransportError:
            raise
        except Exception as error:  # noqa: BLE001 — nothing else may leave: the table knows all of them
            raise _no_answer(error, _where(call.url), limit_s) from None

    def _exchange(self, prepared: _Prepared, body: bytes | None, limit_s: float) -> Answer:
        request = prepared.request.copy()
        if body is not None:
            request.body = body
            request.headers["Content-Length"] = str(len(body))
        timeout = (min(self._policy.connect_timeout_s, limit_s), limit_s)
        response = self._adapter.send(request, stream=True, timeout=timeout, proxies=prepared.proxies)
        try:
            headers = {name.lower(): value for name, value in response.headers.items()}
            return Answer(status=response.status_code, headers=headers, body=_read(response.raw))
        finally:
            response.close()

    def _prepare(self, method: str, url: str, headers: Pairs, params: Pairs) -> _Prepared:
        request = prepared(method, url, dict(headers), dict(params))
        return _Prepared(request, self._proxies(request.url or url))

    def _proxies(self, url: str) -> dict[str, str]:
        if self._policy.proxy:
            return dict.fromkeys(("http", "https"), self._policy.proxy.reveal())
        return dict(get_environ_proxies(url, no_proxy=None))

    @cached_property
    def _adapter(self) -> Adapter:
        return Adapter(self._policy.concurrency, tls_context(self._policy))


def prepared(method: str, url: str, headers: Mapping[str, str], params: Mapping[str, str]) -> PreparedRequest:
    """Return a request without its body, with the headers of a stock script's `requests` (spec 5.1).

    Raises whatever a URL or a header makes the libraries raise; its text may quote them.
    """
    merged = CaseInsensitiveDict({**default_headers(), "Accept-Encoding": "gzip, deflate"})
    merged.update(headers)
    request = PreparedRequest()
    request.prepare(method=method, url=url, headers=merged, params=dict(params))
    return request


def _read(raw: Any) -> bytes:
    """Return the decoded body up to the limit."""
    body = bytearray()
    for chunk in raw.stream(_CHUNK_BYTES, decode_content=True):
        body += chunk
        if len(body) >= MAX_BODY_BYTES:
            break
    return bytes(body[:MAX_BODY_BYTES])


def _where(url: str) -> str:
    """Return host and port, or no more than that there is one where a password may have slipped into the host."""
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname, parts.port
    except ValueError:
        return "the target"
    if not host or "@" in f"{parts.path}{parts.query}{parts.fragment}":
        return "the target"
    shown = f"[{host}]" if ":" in host else host
    return shown if port is None else f"{shown}:{port}"


def _unsendable(error: Exception) -> str:
    if isinstance(error, InvalidHeader | UnicodeEncodeError):
        return "a header cannot be sent: is there a line end or another odd character in api_key?"
    return "hook_url is no http:// or https:// URL that can be called"


def _no_answer(error: Exception, where: str, limit_s: float) -> TransportError:
    reason, words = reason_of(error), words_of(error)
    told = {
        Reason.TIMEOUT: f"{where} did not answer in time; the call had {limit_s:g} s",
        Reason.TLS: f"{where} is not trusted, or does not speak TLS",
        Reason.CONNECT: f"no connection to {where}",
        Reason.BAD_ANSWER: f"the answer of {where} cannot be read",
        Reason.BAD_URL: _unsendable(error),
        Reason.NOT_CONFIGURED: "the proxy's URL cannot be used",
    }.get(reason, f"{type(error).__name__} on the way to {where}")
    return TransportError(reason, f"{told}: {words}" if words and reason is not Reason.TIMEOUT else told)
