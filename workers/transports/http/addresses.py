"""Which addresses no call connects to: link-local and cloud metadata ones ever, private ones with `deny_private`.

An address is looked at when libcurl is about to connect to it, so neither a name nor the way in which a number is
written changes the answer, and a name that has another address a second later (DNS rebinding) is looked at again.
"""

from __future__ import annotations

import socket
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Sequence

    from common.settings.schema import Policy

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

NEVER: Final[Sequence[Network]] = tuple(
    map(
        ip_network,
        (
            "169.254.0.0/16",  # link-local (RFC 3927); metadata of AWS, Azure, Google, Oracle, OpenStack, DigitalOcean
            "fe80::/10",  # link-local (RFC 4291, 2.5.6)
            "fd00:ec2::/32",  # AWS: fd00:ec2::254 (EC2 User Guide, "Instance metadata"), ::23 (EKS Pod Identity)
            "fd20:ce::254/128",  # Google (Compute Engine, "View and query VM metadata")
            "fd00:c1::a9fe:a9fe/128",  # Oracle (OCI documentation, "Instance metadata")
            "fd00:42::42/128",  # Scaleway (Instances, "Instance metadata")
            "100.100.100.200/32",  # Alibaba Cloud (ECS documentation, "Instance metadata")
            "168.63.129.16/32",  # Azure's WireServer (Azure documentation, "What is IP address 168.63.129.16?")
        ),
    )
)
"""An answer from there is a machine's credentials, and nothing that takes alerts."""

_NOT_GLOBAL: Final[Sequence[Network]] = (ip_network("fec0::/10"), ip_network("64:ff9b:1::/48"))
"""Private ones that `is_global` of Python 3.11 takes for global (RFC 3879; RFC 8215)."""

_NAT64: Final = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))
"""Prefixes that a translator turns into the IPv4 address of the last 32 bits (RFC 6052, 2.1; RFC 8215)."""

_IPV4: Final = 1 << 32


def refusal(address: str, policy: Policy, *, of_proxy: bool = False) -> str:
    """Return why no call may connect to a numeric address, in words that name the setting; empty if one may.

    `deny_private` is about targets: a proxy stands in the settings itself (`of_proxy`).
    """
    return _refusal(address, policy.deny_private and not of_proxy, policy.allow_private)


def refusal_behind_proxy(host: str, policy: Policy) -> str:
    """Return the same for a URL's host, if it is a number: a proxy looks up the names and connects, not this worker."""
    host = unquote(host)
    try:
        address = host if ":" in host else socket.inet_ntoa(socket.inet_aton(host))  # 0x7f.1 is 127.0.0.1
    except OSError:
        return ""
    return refusal(address, policy)


@lru_cache(1024)
def _refusal(text: str, deny_private: bool, allowed: Sequence[Network]) -> str:
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return f"{text!r} is no IP address"  # never: libcurl gives numbers
    meant = _inner(address) or (address,)
    both = (address, *meant)
    if _any_in(both, NEVER):
        return f"{text} is a link-local or cloud metadata address, to which Courier never connects"
    is_global = all(one.is_global for one in meant) and not _any_in(both, _NOT_GLOBAL)
    if deny_private and not is_global and not _any_in(both, allowed):
        return f"{text} is a private address, which deny_private refuses; allow_private can name its network"
    return ""


def _inner(address: Address) -> tuple[IPv4Address, ...]:
    """Return the IPv4 addresses at which a packet for an IPv6 address may end: mapped, NAT64, 6to4, Teredo."""
    if isinstance(address, IPv4Address):
        return ()
    if address.teredo:
        return address.teredo
    if found := address.ipv4_mapped or address.sixtofour:
        return (found,)
    number = int(address)
    if any(address in network for network in _NAT64) or 1 < number < _IPV4:  # the latter: RFC 4291, 2.5.5.1
        return (IPv4Address(number % _IPV4),)
    return ()


def _any_in(addresses: Sequence[Address], networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks for address in addresses)
