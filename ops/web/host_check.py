"""Checks the Host header, so that another web site cannot reach a page of Courier under a name of its own.

Another site can resolve its own name to the address of the page (DNS rebinding). Its requests then have that name in
the Host header; it does not control the names that are accepted.
"""

from __future__ import annotations

import socket
from http import HTTPStatus
from ipaddress import ip_address
from typing import TYPE_CHECKING

from tornado.web import RequestHandler

if TYPE_CHECKING:
    from collections.abc import Collection


class KnownHosts:
    """IP addresses, localhost, the name of this machine and `hosts`, which are lower case."""

    def __init__(self, hosts: Collection[str]) -> None:
        self._hosts = {"localhost", socket.gethostname().lower(), *hosts}

    def __contains__(self, host: str) -> bool:
        name = host.strip("[]").removesuffix(".")
        try:
            return bool(ip_address(name))
        except ValueError:
            return name in self._hosts or name.endswith(".localhost")


class WrongHost(RequestHandler):
    """Rejects a request with 421 and names the setting that allows its host."""

    def initialize(self, *, setting: str) -> None:
        """`setting` is the name of the setting, such as `flower.hosts`."""
        self._setting = setting

    def prepare(self) -> None:
        """Send the response before Tornado looks for a handler of the method."""
        self.set_status(HTTPStatus.MISDIRECTED_REQUEST)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        variable = f"COURIER_{self._setting.replace('.', '_').upper()}"
        self.finish(f"unknown host name: add it to {self._setting} ({variable})\n")
