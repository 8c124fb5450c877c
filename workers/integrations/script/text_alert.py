"""The text form of an alert for scripts that do not request JSON, as in the stock Integrator: seven key='value' lines.

The values are not escaped, so dangerous characters are replaced in the two values that attackers can write most freely
(spec 4.1). The parsed alert is not shared: the file of one integration never changes that of another (D14).
"""

from __future__ import annotations

import re
from typing import Final

from common import lenient_json

_LEVELS: Final = 2
"""Levels to parse: the alert itself, and `rule` and `data` in it."""

_CUT: Final = b"..."
_INT_MIN: Final = -(2**31)
_INT_MAX: Final = 2**31 - 1

_SPACE: Final = ord(" ")
_LOG: Final = bytes(
    _SPACE if byte < _SPACE or byte > ord("z") else byte for byte in bytes.maketrans(b"'`\"!$\\;", b"     /,")
)
_ADDRESS: Final = bytes(
    _SPACE if byte < ord(".") or byte > ord("z") else byte for byte in bytes.maketrans(b"\\`", b"  ")
)
_UNWRITABLE: Final = re.compile("[\ud800-\udc7f\udd00-\udfff]")
"""Lone surrogates that do not represent a byte of the line."""


def render_text(raw: bytes, max_log: int) -> bytes:
    """Return the seven lines for one line of the alert log, without a newline at the end.

    A `full_log` of `max_log` bytes or more is truncated to `max_log` bytes, and ends in three dots. Bytes that
    are not UTF-8 are kept. A value that is not a string becomes `(null)`; where the stock Integrator would crash, the
    value counts as absent (D1). Raises ValueError if `raw` is not a JSON object; the error does not quote the content.
    """
    alert = lenient_json.parse(raw, levels=_LEVELS)
    if not isinstance(alert, dict):
        raise ValueError("the alert is not a JSON object")  # noqa: TRY004 — one kind of bad input
    rule, data = alert.get("rule"), alert.get("data")
    log = _text(alert, "full_log", otherwise=b"").translate(_LOG)
    values = {
        b"alertdate": _text(alert, "timestamp"),
        b"alertlocation": _text(alert, "location"),
        b"ruleid": _text(rule, "id"),
        b"alertlevel": b"%d" % _level(rule),
        b"ruledescription": _text(rule, "description"),
        b"alertlog": log if len(log) < max_log else log[: max_log - len(_CUT)] + _CUT,
        b"srcip": _text(data, "srcip", otherwise=b"").translate(_ADDRESS),
    }
    return b"\n".join(b"%s='%s'" % line for line in values.items())


def _text(container: object, key: str, *, otherwise: bytes = b"(null)") -> bytes:
    """Return the bytes of a string up to a NUL, as C does; empty if it is absent, `otherwise` if it is not a string."""
    value = container.get(key, "") if isinstance(container, dict) else ""
    if not isinstance(value, str):
        return otherwise
    return _UNWRITABLE.sub("\ufffd", value.partition("\0")[0]).encode("utf-8", "surrogateescape")


def _level(rule: object) -> int:
    """Return the level as a C int, without its fraction; 0 for any value but a number, and 1 for true."""
    level = rule.get("level") if isinstance(rule, dict) else None
    if isinstance(level, bool) or not isinstance(level, int | float):
        return int(level is True)
    return int(min(max(level, _INT_MIN), _INT_MAX))
