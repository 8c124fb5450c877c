"""What every handle of libcurl has in common: the address guard, certificates, the proxy and time limits.

The time limit applies to the whole call, from the first to the last byte. It includes name resolution, the proxy and
TLS, and it stops a server that sends only one byte a second.
"""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Any, Final

import pycurl

from workers.transports.http.addresses import refusal
from workers.transports.http.trust import trust_store_of

if TYPE_CHECKING:
    from common.settings.schema import Policy

_PROBE_AFTER_S: Final = 30
_PROBE_INTERVAL_S: Final = 10
"""Keep-alive probes start after 30 s, before common firewalls silently drop an idle connection."""

_OF_A_PROXY: Final = {pycurl.CAINFO: pycurl.PROXY_CAINFO, pycurl.CAPATH: pycurl.PROXY_CAPATH}
"""libcurl's option for the trusted authorities → the same option for a proxy with TLS."""


class Handle:
    """One handle of libcurl. It makes one call at a time."""

    def __init__(self) -> None:
        self._curl = pycurl.Curl()
        self._policy: Policy | None = None
        self._has_proxy = False
        self._limit_s = 0.0
        self._refused, self._opened = "", False
        self._socket: socket.socket | None = None

    def last_error(self) -> tuple[int, int]:
        """Return the system's error number and the proxy's status of the last failed call, 0 for none."""
        return self._curl.getinfo(pycurl.OS_ERRNO), self._curl.getinfo(pycurl.HTTP_CONNECTCODE)

    def refused(self) -> str:
        """Return why the last call was blocked (`addresses`); empty if it could open a connection to any address."""
        return "" if self._opened else self._refused

    def close(self) -> None:
        """Free the memory. reset() breaks the callbacks' reference cycle: workers seldom collect garbage."""
        self._curl.reset()
        self._curl.close()

    def _connect_as(self, policy: Policy, proxy: str, max_idle_s: int) -> None:
        """Forget all options, and set those of the connection, of which an idle one is kept for `max_idle_s`."""
        curl = self._curl
        curl.reset()
        self._limit_s = 0.0
        self._policy, self._has_proxy = policy, bool(proxy)
        curl.setopt(pycurl.NOSIGNAL, 1)  # libcurl-thread(3): a signal would hit any thread
        curl.setopt(pycurl.PROXY, proxy)
        curl.setopt(pycurl.NOPROXY, "")  # the transport has already applied the environment's
        curl.setopt(pycurl.MAXAGE_CONN, max_idle_s)
        curl.setopt(pycurl.TCP_KEEPALIVE, 1)
        curl.setopt(pycurl.TCP_KEEPIDLE, _PROBE_AFTER_S)
        curl.setopt(pycurl.TCP_KEEPINTVL, _PROBE_INTERVAL_S)
        curl.setopt(pycurl.OPENSOCKETFUNCTION, self._open)
        curl.setopt(pycurl.SOCKOPTFUNCTION, self._close_copy)
        _set_trust(curl, policy)

    def _begin(self, limit_s: float) -> None:
        """Prepare for a call that may take `limit_s`."""
        self._refused, self._opened = "", False
        if limit_s == self._limit_s:
            return
        assert self._policy is not None  # noqa: S101 — set by _connect_as
        self._limit_s = limit_s
        self._curl.setopt(pycurl.TIMEOUT_MS, _ms(limit_s))
        self._curl.setopt(pycurl.CONNECTTIMEOUT_MS, _ms(min(limit_s, self._policy.connect_timeout_s)))

    def _open(self, _purpose: int, to: Any) -> socket.socket | int:
        """Return a socket for one of the target's addresses, or SOCKET_BAD if the address is blocked."""
        assert self._policy is not None  # noqa: S101 — libcurl connects only within a call
        why = refusal(to.addr[0], self._policy, of_proxy=self._has_proxy)
        if why:
            self._refused = why
            return int(pycurl.SOCKET_BAD)
        self._opened = True
        self._socket = socket.socket(to.family, to.socktype, to.protocol)
        return self._socket

    def _close_copy(self, descriptor: int, _purpose: int) -> int:
        """Close our socket: pycurl has duplicated it for libcurl. Scripts must not inherit the duplicate."""
        if self._socket:
            self._socket.close()
        os.set_inheritable(descriptor, False)
        return int(pycurl.SOCKOPT_OK)


def _set_trust(curl: pycurl.Curl, policy: Policy) -> None:
    curl.setopt(pycurl.SSLVERSION, pycurl.SSLVERSION_TLSv1_2)
    curl.setopt(pycurl.SSL_VERIFYPEER, policy.verify_tls)
    curl.setopt(pycurl.SSL_VERIFYHOST, 2 if policy.verify_tls else 0)
    curl.setopt(pycurl.PROXY_SSL_VERIFYPEER, policy.verify_tls)
    curl.setopt(pycurl.PROXY_SSL_VERIFYHOST, 2 if policy.verify_tls else 0)
    for option in (*_OF_A_PROXY, *_OF_A_PROXY.values()):
        curl.unsetopt(option)
    authorities = trust_store_of(policy)
    option = pycurl.CAPATH if authorities.is_folder else pycurl.CAINFO
    curl.setopt(option, authorities.path)
    curl.setopt(_OF_A_PROXY[option], authorities.path)
    if policy.client_cert:
        curl.setopt(pycurl.SSLCERT, str(policy.client_cert))
        curl.setopt(pycurl.SSLKEY, str(policy.client_key or policy.client_cert))
        curl.setopt(pycurl.KEYPASSWD, "")  # otherwise OpenSSL asks for it on the terminal


def _ms(seconds: float) -> int:
    return max(1, round(1000 * seconds))  # 0 is no limit
