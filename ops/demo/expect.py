"""Computes which messages must arrive for a log and a configuration, and compares them with those that arrived.

This is a second implementation of spec 5.4 to 5.6, independent of the workers'; it covers what the sample contains.
A look-up has no alert id, so its identity is the value looked up; the manager's events contain the alert id. An alert
that is folded into a digest has no message of its own: the digest's title says how many it is for.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import re
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from common.integration import MANAGER_ID
from common.services.sections import digest_of
from ops.demo.http_types import part
from ops.demo.threat_data import INDICATORS
from producer.filters.decode import InvalidAlert
from producer.filters.index import FilterIndex

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from common.integration import Integration
    from ops.demo.messages import Message

NOT_FOR_SHUFFLE: Final = frozenset(
    (
        *("5710", "80710", "86001", "86002", "86003", "87900", "87901", "87902"),
        *("87903", "87904", "87924", "87928", "87929", "87932"),
    )
)
"""Spec 5.4."""

LOOK_UPS: Final = frozenset(("virustotal", "maltiverse"))
"""Services whose responses are cached: each value is looked up once."""

FOLDED: Final = "folded into a digest"
"""The identity of each alert that a digest is for."""

NOT_FOUND: Final = 404
_MORE: Final = re.compile(r"([0-9]+) more: ")
_MD5: Final = re.compile(r"[0-9a-f]{32}|[0-9A-F]{32}")


class Arrival(NamedTuple):
    """One message: its integration, and an identity that distinguishes it from the integration's others."""

    integration: str
    identity: str


class Comparison(NamedTuple):
    """The differences between expected and arrived messages."""

    missing: tuple[Arrival, ...]
    unexpected: tuple[Arrival, ...]
    repeated: tuple[Arrival, ...]

    @property
    def complete(self) -> bool:
        """Whether every expected message arrived."""
        return not self.missing


def expected(lines: Iterable[bytes], integrations: Sequence[Integration]) -> Counter[Arrival]:
    """Return how often each message must arrive for these lines of an alert log, with or without newlines."""
    index = FilterIndex(integrations)
    names = {integration.id: integration.name for integration in integrations}
    folding = {integration.id for integration in integrations if digest_of(integration)}
    arrivals: Counter[Arrival] = Counter()
    for line in lines:
        try:
            matched = index.match(line)
        except InvalidAlert:
            continue
        alert = json.loads(line)
        for integration_id in matched:
            if integration_id in folding:
                arrivals[Arrival(integration_id, FOLDED)] += 1
                continue
            name = names[integration_id]
            for arrival in _arrivals(integration_id, name, alert):
                is_cached = name in LOOK_UPS and arrival.integration != MANAGER_ID and arrival in arrivals
                arrivals[arrival] += 0 if is_cached else 1
    return arrivals


def arrived(messages: Iterable[Message]) -> Counter[Arrival]:
    """Return how often each message arrived and was accepted; a 404 of a look-up counts as accepted.

    A digest counts as the messages that it is for.
    """
    found: Counter[Arrival] = Counter()
    for message in messages:
        if digest := _MORE.match(message.title):
            found[Arrival(message.integration, FOLDED)] += int(digest[1])
        elif message.accepted or message.status == NOT_FOUND:
            found[Arrival(message.integration, message.identity)] += 1
    return found


def compare(must: Counter[Arrival], did: Counter[Arrival]) -> Comparison:
    """Compare the expected messages with those that arrived, each with its count."""
    return Comparison(
        missing=tuple(sorted((must - did).elements())),
        unexpected=tuple(sorted(a for a in did if a not in must)),
        repeated=tuple(sorted(a for a in did if 0 < must[a] < did[a])),
    )


def _arrivals(integration_id: str, name: str, alert: dict[str, Any]) -> Iterator[Arrival]:
    identity = str(alert.get("id", ""))
    if name == "virustotal":
        md5 = part(alert, "syscheck", "md5_after")
        if isinstance(md5, str) and _MD5.fullmatch(md5):
            yield Arrival(integration_id, md5)
            yield Arrival(MANAGER_ID, f"virustotal {identity}")
    elif name == "maltiverse":
        for wanted, indicator in look_ups(alert):
            yield Arrival(integration_id, wanted)
            if wanted in INDICATORS:
                yield Arrival(MANAGER_ID, f"maltiverse {identity} {indicator}")
    elif name != "shuffle" or part(alert, "rule", "id") not in NOT_FOR_SHUFFLE:
        yield Arrival(integration_id, identity)


def look_ups(alert: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the Maltiverse look-ups of this alert: the end of the path, and the name in the event (spec 5.6)."""
    syscheck, data = alert.get("syscheck"), alert.get("data")
    for kind in ("md5", "sha1"):
        value = part(syscheck, f"{kind}_after")
        if isinstance(value, str):
            yield f"sample/{kind}/{value}", value
    address, hostname, url = (part(data, name) for name in ("srcip", "hostname", "url"))
    if isinstance(address, str) and _is_public(address):
        yield f"ip/{address}", address
    if isinstance(hostname, str):
        yield f"hostname/{hostname}", hostname
    if isinstance(url, str):
        yield f"url/{hashlib.sha256(url.encode()).hexdigest()}", url


def _is_public(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return not (address.is_private or address.is_loopback or address.is_reserved)
