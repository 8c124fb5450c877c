"""Parses the `<options>` of an integration: a JSON object whose members replace those of the message (spec 5.1).

The producer refuses a block whose options cannot be parsed (D13), so a worker only meets such options in a registry
entry that another version published.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

from common.exact_json import as_number, read_json


def parse_options(text: str) -> dict[str, Any]:
    """Return the members that `text` adds to the message or replaces in it.

    As in the stock scripts, a list of pairs counts as an object, and an empty or false value (`{}`, `null`, `0.0`)
    means no options. Raises ValueError for anything else; the error says what to write and does not quote the text.
    """
    try:
        value = read_json(text)
    except json.JSONDecodeError as error:
        hint = r"; write < as \u003c" if "\\<" in text else ""
        if "'" in text[error.pos : error.pos + 1]:
            hint = "; JSON has its texts in double quotes"
        where = f"line {error.lineno}, column {error.colno} of the text"
        raise ValueError(f"is not JSON ({where}): write an object such as {{}} or leave it out{hint}") from None
    except ValueError:  # NaN or Infinity, which no service accepts, or nested too deeply
        raise ValueError("is not JSON that can be read: write an object such as {} or leave it out") from None
    if not value or as_number(value) == 0:
        return {}
    with suppress(TypeError, ValueError):
        options = dict(value)
        if all(isinstance(name, str) for name in options):
            return options
    raise ValueError('is JSON, but not an object: write one such as {"pretext":"…"} or leave it out')
