"""Finds what an analyst looks up in an alert: addresses, names, URLs, hashes and users.

An alert is hostile text. A value counts only if it is what its place promises: an address that can be parsed, a hash of
the right length. Services compare these values with those of other alerts, so a wrong one would connect two cases.
"""

from __future__ import annotations

import ipaddress
import re
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlsplit

from workers.integrations.helpers.alert_fields import get
from workers.message.markup import one_line
from workers.redaction import readable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MAX_OBSERVABLES: Final = 20
"""Observables of one alert: a hostile one cannot fill a case."""

MAX_URL_CHARS: Final = 2_000
MAX_USER_CHARS: Final = 100
"""A longer URL or name is left out: a part of it would be another one."""


class Kind(StrEnum):
    """What an observable is."""

    SRCIP = "srcip"
    DSTIP = "dstip"
    DOMAIN = "domain"
    URL = "url"
    MD5 = "md5"
    SHA1 = "sha1"
    SHA256 = "sha256"
    USER = "user"


class Observable(NamedTuple):
    """One value and where the alert has it, such as `data.srcip`."""

    kind: Kind
    value: str
    place: str


HASH_CHARS: Final = {Kind.MD5: 32, Kind.SHA1: 40, Kind.SHA256: 64}

_PLACES: Final[tuple[tuple[Kind, str], ...]] = (
    *(
        (Kind.SRCIP, f"data.{name}")
        for name in ("srcip", "src_ip", "win.eventdata.ipAddress", "win.eventdata.sourceIp")
    ),
    *((Kind.DSTIP, f"data.{name}") for name in ("dstip", "dest_ip", "win.eventdata.destinationIp")),
    *((kind, f"syscheck.{kind}_after") for kind in HASH_CHARS),
    *((kind, f"data.virustotal.source.{kind}") for kind in (Kind.MD5, Kind.SHA1)),
    *((kind, "data.win.eventdata.hashes") for kind in HASH_CHARS),
    (Kind.URL, "data.url"),
    *((Kind.DOMAIN, f"data.{name}") for name in ("win.eventdata.queryName", "dns.query.0.rrname", "tls.sni")),
    *((Kind.USER, f"data.{name}") for name in ("srcuser", "dstuser", "win.eventdata.targetUserName")),
)
"""Where the decoders of Wazuh, Suricata and Sysmon put them."""

_DOMAIN: Final = re.compile(r"(?=.{4,253}\Z)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]")


def observables(fields: dict[str, Any]) -> tuple[Observable, ...]:
    """Return the observables of an alert, each value of a kind once, at most MAX_OBSERVABLES."""
    found: dict[tuple[Kind, str], Observable] = {}
    for one in _all(fields):
        found.setdefault((one.kind, one.value), one)
    return tuple(found.values())[:MAX_OBSERVABLES]


def _all(fields: dict[str, Any]) -> Iterator[Observable]:
    for kind, place in _PLACES:
        raw = get_at(fields, place)
        if isinstance(raw, str) and (value := _READERS[kind](kind, raw)):
            yield Observable(kind, value, place)


def get_at(fields: dict[str, Any], place: str) -> Any:
    """Return the value at a place such as `data.dns.query.0.rrname`, None if there is none."""
    before, number, after = place.partition(".0.")
    if not number:
        return get(fields, *place.split("."))
    several = get(fields, *before.split("."))
    first = several[0] if isinstance(several, list) and several else None
    return get(first, *after.split(".")) if isinstance(first, dict) else None


def _address(_kind: Kind, text: str) -> str:
    try:
        address = ipaddress.ip_address(text)
        address = getattr(address, "ipv4_mapped", None) or address  # Windows logs ::ffff:10.0.0.1
    except ValueError:
        return ""
    return "" if address.is_unspecified or address.is_loopback or "%" in text else str(address)


def _hash(kind: Kind, text: str) -> str:
    """Return a hash, also out of Sysmon's `SHA1=…,MD5=…`."""
    if "=" in text:
        parts = dict(one.partition("=")[::2] for one in text[:500].split(","))
        text = parts.get(kind.upper(), "")
    return text.lower() if re.fullmatch(rf"[0-9A-Fa-f]{{{HASH_CHARS[kind]}}}", text) else ""


def _url(_kind: Kind, text: str) -> str:
    if len(text) > MAX_URL_CHARS or not re.fullmatch(r"https?://[!-~]+", text):
        return ""
    try:
        return text if urlsplit(text).hostname else ""
    except ValueError:
        return ""


def _domain(_kind: Kind, text: str) -> str:
    name = text.lower().removesuffix(".")
    return name if _DOMAIN.fullmatch(name) else ""


def _user(_kind: Kind, text: str) -> str:
    name = one_line(readable(text[: MAX_USER_CHARS + 1]))
    return name if 0 < len(name) <= MAX_USER_CHARS and name != "-" else ""


_READERS: Final[dict[Kind, Callable[[Kind, str], str]]] = {
    **dict.fromkeys((Kind.SRCIP, Kind.DSTIP), _address),
    **dict.fromkeys(HASH_CHARS, _hash),
    Kind.URL: _url,
    Kind.DOMAIN: _domain,
    Kind.USER: _user,
}
