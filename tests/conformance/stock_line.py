"""Lines of the alert log as the stock reader sees them: what it drops and Courier takes (D2, C4, C6), and what it
makes of keys (D3).
"""

from __future__ import annotations

import json
import re
import sys
from typing import Any

LONGEST_BYTES = 65_535
"""Of a line before its newline (spec 2.3)."""

KEPT_LEVELS = 100
BOM = b"\xef\xbb\xbf"

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]|[^"\[\]{}]+|"', re.DOTALL)
_LONE_SURROGATE = re.compile(
    r"(?<!\\)((?:\\\\)*)(?:(\\ud[89ab][0-9a-f]{2}\\ud[c-f][0-9a-f]{2})|\\ud[89a-f][0-9a-f]{2})", re.IGNORECASE
)

CAUSES = ("D2", "C4", "C6")


def why_dropped(raw: bytes) -> list[str]:
    """Return the ids of the deviations for which the stock reader drops a line that Courier takes."""
    text = raw.decode("utf-8", "surrogateescape")
    there = {
        "D2": len(raw) > LONGEST_BYTES or raw != raw.rstrip(b" \t\r\n"),
        "C4": _without_lone_surrogates(text) != text,
        "C6": "\0" in text,
    }
    return [cause for cause in CAUSES if there[cause]]


def repaired(raw: bytes) -> Any:
    """Return the value of a line once all these causes are taken out of it. Raises ValueError if it is still none."""
    tokens = _TOKEN.findall(text_of(raw))
    text = "".join(token.replace("\0", "\\u0000" if token.startswith('"') else "") for token in tokens)
    text = _shallow(_without_lone_surrogates(text))
    if b"\0" not in raw:
        return json.loads(text, strict=False)
    value, _ = json.JSONDecoder(strict=False).raw_decode(text.lstrip())  # what follows the value is behind a NUL byte
    return value


def text_of(raw: bytes) -> str:
    """Return a line without byte order mark, its numbers as JSON writes what C reads: `007`, `7.` and `-.5`."""
    text = raw.removeprefix(BOM).decode("utf-8", "surrogateescape")
    return "".join(token if token.startswith('"') else _plain_numbers(token) for token in _TOKEN.findall(text))


def _plain_numbers(text: str) -> str:
    text = re.sub(r"(?<![0-9.])0+(?=[0-9])", "", text)
    text = re.sub(r"(?<=-)(?=\.[0-9])", "0", text)
    return re.sub(r"(?<=[0-9]\.)(?![0-9])", "0", text)


def _without_lone_surrogates(text: str) -> str:
    return _LONE_SURROGATE.sub(lambda found: found[0] if found[2] else f"{found[1]}?", text)


def _shallow(text: str) -> str:
    """Return a text with `null` in the place of what lies too deep for Python's own reader."""
    kept, depth = [], 0
    for token in _TOKEN.findall(text):
        depth += token in "[{"
        if depth <= KEPT_LEVELS:
            kept.append(token)
        elif depth == KEPT_LEVELS + 1 and token in "[{":
            kept.append("null")
        depth -= token in "]}"
    return "".join(kept)


def as_stock_reads_keys(raw: bytes) -> bytes:
    """Return a line with its keys in lower case and without duplicates but the first (D3)."""
    return _read_anew(raw, lambda pairs: {_lower(key): value for key, value in reversed(pairs)})


def with_standard_json_keys(raw: bytes) -> bytes:
    """Return a line as any JSON reader has it: the last duplicate wins."""
    return _read_anew(raw, dict)


def _read_anew(raw: bytes, hook: Any) -> bytes:
    try:
        alert = json.loads(text_of(raw), object_pairs_hook=hook, strict=False, parse_float=_finite)
        return json.dumps(alert).encode()
    except (ValueError, RecursionError):
        return raw


def _finite(number: str) -> float:
    """Return a number; one that is too large for a double as the largest, so that it can be written again."""
    return min(max(float(number), -sys.float_info.max), sys.float_info.max)


def _lower(key: str) -> str:
    return re.sub("[A-Z]", lambda letter: letter[0].lower(), key)
