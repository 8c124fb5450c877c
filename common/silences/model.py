"""One silence, as it is stored in Redis."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Final

import msgspec

from common.json_depth import check_depth
from common.ledger.record import MAX_TIME_MS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

KEEP_MS: Final = 30 * 86_400_000
"""How long a silence and its counts are kept after its end."""

MAX_BYTES: Final = 64 * 1024
"""Size of one silence in Redis."""

MAX_ITEMS: Final = 100
"""Conditions, and integrations, of one silence."""

MAX_TEXT_CHARS: Final = 1000
"""Characters of a reason, and of an author."""

MAX_NAME_CHARS: Final = 200
"""Characters of an integration."""

_OTHER_BYTES: Final = 1024
"""Of MAX_BYTES, for the names of fields, times, id and node."""

_ID_LETTERS: Final = "23456789abcdefghjkmnpqrstvwxyz"
_ID_LENGTH: Final = 6
"""Letters and digits that are not mistaken for each other: 30^6 ids."""

TimeMs = Annotated[int, msgspec.Meta(ge=0, le=MAX_TIME_MS)]
_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_TEXT_CHARS)]
_Integration = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_NAME_CHARS)]
_Condition = Annotated[str, msgspec.Meta(min_length=1, max_length=16_384)]


class State(StrEnum):
    """Whether a silence is in force."""

    PENDING = "pending"
    RUNNING = "running"
    ENDED = "ended"


class Silence(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A silence. It is in force from its start until before its end, in ms since the epoch by the ledger's clock.

    All conditions of `match` must hold. `integrations` are ids or names, also as patterns with `*` and `?`;
    empty means all. `node` is the node whose courier.toml has it, empty if a command added it.
    """

    id: Annotated[str, msgspec.Meta(pattern=r"\A[a-z0-9][a-z0-9-]{0,31}\Z")]
    match: Annotated[tuple[_Condition, ...], msgspec.Meta(max_length=MAX_ITEMS)] = ()
    integrations: Annotated[tuple[_Integration, ...], msgspec.Meta(max_length=MAX_ITEMS)] = ()
    start_ms: TimeMs
    end_ms: TimeMs
    why: _Text
    author: _Text
    announce: bool = False
    node: str = ""

    def state(self, now_ms: int) -> State:
        """Return whether it is in force at a time."""
        if now_ms < self.start_ms:
            return State.PENDING
        return State.RUNNING if now_ms < self.end_ms else State.ENDED

    def ended(self, now_ms: int) -> Silence:
        """Return the silence as it is if it ends at `now_ms`; one that has not started yet then never ran."""
        return msgspec.structs.replace(self, start_ms=min(self.start_ms, now_ms), end_ms=min(self.end_ms, now_ms))

    @property
    def delete_ms(self) -> int:
        """When it is deleted."""
        return self.end_ms + KEEP_MS

    def encode(self) -> bytes:
        """Return the form in Redis."""
        return msgspec.json.encode(self)


_decode: Final = msgspec.json.Decoder(Silence).decode


def decode_silence(silence_id: str, value: bytes) -> Silence:
    """Return the silence that Redis holds under this id. Raises ValueError; its text quotes nothing of the value."""
    if len(value) > MAX_BYTES:
        raise ValueError(f"it has more than {MAX_BYTES} bytes")
    try:
        check_depth(value)
        silence = _decode(value)
    except msgspec.ValidationError as error:  # says what is wrong and where, and quotes only names of fields
        raise ValueError(str(error)) from None
    except (ValueError, RecursionError):
        raise ValueError("it is not JSON") from None
    if silence.id != silence_id:
        raise ValueError("it has another id")
    check_silence(silence)
    return silence


def check_silence(silence: Silence) -> None:
    """Raise ValueError if it ends before it starts, or would silence everything."""
    if silence.end_ms < silence.start_ms:  # equal if it was ended before its start
        raise ValueError("it ends before it starts")
    if not silence.match and not silence.integrations:
        raise ValueError("it has neither conditions nor integrations, so it would silence everything")


def limit_problems(
    *, match: Sequence[str], integrations: Sequence[str], why: str, author: str, end_ms: int
) -> Iterator[tuple[str, str]]:
    """Yield the fields that a person has to change, and why: Redis would hold a silence that producers ignore."""
    for field, text in (("why", why), ("author", author)):
        if not text.strip():
            yield field, "is empty"
        elif len(text) > MAX_TEXT_CHARS:
            yield field, f"has {len(text):,} characters; at most {MAX_TEXT_CHARS:,} are allowed"
    for field, items in (("match", match), ("integrations", integrations)):
        if len(items) > MAX_ITEMS:
            yield field, f"has {len(items)} entries; at most {MAX_ITEMS} are allowed"
    if any(len(one) > MAX_NAME_CHARS for one in integrations):
        yield "integrations", f"has an entry of more than {MAX_NAME_CHARS} characters"
    if len(msgspec.json.encode((match, integrations, why, author))) > MAX_BYTES - _OTHER_BYTES:
        yield "match", "is too long; write several silences"
    if end_ms > MAX_TIME_MS:
        yield "end_ms", "is too late; the last moment is in the year 5138"


def new_silence_id(choose: Callable[[Sequence[str]], str]) -> str:
    """Return a random id; `choose` returns a random element, such as `random.SystemRandom().choice`."""
    return "".join(choose(_ID_LETTERS) for _ in range(_ID_LENGTH))
