"""Regular expressions that take linear time on any text (RE2). Alerts are hostile input, and `re` can take for ever."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import re2

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_PROGRAM: Final = 2_000
"""Steps of a compiled expression. RE2 takes at most this many for each byte: 0.3 s for the longest text."""

_MAX_MEMORY_BYTES: Final = 1024 * 1024
"""What RE2 may keep for one expression; when it is used up, the search goes on more slowly."""

_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def compile_search(pattern: str) -> Callable[[str], bool]:
    """Return the function that says whether `pattern` occurs anywhere in a text.

    Raises ValueError if it is not in RE2's syntax, or too large.
    """
    search = _compile(pattern).search
    return lambda text: search(_bytes(text)) is not None


def compile_full_match(pattern: str) -> Callable[[str], bool]:
    """Return the function that says whether `pattern` matches a whole text. Raises ValueError as `compile_search`."""
    match = _compile(pattern).fullmatch
    return lambda text: match(_bytes(text)) is not None


def escape(text: str) -> str:
    """Return the pattern that matches exactly `text`."""
    return str(re2.escape(text))


def _compile(pattern: str) -> re2._Regexp:
    options = re2.Options()
    options.log_errors = False  # RE2 would write to standard error
    options.max_mem = _MAX_MEMORY_BYTES
    options.never_capture = True
    try:
        compiled = re2.compile(pattern.encode(), options)
    except re2.error as error:
        problem = error.args[0].decode("utf-8", "replace")
        raise ValueError(f"the regular expression is not in RE2's syntax: {problem}") from None
    if compiled.programsize > MAX_PROGRAM:
        raise ValueError(f"the pattern is too large: {compiled.programsize} steps, at most {MAX_PROGRAM} are allowed")
    return compiled


def _bytes(text: str) -> bytes:
    """Return a text for RE2. Bytes are searched in half the time of a str, whose positions RE2 would count."""
    try:
        return text.encode()
    except UnicodeEncodeError:  # a lone surrogate, from bytes that are not UTF-8
        return _SURROGATE.sub("\ufffd", text).encode()
