"""Maltiverse: looks up the hashes, address, host name and URL of an alert, and sends the results to the manager.

See spec 5.6, and D12 for the differences from the stock script.

The look-ups are independent: each has a `key`, so that a retry repeats only those that failed and keeps the results of
the others.
"""

from __future__ import annotations

import hashlib
import ipaddress
from typing import TYPE_CHECKING, Final, NamedTuple, TypeGuard
from urllib.parse import quote

from common.exact_json import read_json, write_json
from common.outcome import Delivered, Reason, Retry, Skipped
from workers.calls import MAX_REPORT_BYTES, Request
from workers.integrations.base import NotSendable, failure_outcome
from workers.integrations.helpers import api
from workers.integrations.helpers.alert_fields import Fields, fields_of, get
from workers.integrations.helpers.http_status import StatusClassifier
from workers.integrations.helpers.json_response import parse_json
from workers.integrations.helpers.manager_event import agent_location, event
from workers.integrations.helpers.text_limits import fits_into_url
from workers.integrations.maltiverse.ecs_threat import threat
from workers.message.markup import NONE as NO_MARKUP

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
"""Characters that need no escape in a path. `/`, `?` and `#` do: a value must not change which resource is queried."""

TTL_KNOWN_S: Final = 86_400.0
TTL_UNKNOWN_S: Final = 3600.0


class Lookup(NamedTuple):
    """One look-up: `path` is below hook_url; the event contains `name` and a link to the page, which ends in `slug`."""

    key: str
    path: str
    name: str
    slug: str


class Maltiverse:
    """One Maltiverse block. Needs hook_url, the address of the API, and api_key."""

    markup: Final = NO_MARKUP

    def __init__(self, block: Integration, statuses: StatusClassifier) -> None:
        self._url, self._key = api.address(block), api.key(block)
        self._statuses = statuses
        self.namespace = f"maltiverse-{hashlib.sha256(self._url.reveal().encode()).hexdigest()[:8]}"

    def build_calls(self, alert: Alert) -> Sequence[Request]:
        """Return one GET for each value that can be looked up. Raises NotSendable (skipped) if there is none."""
        fields = fields_of(alert)
        requests = tuple(self._request(look_up) for look_up in _lookups(fields))
        if not requests:
            raise NotSendable(Skipped(Reason.NOTHING_TO_LOOK_UP, "no hash, public address, host name or URL"))
        agent_location(fields, TAG)  # reject an alert without these fields before any look-up
        return requests

    def interpret(self, alert: Alert, call: Request, response: Response) -> Outcome:
        """Turn the result into an event; an empty result gives no event."""
        outcome = self._statuses.classify(response)
        if not isinstance(outcome, Delivered) and response.status != NOT_FOUND:
            return outcome
        try:
            return _describe(alert, call, _lookup_result(response))
        except ValueError as error:
            return Retry(Reason.INVALID_RESPONSE, f"HTTP {response.status}, but {error}")

    def interpret_failure(self, alert: Alert, call: Request, error: TransportError) -> Outcome:  # noqa: ARG002 — the shape of all
        """Try again, unless that cannot help."""
        return failure_outcome(error)

    def cache_key(self, call: Request) -> str:
        """Return the path, which identifies the indicator."""
        return call.url.removeprefix(self._url.reveal())

    def cache_entry(self, call: Request, response: Response) -> tuple[bytes, float]:  # noqa: ARG002 — as above
        """Cache a result for a day, and an empty result for an hour."""
        if not isinstance(self._statuses.classify(response), Delivered) and response.status != NOT_FOUND:
            return b"", 0.0
        try:
            result = _lookup_result(response)
        except ValueError:
            return b"", 0.0
        return write_json(result).encode(), TTL_KNOWN_S if result else TTL_UNKNOWN_S

    def from_cache(self, alert: Alert, call: Request, content: bytes) -> Outcome:
        """Build the event from the cached result."""
        return _describe(alert, call, read_json(content.decode()))

    def _request(self, look_up: Lookup) -> Request:
        url = self._url.reveal() + look_up.path
        headers = {"Accept": "application/json", "Authorization": f"Bearer {self._key.reveal()}"}
        return Request(method="GET", url=url, headers=headers, key=look_up.key, max_body_bytes=MAX_REPORT_BYTES)


def _lookup_result(response: Response) -> Fields | None:
    """Return the result, None if Maltiverse has no data. Raises ValueError if the response is invalid."""
    if response.status in {NO_CONTENT, NOT_FOUND}:
        return None
    result = parse_json(response)
    if result and not isinstance(result, dict):
        raise ValueError("it is JSON, but not an object")
    return result or None


def _describe(alert: Alert, call: Request, result: Fields | None) -> Delivered:
    return Delivered((_event(alert.fields, call.key, result),)) if result else Delivered()


def _lookups(fields: Fields) -> Iterator[Lookup]:
    """Yield the look-ups in the order of the stock script."""
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
    """Say whether a value is a text that can be part of a look-up's path.

    `.` and `..` cannot: `%2E` means the same as `.` (RFC 3986, 6.2.2.2), and `requests` decodes it.
    """
    return isinstance(value, str) and value not in {".", ".."} and fits_into_url(value)


def _is_public(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return not (address.is_private or address.is_loopback or address.is_reserved)


def _quoted(value: str) -> str:
    """Return a value as one path segment, percent-encoded."""
    return quote(value, safe=SAFE, errors="replace")


def _digest(url: str) -> str:
    return hashlib.sha256(url.encode("utf-8", "replace")).hexdigest()


def _event(fields: Fields, key: str, result: Fields) -> ManagerEvent:
    look_up = next(one for one in _lookups(fields) if one.key == key)
    message = {
        "integration": TAG,
        "alert_id": get(fields, "id"),
        "maltiverse": {"source": result},
        "threat": threat(result, look_up.name, look_up.slug),
    }
    return event(agent_location(fields, TAG), message)
