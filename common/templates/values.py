"""What a template sees of an alert: objects, lists, texts, numbers, true, false and null, and nothing of Python."""

from __future__ import annotations

import json
from typing import Any, Final, Self

from jinja2 import Undefined

from common.exact_json import RawNumber, write_json

MAX_TEXT_CHARS: Final = 40_000
"""Characters of one text that a template sees: as many as Slack shows, more than any other service."""

MAX_ITEMS: Final = 100
"""Items of a list or an object that a template sees."""

_MAX_PATH_CHARS: Final = 100
"""Characters of the path of a missing value that are kept."""

_CONTAINERS: Final[dict[type, tuple[type[Any], ...]]] = {str: (dict,), int: (list,)}
"""What has members or items behind a key of each type."""

_NOTHING: Final[dict[Any, Any]] = {}


class Raw:
    """A text that is not escaped: one that the template itself contains, or one that a filter has made safe."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __str__(self) -> str:
        return self.text


class ExactNumber(float):
    """A fraction that is compared as a number and printed as the alert writes it (D4)."""

    text: str

    @classmethod
    def of(cls, number: RawNumber) -> Self:
        """Return the number for a template."""
        exact = cls(number.text)
        exact.text = number.text
        return exact


class Missing(Undefined):
    """A value that the alert does not have. It is empty, false and neither above nor below anything."""

    @property
    def path(self) -> str:
        """What the template asked for, such as `data.srcip`."""
        return self._undefined_name or "?"

    def __str__(self) -> str:
        return ""

    def __contains__(self, item: object) -> bool:
        return False

    def _compared(self, other: object) -> bool:  # noqa: ARG002 — the interface of a comparison
        return False

    __lt__ = __le__ = __gt__ = __ge__ = _compared  # type: ignore[assignment]  # Undefined raises in these


def seen(value: Any) -> Any:
    """Return a value of the alert as a template sees it."""
    if isinstance(value, str):
        return value if len(value) <= MAX_TEXT_CHARS else value[:MAX_TEXT_CHARS]
    return ExactNumber.of(value) if isinstance(value, RawNumber) else value


def member(value: Any, name: str, *keys: Any) -> Any:
    """Return the value behind `keys`, names of members and positions in lists. `name` is what `value` is called."""
    for depth, key in enumerate(keys, start=1):
        try:
            container: Any = value if isinstance(value, _CONTAINERS.get(type(key), ())) else _NOTHING
            value = container[key]
        except (LookupError, TypeError):
            base = value.path if isinstance(value, Missing) else name
            asked = keys if isinstance(value, Missing) else keys[:depth]
            return Missing(name=".".join([base, *map(str, asked)])[:_MAX_PATH_CHARS])
    return seen(value)


def text_of(value: Any) -> str:
    """Return the text that a template prints for a value, not escaped yet."""
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, Undefined):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, ExactNumber):
        return value.text
    if isinstance(value, int | float | Raw):
        return str(value)
    return json_of(value)


def json_of(value: Any) -> str:
    """Return a value as JSON; what has no JSON form is null. Raises ValueError if it is nested too deeply."""
    if isinstance(value, ExactNumber):
        return value.text
    if isinstance(value, Raw):
        return json.dumps(value.text)
    if isinstance(value, dict | list | tuple | str | int | float):
        return write_json(_plain(value))
    return "null"


def _plain(value: Any) -> Any:
    """Return a list that a template made without the classes of this module; anything else is the alert's own."""
    return [_plain_item(one) for one in value] if isinstance(value, list | tuple) else value


def _plain_item(value: Any) -> Any:
    if isinstance(value, ExactNumber):
        return RawNumber(value.text)
    return text_of(value) if isinstance(value, Raw | Undefined) else value
