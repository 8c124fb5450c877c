"""Protects Flower's users from other web sites: it checks the Host header and forbids frames around its pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from flower.app import Flower
from tornado.web import OutputTransform

from ops.web.host_check import KnownHosts, WrongHost

if TYPE_CHECKING:
    from collections.abc import Collection

    from tornado.httputil import HTTPHeaders, HTTPServerRequest

_HEADERS: Final = {"Content-Security-Policy": "frame-ancestors 'none'", "X-Frame-Options": "DENY"}


class NoFrames(OutputTransform):
    """Adds the headers to every response, including errors and static files."""

    def transform_first_chunk(
        self, status_code: int, headers: HTTPHeaders, chunk: bytes, finishing: bool
    ) -> tuple[int, HTTPHeaders, bytes]:
        """Return the response with the headers added; the body is unchanged."""
        del finishing
        headers.update(_HEADERS)
        return status_code, headers, chunk


class GuardedFlower(Flower):  # type: ignore[misc]  # Flower ships no types
    """Flower that accepts only requests for an IP address, localhost, this machine's name or one of `hosts`."""

    def __init__(self, *arguments: Any, hosts: Collection[str], **options: Any) -> None:
        self._hosts = KnownHosts(hosts)
        super().__init__(*arguments, transforms=[NoFrames], **options)

    def find_handler(self, request: HTTPServerRequest, **options: Any) -> Any:
        """Return the handler of the request; WrongHost if its host name is unknown."""
        if request.host_name not in self._hosts:
            return self.get_handler_delegate(request, WrongHost, {"setting": "flower.hosts"})
        return super().find_handler(request, **options)
