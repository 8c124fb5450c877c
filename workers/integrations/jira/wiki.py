"""Jira's wiki markup, in which Data Center takes descriptions and comments.

Alert text is escaped by numeric entities, which Jira shows as the characters that they stand for. A backslash escapes
too, but two of them are a line break, for which an entity is Atlassian's own workaround (jira.atlassian.com,
JRASERVER-9258, as others quote it). No source was found for the whole list of characters below; it is conservative.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from workers.integrations.helpers.document import document
from workers.message.markup import Markup
from workers.redaction import readable

if TYPE_CHECKING:
    from workers.message.message import Message

_SPECIAL: Final = re.compile(
    r"[&{}\[\]|!*_+^~?#@<>\\`]"  # macros, links, mentions, tables, images, styles
    r"|(?<![A-Za-z0-9])-|-(?![A-Za-z0-9])"  # a strike, a list or a rule; not the hyphen within a word
    r"|[(;:](?=[/x!?+\-*()iynDP])|(?<=[;:])[)(]"  # icons such as (!) and :D
)
_AT_BEGIN_OF_LINE: Final = re.compile(r"^([ \t]*(?:h[1-6]|bq))\.", re.MULTILINE | re.IGNORECASE)
_PARTIAL_ENTITY: Final = re.compile(r"&[#0-9]{0,6}\Z")

_FENCE: Final = "{noformat}"
_INVISIBLE: Final = "\u200b"


def _escape(text: str) -> str:
    escaped = _SPECIAL.sub(lambda found: f"&#{ord(found[0])};", readable(text))
    return _AT_BEGIN_OF_LINE.sub(r"\1&#46;", escaped)


def _code(text: str) -> str:
    inside = readable(text).replace("{", f"{{{_INVISIBLE}")
    return f"{_FENCE}\n{inside}\n{_FENCE}"


def _repair(text: str) -> tuple[str, str]:
    text = _PARTIAL_ENTITY.sub("", text)
    return text, f"\n{_FENCE}" if text.count(_FENCE) % 2 else ""


WIKI: Final = Markup(
    "Jira's wiki markup",
    _escape,
    repair=_repair,
    bold=lambda text: f"*{text}*",
    code=_code,
    link=lambda text, url: f"[{text}|{url}]",
)
"""Data Center's markup. In a block of code nothing is an entity: an invisible space keeps alert text from ending it."""


def wiki(message: Message) -> str:
    """Return a message as a text."""
    return document(message, WIKI, "* ")
