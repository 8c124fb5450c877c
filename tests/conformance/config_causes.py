"""What in a block makes Courier refuse it although the stock daemon runs it (D7, D13, C2, C3, C7, C27)."""

from __future__ import annotations

import json
import re
from typing import NoReturn
from urllib.parse import urlsplit

import requests

from producer.secret_references import without_blanks

MERGES_OPTIONS = {"slack", "pagerduty", "shuffle"}
USES_HOOK_URL = {"slack", "shuffle", "maltiverse"}

_UNREADABLE = re.compile(r"[\0-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


def has_unusable_options(text: str | None) -> bool:
    """Return whether the stock script ends without sending anything (spec 5.1)."""
    if text is None:
        return False
    try:
        {}.update(json.loads(text, parse_int=float) or {})  # what the scripts do; D4 has the integers that they refuse
    except (ValueError, TypeError, RecursionError):
        return True
    return False


def has_no_json_number(text: str | None) -> bool:
    """Return whether the stock script sends something that is no JSON: NaN or Infinity."""
    if text is None or has_unusable_options(text):
        return False
    try:
        json.loads(text, parse_int=float, parse_constant=_refuse)
    except ValueError:
        return True
    return False


def _refuse(name: str) -> NoReturn:
    raise ValueError(name)


def has_unusable_hook_url(text: str | None) -> bool:
    """Return whether the library that the stock script uses makes no request to this URL."""
    if text is None:
        return False
    try:
        prepared = requests.Request("POST", without_blanks(text)).prepare()  # D20
    except (requests.RequestException, ValueError):
        return True
    return urlsplit(prepared.url or "").scheme not in {"http", "https"}


def unreadable_text(source: str) -> bool:
    """Return whether a block holds bytes that are not UTF-8, or control characters."""
    return bool(_UNREADABLE.search(source))


def has_wrapping_max_log(source: str) -> bool:
    """Return whether a block's `max_log` is within its bounds only because 32 bits hold no more of it."""
    texts = re.findall(r"<max_log\b[^<>]*>([0-9]+)</", source)
    return any(int(text) >= 2**32 and 165 <= int(text) % 2**32 <= 1024 for text in texts)


def has_rule_id_without_number(source: str) -> bool:
    """Return whether a block's `rule_id` has text and yet sets no filter (spec 1.5)."""
    texts = re.findall(r"<rule_id\b[^<>]*>(.*?)</rule_id>", re.sub(r"<!.*?(?:-->|!>)", "", source), re.DOTALL)
    numbers = [text for text in texts if re.match("[ ,]*[0-9]", text)]
    return not numbers and any(text.strip(" ,\t\r\n") for text in texts)
