"""Cuts a message to the limits of a service, between two characters and never inside the service's markup.

Each service module states its own limits and where they are documented.
"""

from __future__ import annotations

from json.encoder import encode_basestring_ascii
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from workers.integrations.helpers.text_limits import ELLIPSIS
from workers.message.message import Field, Message

if TYPE_CHECKING:
    from collections.abc import Callable

    from workers.message.markup import Markup

_MOST: Final = 12
"""No measure counts more for one character: an emoji is `\\ud83d\\ude00` in JSON. So most texts need no measuring."""

_SHORTEST_COUNT: Final = 40
"""A text that may not be longer than this is cut without a count: the count would take too much of it."""


def utf16_units(text: str) -> int:
    """Return the length of a text as services measure it that count UTF-16: an emoji counts twice."""
    return len(text) + sum(letter > "\uffff" for letter in text)


def utf8_bytes(text: str) -> int:
    """Return the bytes of a text in UTF-8."""
    return len(text.encode("utf-8", "replace"))


def json_bytes(text: str) -> int:
    """Return the bytes of a text in a JSON body as Courier sends it, where other characters than ASCII are escaped.

    A line feed counts four times, as the longest that a service's module writes for it. This is never less than the
    bytes of UTF-8, and at least half of those of UTF-16.
    """
    return len(encode_basestring_ascii(text)) - 2 + 2 * text.count("\n")


class Limits(NamedTuple):
    """What a service takes, in the unit of `measure`: characters, unless it says otherwise.

    `fields` is a number of fields; `name` and `value` are about each of them. `total` is about title, text and all
    names and values together.
    """

    title: int = 250
    text: int = 3_000
    fields: int = 20
    name: int = 100
    value: int = 1_000
    total: int = 1_000_000
    measure: Callable[[str], int] = len


def cut(text: str, longest: int, markup: Markup, measure: Callable[[str], int] = len) -> str:
    """Return a text of at most `longest`; it ends with "… (n more)" if it was longer, n in characters of the text."""
    if len(text) * _MOST <= longest or measure(text) <= longest:
        return text

    def shortened(keep: int) -> str:
        head, close = markup.repair(text[:keep])
        more = f"{ELLIPSIS} ({len(text) - len(head)} more)" if longest > _SHORTEST_COUNT else ELLIPSIS
        return f"{head}{more}{close}"

    fits, too_long = 0, len(text)
    while too_long - fits > 1:
        middle = (fits + too_long) // 2
        fits, too_long = (middle, too_long) if measure(shortened(middle)) <= longest else (fits, middle)
    result = shortened(fits)
    return result if measure(result) <= longest else ""


def fit(message: Message, limits: Limits, markup: Markup) -> Message:
    """Return a message within the limits. What is cut first: fields beyond their number, then text, then fields."""
    measure = limits.measure
    fields = [
        Field(cut(one.name, limits.name, markup, measure), cut(one.value, limits.value, markup, measure))
        for one in message.fields[: limits.fields]
    ]
    if len(message.fields) > limits.fields:
        left_out = len(message.fields) - limits.fields + 1
        fields[-1] = Field(ELLIPSIS, f"({left_out} more)")
    title = cut(message.title, limits.title, markup, measure)
    room = limits.total - measure(title) - sum(sizes := [_size(one, measure) for one in fields])
    while fields and room < 0:
        del fields[-1]
        room += sizes.pop()
    text = cut(message.text, min(limits.text, room), markup, measure)
    return msgspec.structs.replace(message, title=title, text=text, fields=tuple(fields))


def _size(field: Field, measure: Callable[[str], int]) -> int:
    return measure(field.name) + measure(field.value)
