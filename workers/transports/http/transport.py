"""Makes HTTP calls over keep-alive connections, each with one time limit for the whole call.

Calls share nothing but the connections: there are no cookies, no redirects and no credentials from ~/.netrc. The
prepared form of a repeated request is cached, as the preparation takes several times as long as the call. So is the
form that libcurl has of it. What varies from alert to alert is added to both.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode, urlsplit

import pycurl
from requests import PreparedRequest
from requests.exceptions import InvalidHeader, InvalidURL
from requests.structures import CaseInsensitiveDict
from requests.utils import check_header_validity, default_headers, get_environ_proxies, select_proxy

from common.errors import TransportError
from common.outcome import Reason
from workers.transports.http.addresses import refusal_behind_proxy
from workers.transports.http.connections import Route
from workers.transports.http.failures import INVALID_URL, failure, where
from workers.transports.http.transfer import NOTHING, RequestTemplate, Transfer, Varying

if TYPE_CHECKING:
    from collections.abc import Mapping

    from common.settings.schema import Policy
    from workers.calls import Request, Response
    from workers.transports.http.connections import Connections

_CACHE_SIZE: Final = 256
"""Prepared requests that are cached. One is enough for a fixed URL; look-ups of the same value repeat."""

_MAX_IDLE_TRANSFERS: Final = 64
"""Handles of libcurl that an integration keeps, about 6 KiB each. A new one takes 15 µs."""

Pairs = tuple[tuple[str, str], ...]


class HttpTransport:
    """Makes the calls of one integration on the event loop, any number at once. Integrations share `connections`."""

    def __init__(self, policy: Policy, connections: Connections) -> None:
        self._policy, self._connections = policy, connections
        self._idle: list[Transfer] = []
        self._cache = lru_cache(_CACHE_SIZE)(self._prepare)

    async def send(self, call: Request) -> Response:
        """Make the call and return its response, whatever its status; a body over the limit is truncated.

        Raises TransportError. Its detail names host and port, never path, query or user.
        """
        limit_s = call.timeout_s or self._policy.request_timeout_s
        try:
            fixed, varying = (_split if call.varying else _whole)(call)
            template = self._cache(call.method, call.url, *fixed)
        except TransportError:
            raise
        except Exception as error:  # noqa: BLE001 — the libraries raise many types for a bad URL or header
            raise TransportError(Reason.INVALID_URL, _url_or_header_error(error)) from None
        transfer = self._idle.pop() if self._idle else Transfer()
        try:
            multi = self._connections.of(template.route)
            return await transfer.call(
                multi, template, call.body, limit_s, call.max_body_bytes, varying=varying, is_once=call.is_once
            )
        except pycurl.error as error:
            raise failure(error, transfer, self._policy, where(call.url), limit_s) from None
        except Exception as error:  # noqa: BLE001 — the text of the error could quote a secret
            raise TransportError(Reason.INTERNAL, f"{type(error).__name__} while calling {where(call.url)}") from None
        finally:
            self._release(transfer)

    def _release(self, transfer: Transfer) -> None:
        if len(self._idle) < _MAX_IDLE_TRANSFERS:
            self._idle.append(transfer)
        else:
            transfer.close()

    def _prepare(self, method: str, url: str, headers: Pairs, params: Pairs) -> RequestTemplate:
        request = prepare(method, url, dict(headers), dict(params))
        full_url = request.url or url
        parts = urlsplit(full_url)
        if parts.scheme not in {"http", "https"} or not _has_valid_labels(parts.hostname or ""):
            raise InvalidURL(url)
        if self._policy.proxy:
            proxy = self._policy.proxy.reveal()
        else:
            proxy = select_proxy(full_url, get_environ_proxies(full_url, no_proxy=None)) or ""
        if proxy and (why := refusal_behind_proxy(parts.hostname or "", self._policy)):
            raise TransportError(Reason.NOT_CONFIGURED, f"no connection to {where(url)}: {why}")
        host = parts.netloc.rpartition("@")[2]  # user and password are in a header already
        return RequestTemplate(
            method,
            parts._replace(netloc=host, fragment="").geturl(),
            _lines(request.headers),
            accept_encoding=request.headers["Accept-Encoding"],
            route=Route(
                f"{parts.scheme}://{host}", proxy, self._policy.allow_private if self._policy.deny_private else None
            ),
            policy=self._policy,
        )


def _whole(call: Request) -> tuple[tuple[Pairs, Pairs], Varying]:
    """Return the headers and parameters of a request that has none that vary."""
    return (tuple(call.headers.items()), tuple(call.params.items())), NOTHING


def _split(call: Request) -> tuple[tuple[Pairs, Pairs], Varying]:
    """Return the headers and parameters of a request without those that vary, and these.

    Raises InvalidHeader, and UnicodeEncodeError for characters outside Latin-1, as for the others.
    """
    names = call.varying
    headers = tuple(pair for pair in call.headers.items() if pair[0] not in names)
    params = tuple(pair for pair in call.params.items() if pair[0] not in names)
    lines = []
    for pair in [pair for pair in call.headers.items() if pair[0] in names]:
        check_header_validity(pair)
        lines.append(": ".join(pair).encode("latin-1"))
    return (headers, params), Varying(lines, urlencode([pair for pair in call.params.items() if pair[0] in names]))


def prepare(method: str, url: str, headers: Mapping[str, str], params: Mapping[str, str]) -> PreparedRequest:
    """Return a request without its body, with the headers that `requests` sends for a stock script (spec 5.1).

    Raises many types of error for a bad URL or header. Their texts may quote secrets.
    """
    merged = CaseInsensitiveDict({**default_headers(), "Accept-Encoding": "gzip, deflate"})
    merged.update(headers)
    request = PreparedRequest()
    request.prepare(method=method, url=url, headers=merged, params=dict(params))
    return request


def _lines(headers: Mapping[str, str]) -> list[bytes]:
    """Return headers as lines for libcurl. Raises UnicodeEncodeError for characters outside Latin-1."""
    lines = [f"{name}: {value}" if value else f"{name};" for name, value in headers.items() if name != "Content-Length"]
    unwanted = ["Expect:"] if "Content-Type" in headers else ["Expect:", "Content-Type:"]
    return [line.encode("latin-1") for line in lines + unwanted]


def _has_valid_labels(host: str) -> bool:
    """Return whether the length of each label of a host name is valid (RFC 1035, 2.3.4)."""
    return all(0 < len(label) < 64 for label in host.removesuffix(".").split("."))  # noqa: PLR2004 — the RFC's own


def _url_or_header_error(error: Exception) -> str:
    if isinstance(error, InvalidHeader | UnicodeEncodeError):
        return "a header cannot be sent: does api_key contain a line break or another invalid character?"
    return INVALID_URL
