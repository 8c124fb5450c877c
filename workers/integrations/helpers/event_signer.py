"""Verifies that Courier wrote an event for the manager. Other programs with access to Redis cannot forge one.

An event of a look-up has a signature by the secret key over its delivery's id, its location and its message. A replayed
event is only the same line of the same delivery again. A changed or forged event is rejected.

The ledger's scripts also write events, about the deliveries themselves, and have no key. Those events have the location
`courier` and one of the forms below. The worker parses them and rebuilds their text from the numbers and words. Their
only free text, the last error, has a signature.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Final

import msgspec

from common.exact_json import write_json
from common.json_depth import check_depth
from common.outcome import ManagerEvent

if TYPE_CHECKING:
    from common.registry.encryption import Cipher
    from workers.alert.alert import Alert

TAGS: Final = ("virustotal", "maltiverse")
"""The look-up services that send events to the manager."""

NOTICES: Final = "courier"
"""The location of events about the deliveries themselves."""

_CHARACTER: Final = r"(?:[^|:\x00-\x1f\x7f-\x9f]|\|[|:])"
_is_location: Final = re.compile(
    rf"(?:\[{_CHARACTER}+\] \({_CHARACTER}*\) {_CHARACTER}+->)?(?:{'|'.join(TAGS)})"
).fullmatch
_has_control_character: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]").search

_Id = Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9_.-]{1,64}\Z")]
_Word = Annotated[str, msgspec.Meta(pattern=r"\A[a-z0-9_]{0,40}\Z")]
_Number = Annotated[int, msgspec.Meta(ge=0)]


class _DeadLetters(msgspec.Struct, frozen=True, tag_field="event", tag="dead_letters", forbid_unknown_fields=True):
    integration: _Id
    number: _Number
    dead: _Number
    reason: _Word


class _Lagging(msgspec.Struct, frozen=True, tag_field="event", tag="lagging", forbid_unknown_fields=True):
    integration: _Id
    oldest_s: _Number
    waiting: _Number


class _BreakerOpened(msgspec.Struct, frozen=True, tag_field="event", tag="breaker_opened", forbid_unknown_fields=True):
    integration: _Id
    last_error: str
    mac: str


class _Notice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    integration: str
    courier: _DeadLetters | _Lagging | _BreakerOpened


class _Record(ManagerEvent, frozen=True):
    """The payload of a delivery of `manager`. Events of version 0.1 have no `mac`."""

    mac: str = ""


_decode: Final = msgspec.json.Decoder(_Record).decode
_decode_notice: Final = msgspec.json.Decoder(_Notice).decode
_encode: Final = msgspec.json.Encoder().encode


class NotAuthenticError(ValueError):
    """The event was not written by Courier."""


class EventSigner:
    """Signs events for the manager, and verifies them."""

    def __init__(self, vault: Cipher) -> None:
        self._authenticator = vault.authenticator("events for the manager")

    def sign(self, event_id: str, event: ManagerEvent) -> bytes:
        """Return the payload of the `manager` delivery with this id, signed."""
        mac = self._authenticator.sign(b"event", *map(_bytes, (event_id, event.location, event.message)))
        return _encode(_Record(event.location, event.message, mac))

    def sign_error(self, integration_id: str, last_error: str) -> str:
        """Return the signature that a notice needs to quote this error."""
        return self._authenticator.sign(b"last_error", _bytes(integration_id), _bytes(last_error))

    def verify(self, delivery: Alert) -> ManagerEvent:
        """Return the event of a delivery.

        Raises NotAuthenticError, which is a ValueError, if the event is forged, and ValueError if there is none.
        """
        check_depth(delivery.raw)
        record = _decode(delivery.raw)
        if record.location == NOTICES:
            return self._notice(record)
        parts = map(_bytes, (delivery.delivery_id, record.location, record.message))
        if not self._authenticator.is_signed(record.mac, b"event", *parts):
            raise NotAuthenticError("it is not signed by Courier: another program, or version 0.1, wrote it into Redis")
        if not _is_location(record.location) or _has_control_character(record.message):
            raise NotAuthenticError("its location is not one of Courier's, or its message has control characters")
        return ManagerEvent(record.location, record.message)

    def _notice(self, record: ManagerEvent) -> ManagerEvent:
        try:
            check_depth(record.message)
            notice = _decode_notice(record.message)
        except ValueError:
            raise NotAuthenticError("it is not a notice about deliveries as Courier writes them") from None
        about = notice.courier
        members = msgspec.to_builtins(about)
        if isinstance(about, _BreakerOpened):
            parts = map(_bytes, (about.integration, about.last_error))
            if not self._authenticator.is_signed(members.pop("mac"), b"last_error", *parts):
                raise NotAuthenticError("its last error is not signed by Courier")
        return ManagerEvent(NOTICES, without_delete(write_json({"integration": NOTICES, "courier": members})))


def without_delete(text: str) -> str:
    """Return an ASCII JSON text with DEL escaped, the one control character that JSON leaves as it is."""
    return text.replace("\x7f", "\\u007f")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "replace")
