"""Readers of options that several services have: a name that is shown, an icon, an id."""

from __future__ import annotations

from typing import TYPE_CHECKING

from common.settings.values import text

if TYPE_CHECKING:
    from common.settings.values import Reader

MAX_URL_CHARS = 2_000


def name(longest: int) -> Reader[str]:
    """Read a name of at most `longest` characters on one line."""
    return text(f"a name of at most {longest} characters", rf"[^\s](?:[^\r\n\t]{{0,{longest - 2}}}[^\s])?")


def https_url() -> Reader[str]:
    """Read the URL of an icon: the people who read the messages load it."""
    return text('a URL such as "https://example.org/icon.png"', rf"https://[^\s\"'<>\\]{{1,{MAX_URL_CHARS}}}")


def number() -> Reader[str]:
    """Read an id that consists of digits; written without quotes it would lose some of them in other programs."""
    return text('the digits of an id, in quotes, such as "1098765432109876543"', r"[0-9]{1,20}")
