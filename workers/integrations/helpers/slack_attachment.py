"""The attachment in which Slack and the services that imitate its webhooks show a message."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workers.message.message import Message


def slack_attachment(message: Message) -> dict[str, Any]:
    """Return a message as an attachment (docs.slack.dev, "Reference: Secondary message attachments").

    The note is not in it: services show it in different places.
    """
    attachment: dict[str, Any] = {
        "color": f"#{message.colour:06x}",
        "fallback": message.title,
        "title": message.title,
        "text": message.text,
        "fields": [{"title": one.name, "value": one.value, "short": one.is_short} for one in message.fields],
    }
    if message.link:
        attachment["title_link"] = message.link
    return attachment
