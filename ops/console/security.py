"""Who may see and change what: the login, and what protects the pages from other web sites.

A visitor logs in with `flower.basic_auth`, or a trusted proxy names the user. If neither is set up, everybody may read,
and nobody may change anything.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlsplit

from tornado.web import OutputTransform

if TYPE_CHECKING:
    from tornado.httputil import HTTPHeaders, HTTPServerRequest

    from common.settings.load import Settings

HEADERS: Final = {
    # No script or style inside a page, and nothing from elsewhere: markup that slipped through would do nothing.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}

CHALLENGE: Final = 'Basic realm="Courier", charset="UTF-8"'

_USER: Final = re.compile(r"[^\x00-\x1f\x7f-\x9f,]{1,100}")
"""A user of a proxy. Two headers of one name arrive joined by a comma."""

MAX_ADDRESS_CHARS: Final = 60
"""An IPv6 address with a port and a zone; what a proxy names may be anything."""


class SafeHeaders(OutputTransform):
    """Adds HEADERS to every response, including errors and static files."""

    def transform_first_chunk(
        self, status_code: int, headers: HTTPHeaders, chunk: bytes, finishing: bool
    ) -> tuple[int, HTTPHeaders, bytes]:
        """Return the response with the headers added; the body is unchanged."""
        del finishing
        headers.update(HEADERS)
        headers.pop("Server", None)  # Tornado's version is nobody's business
        return status_code, headers, chunk


class Visitor(NamedTuple):
    """Who sends a request. `user` is empty for somebody without a login, who may only read."""

    user: str

    @property
    def may_change(self) -> bool:
        """Whether the visitor may do more than read."""
        return bool(self.user)


class Logins:
    """Recognises who sends a request."""

    def __init__(self, settings: Settings) -> None:
        basic_auth, console = settings.flower.basic_auth, settings.console
        self._expected = _digest(basic_auth.reveal().encode()) if basic_auth else b""
        self._user = basic_auth.reveal().partition(":")[0] if basic_auth else ""
        self._proxies, self._header = console.trusted_proxies, console.user_header

    @property
    def is_open(self) -> bool:
        """Whether visitors need no login, and may therefore only read."""
        return not self._expected and not self._proxies

    @property
    def has_password(self) -> bool:
        """Whether a browser should ask for user and password."""
        return bool(self._expected)

    def visitor(self, request: HTTPServerRequest) -> Visitor | None:
        """Return who sends the request, None if the login is missing or wrong."""
        if self._is_from_proxy(request) and (user := self._named_by_proxy(request)):
            return Visitor(user)
        if self._expected and hmac.compare_digest(_digest(_credentials(request)), self._expected):
            return Visitor(self._user)
        return Visitor("") if self.is_open else None

    def tries_password(self, request: HTTPServerRequest) -> bool:
        """Return whether a password decides who sends the request, and it has one."""
        named = self._is_from_proxy(request) and self._named_by_proxy(request)
        return self.has_password and not named and "Authorization" in request.headers

    def address(self, request: HTTPServerRequest) -> str:
        """Return the address of the visitor: of those that trusted proxies name, the last one that is no such proxy."""
        address = request.remote_ip or ""
        forwarded = request.headers.get("X-Forwarded-For", "").split(",")
        while self._is_proxy(address) and forwarded and (last := forwarded.pop().strip()):
            address = last
        return address[:MAX_ADDRESS_CHARS]

    def is_https(self, request: HTTPServerRequest) -> bool:
        """Return whether the visitor's browser uses HTTPS, which a trusted proxy ends."""
        forwarded = request.headers.get("X-Forwarded-Proto", "") if self._is_from_proxy(request) else ""
        return (forwarded or request.protocol) == "https"

    def _is_from_proxy(self, request: HTTPServerRequest) -> bool:
        return self._is_proxy(request.remote_ip or "")

    def _is_proxy(self, address: str) -> bool:
        try:
            peer = ip_address(address)
        except ValueError:
            return False
        if isinstance(peer, IPv6Address) and peer.ipv4_mapped:  # a socket for both shows IPv4 as ::ffff:10.1.2.3
            peer = peer.ipv4_mapped
        return any(peer in network for network in self._proxies)

    def _named_by_proxy(self, request: HTTPServerRequest) -> str:
        raw = request.headers.get(self._header, "").strip()
        try:  # HTTP's headers are bytes, which Tornado reads as Latin-1
            name = raw.encode("latin-1").decode()
        except UnicodeError:
            return ""
        return name if _USER.fullmatch(name) else ""


def is_same_site(request: HTTPServerRequest) -> bool:
    """Return whether a form can have been sent by a page of this console, by the headers that no page can forge.

    Browsers send Sec-Fetch-Site to HTTPS and localhost, and Origin with every POST; other clients send neither.
    """
    if site := request.headers.get("Sec-Fetch-Site"):
        return site in {"same-origin", "none"}
    origin = request.headers.get("Origin")
    try:
        return origin is None or urlsplit(origin).netloc.lower() == request.host.lower()
    except ValueError:  # such as `http://[`
        return False


def is_part_of_other_page(request: HTTPServerRequest) -> bool:
    """Return whether a page of another site asks for this as an image, frame, stream and so on, not as a link.

    It could not read the response, but keep the console and Redis busy. Other ports of this host are other sites, too.
    """
    site, target = (request.headers.get(name, "") for name in ("Sec-Fetch-Site", "Sec-Fetch-Dest"))
    return site in {"cross-site", "same-site"} and target != "document"


def _credentials(request: HTTPServerRequest) -> bytes:
    kind, _, encoded = request.headers.get("Authorization", "").partition(" ")
    try:
        return base64.b64decode(encoded.strip(), validate=True) if kind.lower() == "basic" else b""
    except (binascii.Error, ValueError):
        return b""


def _digest(credentials: bytes) -> bytes:
    """Return a hash, so that a comparison takes the same time for credentials of every length."""
    return hashlib.sha256(credentials).digest()
