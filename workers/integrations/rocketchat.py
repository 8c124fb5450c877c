"""Rocket.Chat: each alert is one attachment, posted to an incoming webhook.

Sources: docs.rocket.chat, "Create Integrations"; the format is Slack's.

Limits: 5,000 characters of a message (`Message_MaxAllowedSize`, by default; github.com/RocketChat/Rocket.Chat). The
title, text and fields together keep to it, in UTF-16 units, as a server in JavaScript counts.

Status: 200. Everything else that is wrong is 400 with an `error`: some words are about the webhook, its channel or its
script, for every alert, others about the message. 503 says that the integration is switched off. 429 after ten messages
in a minute by default ("Rate Limiter" settings); `X-RateLimit-Reset` is then the time in milliseconds since the epoch.

Rocket.Chat has no means to recognise a repeated message.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from common.services.rocketchat import RocketChatOptions
from common.services.sections import options_of
from workers.integrations.chat import MAX_NOTE, Chat
from workers.integrations.helpers.http_status import MAX_RETRY_AFTER_S
from workers.integrations.helpers.slack_attachment import slack_attachment
from workers.message.limits import Limits, utf16_units
from workers.message.markup import ROCKETCHAT

if TYPE_CHECKING:
    from common.integration import Integration
    from workers.alert.alert import Alert
    from workers.calls import Response
    from workers.integrations.helpers.http_status import StatusClassifier
    from workers.integrations.helpers.service_options import ServiceOptions
    from workers.message.message import Message

_MILLISECONDS: Final = re.compile(r"[0-9]{10,15}", re.ASCII)


class RocketChat(Chat):
    """One integration with Rocket.Chat. Needs hook_url."""

    markup = ROCKETCHAT
    limits = Limits(
        title=500, text=3_000, fields=20, name=100, value=1_000, total=5_000 - MAX_NOTE, measure=utf16_units
    )

    HOOK_AT_FAULT = re.compile(
        rb"[Ii]nvalid integration|invalid-(channel|room|user)|error-(not-allowed|running-script|invalid-(room|user))"
        rb"|overriding destination channel"
    )

    def __init__(self, block: Integration, statuses: StatusClassifier, choices: ServiceOptions) -> None:
        """Raise ConfigError if the block or its section is invalid."""
        super().__init__(block, statuses, choices)
        own = options_of(block, RocketChatOptions)
        members = {"channel": own.channel, "alias": own.username, "avatar": own.icon_url}
        self._own = {name: value for name, value in members.items() if value}

    def payload(self, message: Message, alert: Alert) -> dict[str, Any]:  # noqa: ARG002 — the message is enough
        """Return a message with one attachment; it has no footer, so a note goes to the end of the text."""
        attachment = slack_attachment(message)
        if message.note:
            attachment["text"] = f"{message.text}\n{message.note}".strip()
        return {"attachments": [attachment], **self._own}

    def pause_s(self, response: Response) -> float | None:
        """Return Retry-After, or else the time until the one in the server's own header."""
        said = super().pause_s(response)
        reset = response.headers.get("x-ratelimit-reset", "").strip()
        if said is not None or not _MILLISECONDS.fullmatch(reset):
            return said
        return min(max(int(reset) / 1000 - self._statuses.now_s(), 0.0), MAX_RETRY_AFTER_S)
