"""Protects Flower's users from other web sites: it checks the Host header and forbids frames around its pages."""

from __future__ import annotations

import socket
from http import HTTPStatus
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final

from flower.app import Flower
from tornado.web import OutputTransform, RequestHandler

if TYPE_CHECKING:
    from collections.abc import Collection

    from tornado.httputil import HTTPHeaders, HTTPServerRequest

_HEADERS: Final = {"Content-Security-Policy": "frame-ancestors 'none'", "X-Frame-Options": "DENY"}


class NoFrames(OutputTransform):  # type: ignore[misc]  # Tornado's types are not read
    """Adds the headers to every response, including errors and static files."""

    def transform_first_chunk(
        self, status_code: int, headers: HTTPHeaders, chunk: bytes, finishing: bool
    ) -> tuple[int, HTTPHeaders, bytes]:
        """Return the response with the headers added; the body is unchanged."""
        del finishing
        headers.update(_HEADERS)
        return status_code, headers, chunk


class WrongHost(RequestHandler):  # type: ignore[misc]  # as above
    """Rejects a request with 421 and names the setting that allows its host."""

    def prepare(self) -> None:
        """Send the response before Tornado looks for a handler of the method."""
        self.set_status(HTTPStatus.MISDIRECTED_REQUEST)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish("unknown host name: add it to flower.hosts (COURIER_FLOWER_HOSTS)\n")


class GuardedFlower(Flower):  # type: ignore[misc]  # Flower ships no types
    """Flower that accepts only requests for an IP address, localhost, this machine's name or one of `hosts`.

    Another site can resolve its own name to Flower's address (DNS rebinding). Its requests then have that name in the
    Host header; it does not control the names that are accepted.
    """

    def __init__(self, *arguments: Any, hosts: Collection[str], **options: Any) -> None:
        self._hosts = {"localhost", socket.gethostname().lower(), *hosts}
        super().__init__(*arguments, transforms=[NoFrames], **options)

    def find_handler(self, request: HTTPServerRequest, **options: Any) -> Any:
        """Return the handler of the request; WrongHost if its host name is unknown."""
        if not self._is_known(request.host_name):
            return self.get_handler_delegate(request, WrongHost)
        return super().find_handler(request, **options)

    def _is_known(self, host: str) -> bool:
        name = host.strip("[]").removesuffix(".")
        try:
            return bool(ip_address(name))
        except ValueError:
            return name in self._hosts or name.endswith(".localhost")
