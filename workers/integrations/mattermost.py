"""Mattermost: each alert is one attachment, posted to an incoming webhook.

Sources: developers.mattermost.com, "Incoming webhooks" and "Message attachments"; the format is Slack's.

Limits: 16,383 characters of a post (the documentation of incoming webhooks; `PostMessageMaxRunesV2` in its source).
Attachments may have more, and long ones are folded; they keep to the same limit here. Characters are code points, as
Mattermost is written in Go and counts runes.

Status: 200 with `ok`. 400 says what is wrong; if it is the webhook itself, as `web.incoming_webhook.invalid.app_error`
does after it was deleted, the alerts wait. 501 says that webhooks are switched off. A server with rate limiting (off by
default, 10 a second) responds 429 with the seconds in `X-RateLimit-Reset`.

Mattermost has no means to recognise a repeated message.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from common.services.mattermost import MattermostOptions
from common.services.sections import options_of
from workers.integrations.chat import MAX_NOTE, Chat
from workers.integrations.helpers.http_status import header_seconds
from workers.integrations.helpers.slack_attachment import slack_attachment
from workers.message.limits import Limits
from workers.message.markup import MATTERMOST

if TYPE_CHECKING:
    from common.integration import Integration
    from workers.alert.alert import Alert
    from workers.calls import Response
    from workers.integrations.helpers.http_status import StatusClassifier
    from workers.integrations.helpers.service_options import ServiceOptions
    from workers.message.message import Message


class Mattermost(Chat):
    """One integration with Mattermost. Needs hook_url."""

    markup = MATTERMOST
    limits = Limits(title=500, text=8_000, fields=20, name=200, value=2_000, total=16_383 - MAX_NOTE)

    HOOK_AT_FAULT = re.compile(rb"web\.incoming_webhook\.(invalid|disabled|channel|user|permissions)")

    def __init__(self, block: Integration, statuses: StatusClassifier, choices: ServiceOptions) -> None:
        """Raise ConfigError if the block or its section is invalid."""
        super().__init__(block, statuses, choices)
        own = options_of(block, MattermostOptions)
        members = {"channel": own.channel, "username": own.username, "icon_url": own.icon_url}
        self._own = {name: value for name, value in members.items() if value}

    def payload(self, message: Message, alert: Alert) -> dict[str, Any]:  # noqa: ARG002 — the message is enough
        """Return a post with one attachment."""
        attachment = slack_attachment(message)
        if message.note:
            attachment["footer"] = message.note
        return {"attachments": [attachment], **self._own}

    def pause_s(self, response: Response) -> float | None:
        """Return Retry-After, or else the seconds of the server's own header."""
        said = super().pause_s(response)
        return header_seconds(response, "x-ratelimit-reset") if said is None else said
