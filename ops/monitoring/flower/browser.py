"""What protects whoever has Flower open from other sites: the name that is asked for, and no frame around a page."""

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
    """Puts the headers on every response, those of errors and static files included."""

    def transform_first_chunk(
        self, status_code: int, headers: HTTPHeaders, chunk: bytes, finishing: bool
    ) -> tuple[int, HTTPHeaders, bytes]:
        """Return what is sent."""
        del finishing
        headers.update(_HEADERS)
        return status_code, headers, chunk


class WrongHost(RequestHandler):  # type: ignore[misc]  # as above
    """Refuses a request, and says which setting allows it."""

    def prepare(self) -> None:
        """Answer it."""
        self.set_status(HTTPStatus.MISDIRECTED_REQUEST)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish("Flower is not asked by this name: add it to flower.hosts (COURIER_FLOWER_HOSTS)\n")


class GuardedFlower(Flower):  # type: ignore[misc]  # Flower ships no types
    """Flower that answers only when it is asked by an IP address, as localhost, or by one of `hosts`.

    A page of another site can give its own name Flower's address (DNS rebinding). Its requests have that name in the
    Host header; it has no power over the names that pass.
    """

    def __init__(self, *arguments: Any, hosts: Collection[str], **options: Any) -> None:
        self._hosts = {"localhost", socket.gethostname().lower(), *hosts}
        super().__init__(*arguments, transforms=[NoFrames], **options)

    def find_handler(self, request: HTTPServerRequest, **options: Any) -> Any:
        """Return what answers the request."""
        if not self._is_known(request.host_name):
            return self.get_handler_delegate(request, WrongHost)
        return super().find_handler(request, **options)

    def _is_known(self, host: str) -> bool:
        name = host.strip("[]").removesuffix(".")
        try:
            return bool(ip_address(name))
        except ValueError:
            return name in self._hosts or name.endswith(".localhost")
