"""What a value of an alert is as a text, as a number and as an address."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, Final

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_MAX_NUMBER_CHARS: Final = 64
_MAX_ADDRESS_CHARS: Final = 64
_NUMBER: Final = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_MAPPED: Final = IPv6Network("::ffff:0:0/96")


def text_of(value: Any) -> str | None:
    """Return a value as text, as JSON writes it; None for an object.

    A fraction has the shortest text that means the same double, unless its type keeps its own text.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return None if isinstance(value, dict) else str(value)


def number_of(value: Any) -> int | float | None:
    """Return the number that a value is, or that it has as its text; None if it is none."""
    if isinstance(value, int | float):
        return None if isinstance(value, bool) else value
    text = text_of(value)
    return None if text is None else parse_number(text)


def parse_number(text: str) -> int | float | None:
    """Return the number of a text such as `7`, `-0.5` or `1e3`; None for anything else, also for hexadecimal."""
    if len(text) > _MAX_NUMBER_CHARS or not (found := _NUMBER.fullmatch(text)):
        return None
    return float(text) if found[1] or found[2] else int(text)


def address_of(value: Any) -> Address | None:
    """Return the IP address that a text is; None if anything surrounds it, such as a port.

    An IPv4 address that is written as IPv6 (`::ffff:10.0.0.1`) is an IPv4 address. A zone (`%eth0`) is ignored.
    """
    if not isinstance(value, str) or len(value) > _MAX_ADDRESS_CHARS:
        return None  # a JSON number is no address, though the standard library would read it as one
    try:
        address = ip_address(value)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def parse_network(text: str) -> Network:
    """Return the network of a text; an address is a network of one. Raises ValueError for anything else.

    A part of `::ffff:0:0/96` becomes the IPv4 network that it maps, as addresses do.
    """
    network = ip_network(text, strict=False)
    if network.network_address != ip_address(text.partition("/")[0]):
        raise ValueError(f'{text} has bits behind its prefix; write "{network}"')
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        return IPv4Network((int(network.network_address) & 0xFFFFFFFF, network.prefixlen - _MAPPED.prefixlen))
    return network
