"""Blocks addresses: always link-local and cloud metadata addresses, and private ones with `deny_private`.

Courier checks an address when libcurl is about to connect to it. So a host name or another notation of a number cannot
bypass the check, and neither can a name whose address changes a second later (DNS rebinding).
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
"""These addresses serve the credentials of a machine, and no service there receives alerts."""

_NOT_GLOBAL: Final[Sequence[Network]] = (ip_network("fec0::/10"), ip_network("64:ff9b:1::/48"))
"""Private networks that `is_global` of Python 3.11 treats as global (RFC 3879; RFC 8215)."""

_NAT64: Final = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))
"""Prefixes that a translator maps to the IPv4 address in the last 32 bits (RFC 6052, 2.1; RFC 8215)."""

_IPV4: Final = 1 << 32


def refusal(address: str, policy: Policy, *, of_proxy: bool = False) -> str:
    """Return why a numeric address is blocked, naming the setting; empty if it is allowed.

    `deny_private` does not apply to a proxy (`of_proxy`), as the operator has configured its address.
    """
    return _refusal(address, policy.deny_private and not of_proxy, policy.allow_private)


def refusal_behind_proxy(host: str, policy: Policy) -> str:
    """Return why a URL's host is blocked, if it is an address. A name is not checked: only the proxy resolves it."""
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
        return f"{text!r} is not an IP address"  # never happens: libcurl passes numeric addresses
    meant = _inner(address) or (address,)
    both = (address, *meant)
    if _any_in(both, NEVER):
        return f"{text} is a link-local or cloud metadata address, to which Courier never connects"
    is_global = all(one.is_global for one in meant) and not _any_in(both, _NOT_GLOBAL)
    if deny_private and not is_global and not _any_in(both, allowed):
        return f"{text} is a private address, which deny_private blocks; to allow it, add its network to allow_private"
    return ""


def _inner(address: Address) -> tuple[IPv4Address, ...]:
    """Return the IPv4 addresses that a packet for an IPv6 address may reach: mapped, NAT64, 6to4, Teredo."""
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
