"""The Atlassian Document Format, in which Jira Cloud takes descriptions and comments.

A document is a tree (developer.atlassian.com, "Atlassian Document Format"; its JSON schema is at
go.atlassian.com/adf-json-schema). Text is always the text of a node, never markup: alert text can't become anything
else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workers.message.message import Message

Node = dict[str, Any]

LINK_TEXT = "Alert in the dashboard"


def adf(message: Message) -> Node:
    """Return a message as a document; the text becomes one paragraph for each block of lines."""
    content = [_paragraph(part) for part in message.text.split("\n\n") if part.strip()]
    if message.fields:
        content.append(_bullets([(one.name, one.value) for one in message.fields]))
    if message.link:
        content.append({"type": "paragraph", "content": [_text(LINK_TEXT, _link(message.link))]})
    if message.note:
        content.append(_paragraph(message.note))
    return {"type": "doc", "version": 1, "content": content}


def _paragraph(text: str) -> Node:
    """Return a paragraph that keeps the ends of lines."""
    nodes: list[Node] = []
    for line in text.strip("\n").split("\n"):
        if nodes:
            nodes.append({"type": "hardBreak"})
        if line:  # the schema knows no empty text
            nodes.append(_text(line))
    return {"type": "paragraph", "content": nodes}


def _bullets(pairs: list[tuple[str, str]]) -> Node:
    items = [
        {
            "type": "listItem",
            "content": [{"type": "paragraph", "content": [_text(f"{name}:", {"type": "strong"}), _text(f" {value}")]}],
        }
        for name, value in pairs
    ]
    return {"type": "bulletList", "content": items}


def _text(text: str, *marks: Node) -> Node:
    return {"type": "text", "text": text, **({"marks": list(marks)} if marks else {})}


def _link(url: str) -> Node:
    return {"type": "link", "attrs": {"href": url}}
