"""The files that the stock Integrator writes, byte for byte, once its habits are known (spec 4.1).

The JSON form is the parsed alert printed anew, numbers through a double (D4). The text form changes the alert for the
blocks after it (D14), and finds its keys in any case, the first of equal ones (D3).
"""

from __future__ import annotations

import json
import math
import re
import sys
from typing import TYPE_CHECKING, Any

from tests.conformance.stock_line import as_stock_reads_keys, text_of
from workers.integrations.script.text_alert import render_text

if TYPE_CHECKING:
    from collections.abc import Iterable

INT_MAX = 2**31 - 1
INT_MIN = -(2**31)

_ESCAPED = re.compile(r'["\\\x00-\x1f]')
_SHORT = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_LOG = re.compile(r"^alertlog='(.*)'\nsrcip='(.*)'\Z", re.MULTILINE)


class Pairs(list[tuple[str, Any]]):
    """A JSON object with its keys in order, duplicates and all."""


def is_json(block: dict[str, Any]) -> bool:
    return str(block["alert_format"] or "").startswith("json")


def files(raw: bytes, blocks: Iterable[dict[str, Any]], *, keys: bool, changes: bool) -> list[bytes]:
    """Return what the stock daemon writes for these blocks; with its two habits in the text form, or without."""
    alert = json.loads(
        text_of(raw).partition("\0")[0],
        object_pairs_hook=Pairs,
        strict=False,
        parse_int=float,
    )
    written = []
    for block in blocks:
        if is_json(block):
            written.append(f"{printed(alert)}\n".encode("utf-8", "surrogateescape"))
            continue
        line = printed(alert).encode("utf-8", "surrogateescape")
        written.append(render_text(as_stock_reads_keys(line) if keys else line, block["max_log"]))
        alert = _changed(alert, written[-1].decode("utf-8", "surrogateescape")) if changes else alert
    return written


def printed(value: Any) -> str:
    """Return a value as cJSON prints it without blanks."""
    if isinstance(value, Pairs):
        return "{" + ",".join(f"{_string(key)}:{printed(item)}" for key, item in value) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(printed, value)) + "]"
    if isinstance(value, str):
        return _string(value)
    return _number(value) if isinstance(value, float) else json.dumps(value)


def _string(text: str) -> str:
    """Return a string; C ends it at a NUL, and escapes only what it must."""
    text = text.partition("\0")[0]
    return f'"{_ESCAPED.sub(lambda one: _SHORT.get(one[0]) or f"{chr(92)}u{ord(one[0]):04x}", text)}"'


def _number(value: float) -> str:
    if math.isnan(value) or math.isinf(value):
        return "null"
    if value == min(max(int(value), INT_MIN), INT_MAX):
        return str(int(value))
    short = f"{value:.15g}"
    return short if math.isclose(float(short), value, rel_tol=sys.float_info.epsilon, abs_tol=0) else f"{value:.17g}"


def _changed(alert: Any, file: str) -> Any:
    """Return the alert with `full_log` and `data.srcip` as the text form shows them, where they are there."""
    found = _LOG.search(file)
    if not found or not isinstance(alert, Pairs):
        return alert
    log, srcip = found.groups()
    return _with(alert, "full_log", lambda _: log, "data", lambda data: _with(data, "srcip", lambda _: srcip))


def _with(value: Any, *changes: Any) -> Any:
    """Return an object with its first member of each of these names changed."""
    if not isinstance(value, Pairs):
        return value
    by_key = dict(zip(changes[::2], changes[1::2], strict=True))
    return Pairs((key, by_key.pop(key.lower())(item) if key.lower() in by_key else item) for key, item in value)
