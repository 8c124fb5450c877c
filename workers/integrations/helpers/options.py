"""Parses the `<options>` of an integration: a JSON object whose members replace those of the message (spec 5.1)."""

from __future__ import annotations

from typing import Any

from workers.alert.exact_json import read_json


def parse_options(text: str) -> dict[str, Any]:
    """Return the members that `text` adds to the message or replaces in it.

    As in the stock scripts, a list of pairs counts as an object, and an empty or false value (`{}`, `null`, `0`) means
    no options. Raises ValueError for anything else (D13); the error does not quote the text.
    """
    try:
        value = read_json(text)
    except ValueError as error:
        raise ValueError(f"is not JSON: {error}") from None
    if not value:
        return {}
    try:
        options = dict(value)
    except (TypeError, ValueError):
        raise ValueError("is JSON, but not an object") from None
    if not all(isinstance(name, str) for name in options):
        raise ValueError("has a name that is not a string")
    return options
