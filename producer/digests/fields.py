"""Reads from a line only the fields by which alerts are folded, since a flood costs one such read an alert.

Decoding the whole alert takes about four times as long. A typed decoder reads texts, integers and arrays of texts, as
nearly all fields are; a line with anything else at one of the fields is decoded as a whole, with the same result.
"""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

import msgspec

from common.conditions.fields import MAX_CHARS, values_at
from common.conditions.values import text_of
from producer.digests.parts import level_of
from producer.filters.agents import AGENT_GROUPS
from producer.filters.decode import decode_alert

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from common.conditions.fields import Path

    Decode = Callable[[bytes], dict[str, Any]]

Value = str | int | tuple[str, ...] | None
"""What an alert has at a field; null and objects are None, or no texts."""

_LEVEL: Final = ("rule", "level")


class FieldReader:
    """Reads the level of a line and its values at `paths`; `decode` decodes a whole alert."""

    def __init__(self, paths: Sequence[Path], decode: Decode) -> None:
        self._paths, self._decode = paths, decode
        needs_groups = decode is not decode_alert and tuple(AGENT_GROUPS.split(".")) in paths  # not in the line
        self._read = None if needs_groups else _typed_reader([_LEVEL, *paths])

    def read(self, raw: bytes) -> tuple[Value, ...]:
        """Return the level and the values of a line. Raises InvalidAlert if it is no alert."""
        if self._read is not None:
            try:
                return self._read(raw)
            except (ValueError, RecursionError):  # of any kind, as in `decode_alert`
                pass
        alert = self._decode(raw)
        return level_of(alert), *(_texts_at(alert, path) for path in self._paths)


def texts(value: Value) -> tuple[str, ...]:
    """Return the texts of a value without repetitions."""
    if isinstance(value, str) and len(value) < MAX_CHARS:
        return (value,)
    return _texts_at({"": [*value] if isinstance(value, tuple) else value}, ("",))


def _texts_at(alert: dict[str, Any], path: Path) -> tuple[str, ...]:
    found = (text_of(value) for value in values_at(alert, path))
    return tuple(dict.fromkeys(text for text in found if text is not None))


def _typed_reader(paths: Sequence[Path]) -> Callable[[bytes], tuple[Value, ...]] | None:
    """Return what reads these fields, None if no typed decoder can: for unusual keys, and for a field inside another.

    The reader raises ValueError or RecursionError for a line that it cannot read.
    """
    try:
        decode = msgspec.json.Decoder(_type_of({*paths})).decode
    except ValueError:
        return None
    get = attrgetter(*map(_attribute, paths))
    if len(paths) == 1:
        return lambda raw: (get(decode(raw)),)
    return lambda raw: get(decode(raw))


def _type_of(paths: set[Path]) -> Any:
    """Return a type with these fields. Raises ValueError if there can be none."""
    fields: list[tuple[str, Any, Any]] = []
    keys = {path[0]: _name(path[0]) for path in paths}
    for key, name in keys.items():
        inner = {path[1:] for path in paths if path[0] == key}
        if inner == {()}:
            fields.append((name, Value, None))
        elif () in inner:
            raise ValueError("a field is inside of another one")
        else:
            kind = _type_of(inner)
            fields.append((name, kind, kind()))
    return msgspec.defstruct("Fields", fields, rename={name: key for key, name in keys.items()}, frozen=True, gc=False)


def _attribute(path: Path) -> str:
    return ".".join(map(_name, path))


def _name(key: str) -> str:
    return f"f{key.encode('utf-8', 'surrogatepass').hex()}"  # any key, but a name in Python
