"""One HTTP call of libcurl. It uses a quarter of the CPU time of `requests` (`ops/docs/decisions/0004`).

Before libcurl reuses an idle connection, it checks whether the server has closed it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import pycurl

from workers.calls import Response
from workers.transports.http.errors import broken_by
from workers.transports.http.handle import Handle
from workers.transports.http.multi import MAX_IDLE_S

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from common.settings.schema import Policy
    from workers.transports.http.connections import Route
    from workers.transports.http.multi import Multi

FINAL: Final = 200
"""Lower status codes are interim: the final one follows (RFC 9110, 15.2)."""

_MAX_KEPT_BODY_BYTES: Final = 65_536
"""libcurl keeps a reference to the last body; a larger one is released after the call."""


class RequestTemplate:
    """A request without its body, prepared for libcurl. It contains secrets, so its `repr` omits its parts.

    `url` has no user, password and fragment, `headers` are lines, `policy` names the trusted authorities.
    """

    __slots__ = ("accept_encoding", "headers", "method", "policy", "route", "url")

    def __init__(
        self,
        method: str,
        url: str,
        headers: list[bytes],
        *,
        accept_encoding: str,
        route: Route,
        policy: Policy,
    ) -> None:
        self.method, self.url, self.headers = method, url, headers
        self.accept_encoding, self.route, self.policy = accept_encoding, route, policy


class Varying(NamedTuple):
    """What one request has in addition to its template: lines of headers, and the end of the URL's query."""

    headers: Sequence[bytes] = ()
    query: str = ""


NOTHING: Final = Varying()


class Transfer(Handle):
    """Makes calls one after the other. With the same template, a call sets only its body and what varies."""

    def __init__(self) -> None:
        super().__init__()
        self._template: RequestTemplate | None = None
        self._varying = NOTHING
        self._max_body_bytes = 0
        self._is_once = False
        self._lines: list[bytes] = []
        self._body = bytearray()

    async def call(
        self,
        multi: Multi,
        template: RequestTemplate,
        body: bytes | None,
        limit_s: float,
        max_body_bytes: int,
        *,
        varying: Varying = NOTHING,
        is_once: bool = False,
    ) -> Response:
        """Return the response to one request, which may take `limit_s`, with at most `max_body_bytes` of its body.

        After a final status line there is always a response; `broken` says why the rest cannot be read. The target has
        processed the request by then, and a repeated request would be a duplicate. Raises `pycurl.error` if no final
        status line arrives. With `is_once` the request gets a connection of its own: libcurl itself repeats a request
        if a connection that it has reused ends without a response.
        """
        curl, broken = self._curl, ""
        self._prepare(template, body, varying, is_once=is_once)
        self._begin(limit_s)
        self._lines.clear()
        self._body.clear()
        self._max_body_bytes = max_body_bytes
        try:
            await multi.perform(curl)
        except pycurl.error as error:
            if curl.getinfo(pycurl.RESPONSE_CODE) < FINAL:
                raise
            if len(self._body) < max_body_bytes:
                broken = broken_by(error.args[0])
        if body and len(body) > _MAX_KEPT_BODY_BYTES:
            curl.setopt(pycurl.POSTFIELDS, b"")
        status, headers = curl.getinfo(pycurl.RESPONSE_CODE), _headers(self._lines)
        is_cut = bool(broken) or len(self._body) >= max_body_bytes
        return Response(status=status, headers=headers, body=bytes(self._body), broken=broken, is_cut=is_cut)

    def _prepare(self, template: RequestTemplate, body: bytes | None, varying: Varying, *, is_once: bool) -> None:
        """Set what differs from the last call."""
        if template is not self._template:
            self._configure(template)
        if varying != self._varying:
            self._vary(template, varying)
        if is_once is not self._is_once:
            self._curl.setopt(pycurl.FRESH_CONNECT, is_once)
            self._is_once = is_once
        if body is None and template.method == "GET":
            self._curl.setopt(pycurl.HTTPGET, 1)
        else:
            self._curl.setopt(pycurl.POSTFIELDS, body or b"")

    def _configure(self, template: RequestTemplate) -> None:
        curl = self._curl
        self._template, self._varying, self._is_once = None, NOTHING, False
        self._connect_as(template.policy, template.route.proxy, MAX_IDLE_S)
        curl.setopt(pycurl.URL, template.url)
        curl.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
        curl.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1)
        curl.setopt(pycurl.PATH_AS_IS, 1)
        curl.setopt(pycurl.CUSTOMREQUEST, template.method)
        curl.setopt(pycurl.HTTPHEADER, template.headers)
        curl.setopt(pycurl.ACCEPT_ENCODING, template.accept_encoding)
        curl.setopt(pycurl.HEADERFUNCTION, self._lines.append)
        curl.setopt(pycurl.WRITEFUNCTION, self._append)
        self._template = template  # set last: if an option above is refused, the next call configures everything again

    def _vary(self, template: RequestTemplate, varying: Varying) -> None:
        """Set what varies; what the last call had is replaced."""
        self._template = None  # as above
        mark = "&" if "?" in template.url else "?"
        self._curl.setopt(pycurl.URL, f"{template.url}{mark}{varying.query}" if varying.query else template.url)
        self._curl.setopt(pycurl.HTTPHEADER, [*template.headers, *varying.headers])
        self._template, self._varying = template, varying

    def _append(self, chunk: bytes) -> int:
        """Keep the chunk up to the body limit. Returning less than its length makes libcurl end the call."""
        kept = chunk[: self._max_body_bytes - len(self._body)]
        self._body += kept
        return len(kept)


def _headers(lines: Iterable[bytes]) -> dict[str, str]:
    """Return the final response's headers, repeated ones joined (RFC 9110, 5.3), not those of a proxy or 1xx."""
    found: dict[str, str] = {}
    for line in lines:
        if line.startswith(b"HTTP/"):
            found.clear()
            continue
        name, colon, value = line.decode("latin-1").partition(":")
        if colon:
            name, value = name.strip().lower(), value.strip()
            found[name] = f"{found[name]}, {value}" if name in found else value
    return found
