"""Reads the JSON body of a response."""

from __future__ import annotations

import json
from email.message import Message
from typing import TYPE_CHECKING, Any

from common.exact_json import read_json

if TYPE_CHECKING:
    from workers.calls import Response


def parse_json(response: Response) -> Any:
    """Return the body's JSON value. Without a charset in the headers, the body is UTF-8, UTF-16 or UTF-32.

    Raises ValueError if the body is not JSON or was not received completely: half a report could be read as a different
    one.
    """
    if response.broken:
        raise ValueError(response.broken)
    header = Message()
    header["content-type"] = response.headers.get("content-type", "")
    charset = header.get_content_charset() or json.detect_encoding(response.body)
    try:
        return read_json(response.body.decode(charset).removeprefix("\ufeff"), strict=False)
    except LookupError:
        raise ValueError("its charset is unknown") from None


def json_object(response: Response) -> dict[str, Any]:
    """Return the body's JSON object, an empty one if there is none."""
    try:
        document = parse_json(response)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
