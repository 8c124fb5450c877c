"""A digest: one alert in place of many. How its delivery id looks, and what it says under `courier.digest`.

Alerts are hostile text: an ordinary alert can contain a forged `courier.digest`. The delivery id is the only mark of a
digest, as it is of a test (`common/delivery_test.py`): the ledger makes it, and no text of an alert gets into it. An id
of the alert log ends with parts of other lengths, so it never has this form, whatever its node is called.

The values are hostile all the same: group, top values and samples are texts of the folded alerts. `read_digest` bounds
each of them, and what it cannot read costs only itself.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeGuard

import msgspec

from common.exact_json import as_number

if TYPE_CHECKING:
    from collections.abc import Iterator

PREFIX: Final = "digest:"

MAX_LEVEL: Final = 16
"""The highest level of a rule in Wazuh."""

MAX_PARTS: Final = 20
"""Members of a group, fields with top values, values of such a field, and samples that are read; more are left out."""

MAX_TEXT_CHARS: Final = 1_000
"""Characters that are read of a value of the group, of a top value, of a name and of a time."""

MAX_COUNT: Final = 2**53
"""The largest whole number that the ledger's Lua counts exactly; anything above it is no count."""

_is_digest_id: Final = re.compile(
    r"digest:(?P<group>[0-9a-f]{8}:(?:held[0-9]{1,16}:)?(?:[0-9a-f]{32}|others)):(?P<from>[0-9]{1,16}):[0-9a-f]{8}(?:\+.*)?",
    re.DOTALL,
).fullmatch
"""The name of the group (`producer/digests/folder.py`), the beginning of the window in ms, the beginning of a checksum
of the digest, and a suffix: `+fallback:ID`."""

_starts_with_count: Final = re.compile(r"([0-9]{1,16}) more(?:: | alerts)").match
"""The description that `digests.lua` writes."""


class Window(NamedTuple):
    """What the delivery id of a digest says: the name of its group, and when its window began in ms since the epoch."""

    group: str
    from_ms: int


class TopValue(msgspec.Struct, frozen=True):
    """One value and the number of folded alerts that have it."""

    value: str
    count: int


class Top(msgspec.Struct, frozen=True):
    """The most frequent values of a field, most frequent first. With `approximate`, some values were not counted."""

    field: str
    values: tuple[TopValue, ...]
    approximate: bool = False


class Digest(msgspec.Struct, frozen=True, kw_only=True):
    """What a digest says of the alerts that were folded into it. `count` is exact.

    `first` and `last` are the times of the first and the last of them, as those alerts write them. `level` is the
    highest level, 0 if it is not known. `group` has the field and value that they share; it is empty for `others`, the
    alerts of all groups beyond the limit of open groups. Each of `samples` is an alert, or the parts of one.
    """

    count: int
    first: str = ""
    last: str = ""
    level: float = 0
    group: tuple[tuple[str, str], ...] = ()
    others: bool = False
    tops: tuple[Top, ...] = ()
    samples: tuple[dict[str, Any], ...] = ()


def is_digest(delivery_id: str) -> bool:
    """Return whether the alert of this delivery is a digest; also in its fallback, whose id has a suffix."""
    return delivery_id.startswith(PREFIX) and _is_digest_id(delivery_id) is not None


def window_of(delivery_id: str) -> Window | None:
    """Return what a delivery id says, None if it is not that of a digest."""
    found = _is_digest_id(delivery_id) if delivery_id.startswith(PREFIX) else None
    return Window(found["group"], int(found["from"])) if found else None


def count_in(delivery_id: str, description: str) -> int | None:
    """Return how many alerts a digest has; None if it is none. A history has the beginning of its description."""
    found = _starts_with_count(description) if is_digest(delivery_id) else None
    return int(found[1]) if found else None


def read_digest(delivery_id: str, fields: dict[str, Any]) -> Digest | None:
    """Return the digest that the alert with these fields is; None if it is none, or if it has no count."""
    if not is_digest(delivery_id):
        return None
    own = _object(_object(fields, "courier"), "digest")
    count = own.get("count")
    if not _is_count(count):
        return None
    return Digest(
        count=count,
        first=_text(own.get("from")),
        last=_text(own.get("to")),
        level=_level(own.get("level")),
        group=tuple((_text(name), _text(value)) for name, value in _members(own, "group")),
        others=own.get("others") is True,
        tops=tuple(one for name, value in _members(own, "top") if (one := _top(name, value))),
        samples=tuple(one for one in _list(own.get("samples")) if isinstance(one, dict)),
    )


def _top(name: str, value: Any) -> Top | None:
    if not isinstance(value, dict):
        return None
    pairs = (one for one in _list(value.get("values")) if isinstance(one, list) and len(one) == 2)  # noqa: PLR2004 — value and number
    values = tuple(TopValue(_text(text), count) for text, count in pairs if _is_count(count))
    return Top(_text(name), values, value.get("approximate") is True) if values else None


def _level(value: Any) -> float:
    level = as_number(value) or 0
    return level if 0 < level <= MAX_LEVEL else 0


def _is_count(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= MAX_COUNT


def _object(value: dict[str, Any], name: str) -> dict[str, Any]:
    found = value.get(name)
    return found if isinstance(found, dict) else {}


def _members(value: dict[str, Any], name: str) -> Iterator[tuple[str, Any]]:
    members = _object(value, name)
    return iter(list(members.items())[:MAX_PARTS])


def _list(value: Any) -> list[Any]:
    return value[:MAX_PARTS] if isinstance(value, list) else []


def _text(value: Any) -> str:
    """Return a text or whole number as text; empty for anything else."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)[:MAX_TEXT_CHARS]
    return value[:MAX_TEXT_CHARS] if isinstance(value, str) else ""
