"""Maltiverse: asks about hashes, address, host name and URL of an alert, and tells the manager what is known.

Spec 5.6 and, where it differs from the stock script, D12.

Each look-up stands by itself: its `key` lets a retry repeat only what failed, and what others found is not lost.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from typing import TYPE_CHECKING, Final, NamedTuple, TypeGuard
from urllib.parse import quote

from common.connection.urls import normalised
from common.outcome import Delivered, Reason, Retry, Skipped
from common.secret import Secret
from workers.alert.exact_json import read_json, write_json
from workers.calls import MAX_REPORT_BYTES, Request
from workers.integrations.base import NotSendable, failure_outcome
from workers.integrations.helpers import config
from workers.integrations.helpers.alert_fields import Fields, fields_of, get
from workers.integrations.helpers.http_status import StatusClassifier
from workers.integrations.helpers.json_response import parse_json
from workers.integrations.helpers.manager_event import agent_location, event
from workers.integrations.helpers.markup import NONE as NO_MARKUP
from workers.integrations.helpers.text_limits import fits_into_url
from workers.integrations.maltiverse.ecs_threat import threat

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from common.errors import TransportError
    from common.integration import Integration
    from common.outcome import ManagerEvent, Outcome
    from workers.alert.alert import Alert
    from workers.calls import Response
    from workers.integrations.helpers.http_status import StatusClassifier

TAG: Final = "maltiverse"
NO_CONTENT: Final = 204
NOT_FOUND: Final = 404

SAFE: Final = "!$&'()*+,;=:@"
"""Characters that stand for themselves in a path. `/`, `?` and `#` do not: a value must not choose what is asked."""

_HOOK_URL: Final = re.compile(r"https?://[A-Za-z0-9.-]+(?::[0-9]{1,5})?(?:/[^\s<>\"'{}|\\^`?#]*)?")


TTL_KNOWN_S: Final = 86_400.0
TTL_UNKNOWN_S: Final = 3600.0


class Lookup(NamedTuple):
    """One question: its path below hook_url, and the thing's name and last part of its address in the event."""

    key: str
    path: str
    name: str
    slug: str


class Maltiverse:
    """One Maltiverse block. Needs hook_url, the address of the API, and api_key."""

    markup: Final = NO_MARKUP

    def __init__(self, block: Integration, statuses: StatusClassifier) -> None:
        self._url, self._key = Secret(normalised(config.hook_url(block).reveal())), config.api_key(block)
        if not _HOOK_URL.fullmatch(self._url.reveal()):
            raise config.config_error(
                block, "hook_url", "is not http(s)://HOST[:PORT][/PATH] without login, query or fragment"
            )
        if not _fits_a_header(self._key.reveal()):
            raise config.config_error(block, "api_key", "has characters that cannot stand in an HTTP header")
        self._statuses = statuses
        self.namespace = f"maltiverse-{hashlib.sha256(self._url.reveal().encode()).hexdigest()[:8]}"

    def build_calls(self, alert: Alert) -> Sequence[Request]:
        """Return one GET for everything that can be looked up, or skip the alert."""
        fields = fields_of(alert)
        requests = tuple(self._request(look_up) for look_up in _lookups(fields))
        if not requests:
            raise NotSendable(Skipped(Reason.NOTHING_TO_LOOK_UP, "no hash, public address, host name or URL"))
        agent_location(fields, TAG)  # what the events will need is missed before anything is asked
        return requests

    def interpret(self, alert: Alert, call: Request, answer: Response) -> Outcome:
        """Turn what is known into an event; nothing known is no event."""
        outcome = self._statuses.classify(answer)
        if not isinstance(outcome, Delivered) and answer.status != NOT_FOUND:
            return outcome
        try:
            return _describe(alert, call, _lookup_result(answer))
        except ValueError as error:
            return Retry(Reason.INVALID_RESPONSE, f"HTTP {answer.status}, but {error}")

    def interpret_failure(self, alert: Alert, call: Request, error: TransportError) -> Outcome:  # noqa: ARG002 — the shape of all
        """Try again, unless that cannot help."""
        return failure_outcome(error)

    def cache_key(self, call: Request) -> str:
        """Return the path, which names the thing."""
        return call.url.removeprefix(self._url.reveal().rstrip("/"))

    def cache_entry(self, call: Request, answer: Response) -> tuple[bytes, float]:  # noqa: ARG002 — as above
        """Keep what is known of a thing for a day, and that nothing is known for an hour."""
        if not isinstance(self._statuses.classify(answer), Delivered) and answer.status != NOT_FOUND:
            return b"", 0.0
        try:
            known = _lookup_result(answer)
        except ValueError:
            return b"", 0.0
        return write_json(known).encode(), TTL_KNOWN_S if known else TTL_UNKNOWN_S

    def from_cache(self, alert: Alert, call: Request, content: bytes) -> Outcome:
        """Tell what is remembered about this alert's thing."""
        return _describe(alert, call, read_json(content.decode()))

    def _request(self, look_up: Lookup) -> Request:
        url = self._url.reveal().rstrip("/") + look_up.path
        headers = {"Accept": "application/json", "Authorization": f"Bearer {self._key.reveal()}"}
        return Request(method="GET", url=url, headers=headers, key=look_up.key, max_body_bytes=MAX_REPORT_BYTES)


def _lookup_result(answer: Response) -> Fields | None:
    """Return what is known of a thing, None if nothing is. Raises ValueError if the answer does not say."""
    if answer.status in {NO_CONTENT, NOT_FOUND}:
        return None
    known = parse_json(answer)
    if known and not isinstance(known, dict):
        raise ValueError("it is JSON, but no object")
    return known or None


def _describe(alert: Alert, call: Request, known: Fields | None) -> Delivered:
    return Delivered((_event(alert.fields, call.key, known),)) if known else Delivered()


def _fits_a_header(key: str) -> bool:
    return all(character.isprintable() and ord(character) <= 0xFF for character in key)  # noqa: PLR2004 — Latin-1


def _lookups(fields: Fields) -> Iterator[Lookup]:
    """Yield what there is to ask, in the stock script's order."""
    for key in ("md5", "sha1"):
        if _is_queryable(value := get(fields, "syscheck", f"{key}_after")):
            yield Lookup(key, f"/sample/{key}/{_quoted(value)}", value, value)
    if _is_queryable(address := get(fields, "data", "srcip")) and _is_public(address):
        yield Lookup("ip", f"/ip/{_quoted(address)}", address, address)
    if _is_queryable(hostname := get(fields, "data", "hostname")):
        yield Lookup("hostname", f"/hostname/{_quoted(hostname)}", hostname, hostname)
    if isinstance(url := get(fields, "data", "url"), str):
        yield Lookup("url", f"/url/{_digest(url)}", url, _digest(url))


def _is_queryable(value: object) -> TypeGuard[str]:
    """Say whether a value is a text that fits into the URL of a question.

    `.` and `..` do not: `%2E` is the same as `.` (RFC 3986, 6.2.2.2), and `requests` writes it so.
    """
    return isinstance(value, str) and value not in {".", ".."} and fits_into_url(value)


def _is_public(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return not (address.is_private or address.is_loopback or address.is_reserved)


def _quoted(value: str) -> str:
    """Return a value as one segment of a path."""
    return quote(value, safe=SAFE, errors="replace")


def _digest(url: str) -> str:
    return hashlib.sha256(url.encode("utf-8", "replace")).hexdigest()


def _event(fields: Fields, key: str, known: Fields) -> ManagerEvent:
    look_up = next(one for one in _lookups(fields) if one.key == key)
    message = {
        "integration": TAG,
        "alert_id": get(fields, "id"),
        "maltiverse": {"source": known},
        "threat": threat(known, look_up.name, look_up.slug),
    }
    return event(agent_location(fields, TAG), message)
