"""The options of `<integration>`: their names, and how the text of each is converted to a value (spec 1.3, 1.5).

An invalid text raises ValueError, which says what is wrong and what to write, and never contains a secret.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from common import services
from common.settings.values import quoted
from producer.ossec_conf.placeholders import looks_like_placeholder

if TYPE_CHECKING:
    from collections.abc import Sequence

REQUIRED: Final = {name: services.REQUIRED[name] for name in services.STOCK}
"""The stock names, and the options that each requires (spec 1.4)."""

ELEMENTS: Final = (
    *("name", "hook_url", "api_key", "level", "rule_id", "group", "event_location"),
    *("alert_format", "max_log", "options", "timeout", "retries"),
)

SECRETS: Final = ("hook_url", "api_key", "options")
"""The options whose text must not be shown."""

_BITS: Final = 2**32
_LARGEST: Final = 2**63 - 1
_LARGEST_DIGITS: Final = 19
_MAX_LOG: Final = range(165, 1025)
_IGNORED: Final = " ,\t\r\n"


def unsigned(text: str) -> int:
    """Read `level`: digits; empty is 0; a number above 32 bits wraps around."""
    return _digits(text) % _BITS


def signed(text: str) -> int:
    """Read `timeout` or `retries`: like `unsigned`, but the upper half of the 32-bit range is negative."""
    number = _digits(text) % _BITS
    return number if number < _BITS // 2 else number - _BITS


def max_log(text: str) -> int:
    """Read `max_log`, from 165 to 1024."""
    if not text or _digits(text) not in _MAX_LOG:
        raise ValueError(f"{quoted(text)} is out of range: write a number from {_MAX_LOG[0]} to {_MAX_LOG[-1]}")
    return int(text)


def _digits(text: str) -> int:
    if not re.fullmatch("[0-9]*", text):
        raise ValueError(f"{quoted(text)} is not a number: write digits only, with no sign, space or comma")
    return _number(text)


def _number(digits: str) -> int:
    """Return a number as C reads it: one above 64 bits becomes the largest that fits."""
    digits = digits.lstrip("0") or "0"
    return min(int(digits[: _LARGEST_DIGITS + 1]), _LARGEST)


class RuleIds(NamedTuple):
    """`numbers` is None for no filter, and empty for a filter that never passes; `ignored` if text had no effect."""

    numbers: tuple[int, ...] | None
    ignored: bool = False


def rule_ids(texts: Sequence[str]) -> RuleIds:
    """Read all `rule_id` elements of a block. Raises ValueError if there is text without a number in it (D7)."""
    numbers: list[int] = []
    ignored = False
    for text in texts:
        there, rest = _rule_ids(text)
        numbers += there
        ignored = ignored or rest
    if not numbers and ignored:
        problem = "does not begin with a number, which for the stock daemon means no filter at all"
        raise ValueError(
            f"{problem}: write numbers with commas between them, such as 5710,5712, and nothing else; "
            "a rule cannot be excluded here"
        )
    return RuleIds(tuple(number for number in numbers if number) if numbers else None, ignored)


def _rule_ids(text: str) -> tuple[list[int], bool]:
    """Return the numbers of one text, and whether some of it was ignored."""
    numbers: list[int] = []
    ignored = False
    rest = text.lstrip(" ,")
    while digits := re.match("[0-9]+", rest):
        numbers.append(_number(digits[0]) % _BITS)
        item, _, rest = rest[digits.end() :].partition(",")
        ignored = ignored or bool(item.strip(_IGNORED))
        rest = rest.lstrip(" ,")
    return numbers, ignored or bool(rest.strip(_IGNORED))


def check_hook_url(url: str) -> None:
    """Raise ValueError unless a request can be made to this URL. The error does not quote it."""
    from requests import PreparedRequest, RequestException  # noqa: PLC0415 — slow to import, and not always needed

    request = PreparedRequest()
    try:
        request.prepare_url(url, None)
    except (RequestException, ValueError):  # its text quotes the URL
        request.url = None
    if not re.match("https?://", request.url or "", re.IGNORECASE):
        raise ValueError(f"is not a URL: write the whole URL, from https:// on{_hint(url)}")


def _hint(url: str) -> str:
    if url.startswith("$"):
        return "; variables such as $NAME are not replaced in ossec.conf"
    return "; this looks like a placeholder that was never replaced" if looks_like_placeholder(url) else ""
