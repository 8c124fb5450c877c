"""The connections of a worker: integrations share them if they call the same host in the same way.

With separate connections for each of 100 integrations, a worker kept 1,900 after a flood of alerts; it needs 90.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from workers.transports.http.multi import Multi

if TYPE_CHECKING:
    from collections.abc import Sequence
    from ipaddress import IPv4Network, IPv6Network


class Route(NamedTuple):
    """How requests reach a host. Those with the same route share connections, and the threads that look up its name.

    `origin` is scheme, host and port, `proxy` is empty for none, `allow_private` None without `deny_private`: libcurl
    would lend a connection to an address that `deny_private` blocks to any other call to the same host.
    """

    origin: str
    proxy: str
    allow_private: Sequence[IPv4Network | IPv6Network] | None


class Connections:
    """The multi handles of a worker. All methods must be called on the event loop."""

    def __init__(self) -> None:
        self._by_route: dict[Route, Multi] = {}

    def of(self, route: Route) -> Multi:
        """Return the multi handle for a route."""
        if route not in self._by_route:
            self._by_route[route] = Multi(on_close=partial(self._by_route.pop, route))
        return self._by_route[route]

    def close(self) -> None:
        """Close all connections. There must be no call in progress."""
        for multi in tuple(self._by_route.values()):
            multi.close()
