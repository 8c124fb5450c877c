"""The filters of templates. Each takes time linear in its input, and none returns more than MAX_TEXT_CHARS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from common.exact_json import as_number
from common.templates.values import MAX_ITEMS, MAX_TEXT_CHARS, Missing, seen, text_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def default(value: Any, instead: Any = "", *, boolean: bool = False) -> Any:
    """Return `instead` if the alert does not have the value; with `boolean` also if it is empty, 0 or false."""
    return instead if isinstance(value, Missing) or value is None or (boolean and not value) else value


def truncate(value: Any, longest: int = 255, end: str = "…") -> str:
    """Return at most `longest` characters; the text ends with `end` if it was longer."""
    text = text_of(value)
    return text if len(text) <= longest else text[: max(0, longest - len(end))] + end


def replace(value: Any, old: str, new: str) -> str:
    """Return the text with `old` replaced by `new`."""
    text, old, new = text_of(value), text_of(old), text_of(new)
    if not old:
        return text
    room = MAX_TEXT_CHARS // max(1, len(new))  # replacements that fit at most
    return text.replace(old, new, room)[:MAX_TEXT_CHARS]


def join(value: Any, separator: str = ", ", attribute: str = "") -> str:
    """Return the items of a list, or a single value, as one text; `attribute` joins a member of each item."""
    if isinstance(value, Missing) or value is None:
        return ""
    chosen = each(value) if isinstance(value, list | tuple) else [value]
    if attribute:
        chosen = [one.get(attribute) for one in chosen if isinstance(one, dict)]
    return text_of(separator).join([text_of(seen(one)) for one in chosen if one is not None])[:MAX_TEXT_CHARS]


def split(value: Any, separator: str = ",") -> list[str]:
    """Return the parts of a text, without blanks around them."""
    return [part.strip() for part in text_of(value).split(text_of(separator) or ",", MAX_ITEMS)][:MAX_ITEMS]


def pairs(value: Any) -> list[Any]:
    """Return the pairs of name and value of an object."""
    return [[name, seen(value[name])] for name in list(value)[:MAX_ITEMS]] if isinstance(value, dict) else []


def each(value: Any) -> list[Any]:
    """Return the items of a list, or the names of an object: what a loop goes over."""
    return [seen(one) for one in list(value)[:MAX_ITEMS]] if isinstance(value, list | tuple | dict) else []


def first(value: Any) -> Any:
    """Return the first item of a list; any other value is itself."""
    if isinstance(value, list):
        return seen(value[0]) if value else Missing(name="first item")
    return value


def last(value: Any) -> Any:
    """Return the last item of a list; any other value is itself."""
    if isinstance(value, list):
        return seen(value[-1]) if value else Missing(name="last item")
    return value


def length(value: Any) -> int:
    """Return the number of characters, items or members; 0 for anything else."""
    return len(value) if isinstance(value, str | list | dict) else 0


def to_int(value: Any, instead: int = 0) -> int:
    """Return the value as a whole number, `instead` if it is none."""
    try:
        number = as_number(value)
        return int(text_of(value)[:30]) if number is None else int(number)
    except (ValueError, OverflowError):
        return instead


def rounded(value: Any, digits: int = 0) -> float | int:
    """Return a number rounded to `digits` digits behind the point."""
    number = as_number(value)
    return 0 if number is None else round(number, max(-15, min(digits, 15))) if digits else round(number)


def url_encode(value: Any) -> str:
    """Return the text percent-encoded, for a part of a URL."""
    return quote(text_of(value)[: MAX_TEXT_CHARS // 12], safe="", errors="replace")


def _on_text(change: Callable[[str], str]) -> Callable[[Any], str]:
    return lambda value: change(text_of(value))[:MAX_TEXT_CHARS]


FILTERS: Final[Mapping[str, Callable[..., Any]]] = {
    "capitalize": _on_text(str.capitalize),
    "d": default,
    "default": default,
    "first": first,
    "int": to_int,
    "items": pairs,
    "join": join,
    "last": last,
    "length": length,
    "lower": _on_text(str.lower),
    "replace": replace,
    "round": rounded,
    "split": split,
    "string": text_of,
    "title": _on_text(str.title),
    "trim": _on_text(str.strip),
    "truncate": truncate,
    "upper": _on_text(str.upper),
    "urlencode": url_encode,
}
"""The filters, but for `raw`, `tojson` and `code`, which depend on how values are escaped."""

TESTS: Final[Mapping[str, Callable[[Any], bool]]] = {
    "defined": lambda value: not isinstance(value, Missing),
    "undefined": lambda value: isinstance(value, Missing),
    "none": lambda value: value is None,
    "string": lambda value: isinstance(value, str),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "mapping": lambda value: isinstance(value, dict),
    "list": lambda value: isinstance(value, list),
}
"""What can follow `is`."""
