"""What a digest keeps of an alert: texts and JSON of bounded size, which any strict reader of JSON accepts."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import msgspec

from common.ledger.digest_types import MAX_SAMPLE_BYTES, MAX_VALUE_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_BRACKETS: Final = 60
"""Arrays and objects in a part of an alert that is kept whole, so that a digest is never nested too deeply to read."""

MAX_RULE_BYTES: Final = 4_000
MAX_MEMBER_BYTES: Final = 1_000
DESCRIPTION_CHARS: Final = 300
VALUE_CHARS: Final = 64
GROUP_VALUE_CHARS: Final = 100
MAX_GROUP_VALUE_BYTES: Final = 350
"""Of each value of `by` in JSON; five of them are below MAX_GROUP_BYTES of the ledger."""

_BASE_MEMBERS: Final = ("agent", "manager", "decoder", "location")
_MAX_LEVEL: Final = 2**31 - 1


def cut(text: str, chars: int, most_bytes: int | None = None) -> str:
    """Return at most `chars` characters of a text, fewer if they take more bytes in JSON, without lone surrogates."""
    text = text[:chars].encode("utf-8", "replace").decode()
    if most_bytes is None or len(_json(text).encode()) <= most_bytes:
        return text
    return text[: most_bytes // 6 - 2]  # \u0000 has six


def top_value(text: str) -> str:
    """Return a value in the form in which it is counted."""
    return _short_value(text[:VALUE_CHARS])


@lru_cache(4_096)
def _short_value(text: str) -> str:
    return cut(text, VALUE_CHARS, MAX_VALUE_BYTES)


def group_values(values: Mapping[str, str]) -> str:
    """Return the values of `by` by field, in JSON."""
    return _json({field[:100]: cut(text, GROUP_VALUE_CHARS, MAX_GROUP_VALUE_BYTES) for field, text in values.items()})


def timestamp_of(alert: Mapping[str, Any]) -> str:
    """Return the time of an alert as it wrote it."""
    return _text(alert.get("timestamp"), 64)


def id_of(alert: Mapping[str, Any]) -> str:
    """Return the id of an alert, '' if it has none."""
    return _text(alert.get("id"), 64)


def level_of(alert: Mapping[str, Any]) -> int:
    """Return the level of an alert's rule, 0 if it has none."""
    return level_number(_object(alert.get("rule")).get("level"))


def level_number(level: object) -> int:
    """Return the level that a value is, 0 if it is none."""
    if not isinstance(level, int | float) or isinstance(level, bool):
        return 0
    try:
        return int(min(max(level, 0), _MAX_LEVEL))
    except ValueError:  # not a number
        return 0


def base_of(alert: Mapping[str, Any]) -> str:
    """Return the pieces of JSON from which `digests.lua` makes the digest's own alert, as JSON."""
    rule = _object(alert.get("rule"))
    others = {name: value for name, value in rule.items() if name != "description"}
    short = {"level": level_of(alert), "id": _text(rule.get("id"), 32), "groups": _short_texts(rule.get("groups"))}
    members = {name: alert[name] for name in _BASE_MEMBERS if name in alert}
    kept = {name: text for name, value in members.items() if (text := _whole(value, MAX_MEMBER_BYTES))}
    if "agent" in members and "agent" not in kept:
        kept["agent"] = _json(_agent(alert, 60))
    if "location" in members and "location" not in kept:
        kept["location"] = _json(_text(alert["location"], 100))
    return _json(
        {
            "description": _json(_text(rule.get("description"), DESCRIPTION_CHARS))[1:-1],
            "rule": _members(_whole(others, MAX_RULE_BYTES) or _json(short)),
            "rest": "".join(f',"{name}":{text}' for name, text in kept.items()),
        }
    )


def sample_of(alert: Mapping[str, Any]) -> str:
    """Return an alert in JSON, cut to what people look at if it is large."""
    if whole := _whole(alert, MAX_SAMPLE_BYTES):
        return whole
    for log_chars, chars in ((800, 120), (160, 60), (40, 12)):
        text = _json(_short_alert(alert, log_chars, chars))
        if len(text.encode()) <= MAX_SAMPLE_BYTES:
            break
    return text


def _short_alert(alert: Mapping[str, Any], log_chars: int, chars: int) -> dict[str, Any]:
    rule = _object(alert.get("rule"))
    return {
        "id": id_of(alert),
        "timestamp": timestamp_of(alert),
        "rule": {
            "id": _text(rule.get("id"), 32),
            "level": level_of(alert),
            "description": _text(rule.get("description"), chars),
        },
        "agent": _agent(alert, chars),
        "location": _text(alert.get("location"), chars),
        "full_log": _text(alert.get("full_log"), log_chars),
    }


def _agent(alert: Mapping[str, Any], chars: int) -> dict[str, str]:
    agent = _object(alert.get("agent"))
    return {"id": _text(agent.get("id"), 32), "name": _text(agent.get("name"), chars)}


def _short_texts(values: object) -> list[str]:
    return [_text(one, 60) for one in values[:20]] if isinstance(values, list) else []


def _members(text: str) -> str:
    """Return the members of an object in JSON, with a comma in front if there are any."""
    inside = text[1:-1]
    return f",{inside}" if inside else ""


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: object, chars: int) -> str:
    return cut(value, chars) if isinstance(value, str) else ""


def _whole(value: object, most_bytes: int) -> str:
    """Return a value in JSON, '' if it is too large or nested, or has a number that JSON does not have."""
    try:
        text = _json(value).encode("utf-8", "replace")
    except (ValueError, TypeError, RecursionError):  # NaN, or digits that Python does not convert
        return ""
    is_small = len(text) <= most_bytes and text.count(b"[") + text.count(b"{") <= MAX_BRACKETS
    return text.decode() if is_small else ""


def _json(value: object) -> str:
    """Return a value in JSON. Raises ValueError, TypeError or RecursionError if it is none.

    msgspec takes a fifth of the time, but writes null for a number that JSON does not have.
    """
    try:
        text = msgspec.json.encode(value)
    except (ValueError, TypeError, OverflowError, RecursionError):  # what only the lenient reader accepts
        text = b"null"
    if b"null" not in text:
        return text.decode()
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
