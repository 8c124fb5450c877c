"""Writes a message as one text, for services that keep an alert as a document."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workers.message.markup import Markup
    from workers.message.message import Message


def document(message: Message, markup: Markup, bullet: str = "- ") -> str:
    """Return text, fields, link and note of a message, escaped as they are, in the markup of the service."""
    lines = "\n".join(f"{bullet}{markup.bold(one.name)}: {one.value}" for one in message.fields)
    link = markup.link("Alert in the dashboard", message.link) if message.link else ""
    return "\n\n".join(filter(None, (message.text, lines, link, message.note)))
