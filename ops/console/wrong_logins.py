"""Slows down the guessing of the password: how many wrong logins an address still has.

An address that has none left gets no answer about its login until it has waited. Nothing waits in the console.
A browser that has logged in before is known by its CSRF cookie and has wrong logins of its own, so that whoever guesses
behind the same address, such as that of a reverse proxy, keeps nobody out who works there.
"""

from __future__ import annotations

import time
from ipaddress import IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

BURST: Final = 20
"""Wrong logins without waiting: open pages may repeat an old password once each."""

REFILL_S: Final = 5.0
"""After this time there is one more."""

MAX_KEPT: Final = 10_000
"""Addresses and browsers that are remembered, about 2 MB each; the oldest ones are forgotten first."""

MAX_COOKIE_CHARS: Final = 200


class WrongLogins:
    """Counts wrong logins by visitor: an address, or a browser by its cookie. `now` returns seconds."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._full_at_s: dict[str, float] = {}
        self._browsers: dict[str, None] = {}

    def visitor(self, address: str, cookie: str) -> str:
        """Return the text that names who sends a request: the cookie if it was remembered, otherwise its network."""
        return cookie if cookie in self._browsers else network_of(address)

    def remember(self, cookie: str) -> None:
        """Remember the browser with this cookie: it has sent the right password."""
        if cookie and len(cookie) <= MAX_COOKIE_CHARS:
            self._browsers[cookie] = None
            _forget_oldest(self._browsers)

    def wait_s(self, visitor: str) -> float:
        """Return after how many seconds the next login of the visitor is checked, 0 for now."""
        return max(0.0, self._full_at_s.get(visitor, 0.0) - self._now() - (BURST - 1) * REFILL_S)

    def add(self, visitor: str) -> bool:
        """Count a wrong login. Return whether the visitor must wait now."""
        full_at_s = max(self._full_at_s.pop(visitor, 0.0), self._now())
        self._full_at_s[visitor] = full_at_s + REFILL_S
        _forget_oldest(self._full_at_s)
        return self.wait_s(visitor) > 0


def network_of(address: str) -> str:
    """Return what one visitor may have: an IPv4 address, or the /64 of an IPv6 address; empty if it is neither."""
    try:
        known = ip_address(address)
    except ValueError:
        return ""
    if isinstance(known, IPv6Address):
        return str(known.ipv4_mapped or IPv6Network((int(known), 64), strict=False))
    return str(known)


def _forget_oldest(kept: dict[str, float] | dict[str, None]) -> None:
    if len(kept) > MAX_KEPT:
        del kept[next(iter(kept))]
