"""Reads the JSON that a service answered."""

from __future__ import annotations

import json
from email.message import Message
from typing import TYPE_CHECKING, Any

from workers.alert.exact_json import read_json

if TYPE_CHECKING:
    from workers.calls import Response


def parse_json(answer: Response) -> Any:
    """Return the body's JSON value, in the stated charset or whichever UTF it is. Raises ValueError if it has none.

    What was not received whole has none either: half a report may be read as another one.
    """
    if answer.broken:
        raise ValueError(answer.broken)
    header = Message()
    header["content-type"] = answer.headers.get("content-type", "")
    charset = header.get_content_charset() or json.detect_encoding(answer.body)
    try:
        return read_json(answer.body.decode(charset).removeprefix("\ufeff"), strict=False)
    except LookupError:
        raise ValueError("its charset is unknown") from None
