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

from common.json_text import read_json, write_json
from common.outcome import Delivered, Reason, Retry, Skipped
from common.secret import Secret
from common.urls import normalised
from workers.integrations import blocks
from workers.integrations.answers import answered_json
from workers.integrations.base import MAX_REPORT_BYTES, Refusal, Request, unanswered
from workers.integrations.events import credited_to_agent, event
from workers.integrations.fields import Fields, fields_of, found
from workers.integrations.limits import fits_into_url
from workers.integrations.maltiverse_threat import threat
from workers.integrations.markup import NONE as NO_MARKUP
from workers.integrations.statuses import Statuses

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from common.alert import Alert
    from common.errors import TransportError
    from common.integration import Integration
    from common.outcome import ManagerEvent, Outcome
    from workers.integrations.base import Answer
    from workers.integrations.statuses import Statuses

TAG: Final = "maltiverse"
NO_CONTENT: Final = 204
NOT_FOUND: Final = 404

SAFE: Final = "!$&'()*+,;=:@"
"""Characters that stand for themselves in a path. `/`, `?` and `#` do not: a value must not choose what is asked."""

_HOOK_URL: Final = re.compile(r"https?://[A-Za-z0-9.-]+(?::[0-9]{1,5})?(?:/[^\s<>\"'{}|\\^`?#]*)?")


KEPT_KNOWN_S: Final = 86_400.0
KEPT_UNKNOWN_S: Final = 3600.0


class LookUp(NamedTuple):
    """One question: its path below hook_url, and the thing's name and last part of its address in the event."""

    key: str
    path: str
    name: str
    slug: str


class Maltiverse:
    """One Maltiverse block. Needs hook_url, the address of the API, and api_key."""

    markup: Final = NO_MARKUP

    def __init__(self, block: Integration, statuses: Statuses) -> None:
        self._url, self._key = Secret(normalised(blocks.hook_url(block).reveal())), blocks.api_key(block)
        if not _HOOK_URL.fullmatch(self._url.reveal()):
            raise blocks.wrong(
                block, "hook_url", "is not http(s)://HOST[:PORT][/PATH] without login, query or fragment"
            )
        if not _fits_a_header(self._key.reveal()):
            raise blocks.wrong(block, "api_key", "has characters that cannot stand in an HTTP header")
        self._statuses = statuses
        self.topic = f"maltiverse-{hashlib.sha256(self._url.reveal().encode()).hexdigest()[:8]}"

    def calls(self, alert: Alert) -> Sequence[Request]:
        """Return one GET for everything that can be looked up, or skip the alert."""
        fields = fields_of(alert)
        requests = tuple(self._request(look_up) for look_up in _look_ups(fields))
        if not requests:
            raise Refusal(Skipped(Reason.NOTHING_TO_LOOK_UP, "no hash, public address, host name or URL"))
        credited_to_agent(fields, TAG)  # what the events will need is missed before anything is asked
        return requests

    def read(self, alert: Alert, call: Request, answer: Answer) -> Outcome:
        """Turn what is known into an event; nothing known is no event."""
        outcome = self._statuses.outcome(answer)
        if not isinstance(outcome, Delivered) and answer.status != NOT_FOUND:
            return outcome
        try:
            return _told(alert, call, _known(answer))
        except ValueError as error:
            return Retry(Reason.INVALID_RESPONSE, f"HTTP {answer.status}, but {error}")

    def unanswered(self, alert: Alert, call: Request, error: TransportError) -> Outcome:  # noqa: ARG002 — the shape of all
        """Try again, unless that cannot help."""
        return unanswered(error)

    def question(self, call: Request) -> str:
        """Return the path, which names the thing."""
        return call.url.removeprefix(self._url.reveal().rstrip("/"))

    def to_remember(self, call: Request, answer: Answer) -> tuple[bytes, float]:  # noqa: ARG002 — as above
        """Keep what is known of a thing for a day, and that nothing is known for an hour."""
        if not isinstance(self._statuses.outcome(answer), Delivered) and answer.status != NOT_FOUND:
            return b"", 0.0
        try:
            known = _known(answer)
        except ValueError:
            return b"", 0.0
        return write_json(known).encode(), KEPT_KNOWN_S if known else KEPT_UNKNOWN_S

    def recalled(self, alert: Alert, call: Request, content: bytes) -> Outcome:
        """Tell what is remembered about this alert's thing."""
        return _told(alert, call, read_json(content.decode()))

    def _request(self, look_up: LookUp) -> Request:
        url = self._url.reveal().rstrip("/") + look_up.path
        headers = {"Accept": "application/json", "Authorization": f"Bearer {self._key.reveal()}"}
        return Request(method="GET", url=url, headers=headers, key=look_up.key, max_body_bytes=MAX_REPORT_BYTES)


def _known(answer: Answer) -> Fields | None:
    """Return what is known of a thing, None if nothing is. Raises ValueError if the answer does not say."""
    if answer.status in {NO_CONTENT, NOT_FOUND}:
        return None
    known = answered_json(answer)
    if known and not isinstance(known, dict):
        raise ValueError("it is JSON, but no object")
    return known or None


def _told(alert: Alert, call: Request, known: Fields | None) -> Delivered:
    return Delivered((_event(alert.fields, call.key, known),)) if known else Delivered()


def _fits_a_header(key: str) -> bool:
    return all(character.isprintable() and ord(character) <= 0xFF for character in key)  # noqa: PLR2004 — Latin-1


def _look_ups(fields: Fields) -> Iterator[LookUp]:
    """Yield what there is to ask, in the stock script's order."""
    for key in ("md5", "sha1"):
        if _can_be_asked(value := found(fields, "syscheck", f"{key}_after")):
            yield LookUp(key, f"/sample/{key}/{_quoted(value)}", value, value)
    if _can_be_asked(address := found(fields, "data", "srcip")) and _is_public(address):
        yield LookUp("ip", f"/ip/{_quoted(address)}", address, address)
    if _can_be_asked(hostname := found(fields, "data", "hostname")):
        yield LookUp("hostname", f"/hostname/{_quoted(hostname)}", hostname, hostname)
    if isinstance(url := found(fields, "data", "url"), str):
        yield LookUp("url", f"/url/{_digest(url)}", url, _digest(url))


def _can_be_asked(value: object) -> TypeGuard[str]:
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
    look_up = next(one for one in _look_ups(fields) if one.key == key)
    message = {
        "integration": TAG,
        "alert_id": found(fields, "id"),
        "maltiverse": {"source": known},
        "threat": threat(known, look_up.name, look_up.slug),
    }
    return event(credited_to_agent(fields, TAG), message)
