"""The `<options>` of an integration: a JSON object whose members replace those of the message (spec 5.1)."""

from __future__ import annotations

from typing import Any

from workers.alert.exact_json import read_json


def parse_options(text: str) -> dict[str, Any]:
    """Return the members that `text` adds to the message or replaces in it.

    As the stock scripts take it, a list of pairs is an object too, and what is empty or false (`{}`, `null`, `0`)
    is no options. Raises ValueError, which quotes nothing, for anything else (D13).
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
        raise ValueError("is JSON, but no object") from None
    if not all(isinstance(name, str) for name in options):
        raise ValueError("has a name that is no text")
    return options
