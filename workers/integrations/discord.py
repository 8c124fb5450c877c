"""Discord: each alert is one embed, posted by a webhook of a channel (docs.discord.com, "Webhook Resource").

Limits ("Message Resource", Embed Limits): 256 characters of the title, 4,096 of the description, 25 fields with 256 and
1,024 characters, 2,048 of the footer, and 6,000 together. Discord does not say what a character is. They are counted in
UTF-16 units, which are never fewer than code points, so that both hold.

`wait=true` makes Discord respond when it has stored the message. Without it a failure is not reported.

The URL that Discord shows has no version and so means version 6, where `retry_after` and Retry-After are milliseconds
("API Reference", API Versioning; github.com/discord/discord-api-docs, issues 2360 and 4722). Courier adds the current
version to it.

Status: 200 with the message. 400 says what is wrong with the message, or with what is the same for every alert: the
webhook lacks a thread (220001 to 220003, no source found), the thread is gone, archived or locked (10003, 50083,
160005), or Discord does not accept `username` or `avatar_url`. 404 is a deleted webhook. 429 says in its body, to the
millisecond, when to go on. Other responses say when the quota is used up, which pauses the target before it has to
refuse ("Rate Limits": clients shall read `X-RateLimit-Remaining` and `X-RateLimit-Reset-After`).

`allowed_mentions` says that no text mentions anybody. `options` can replace it.

Webhooks of Discord have no means to recognise a repeated message.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

from common.outcome import Delivered
from common.services.discord import DiscordOptions
from common.services.sections import options_of
from workers.integrations.chat import MAX_NOTE, Chat
from workers.integrations.helpers import config
from workers.integrations.helpers.http_status import header_seconds
from workers.message.limits import Limits, utf16_units
from workers.message.markup import MARKDOWN

if TYPE_CHECKING:
    from collections.abc import Mapping

    from common.integration import Integration
    from common.outcome import Outcome
    from workers.alert.alert import Alert
    from workers.calls import Request, Response
    from workers.integrations.helpers.alert_fields import Fields
    from workers.integrations.helpers.http_status import StatusClassifier
    from workers.integrations.helpers.service_options import ServiceOptions
    from workers.message.message import Message

MAX_TOTAL: Final = 6_000
EMPTY: Final = "\u2013"
"""Replaces a value that Discord would refuse as empty."""

_WEBHOOK: Final = re.compile(
    r"(https://(?:(?:ptb|canary)\.)?discord(?:app)?\.com/api)(?:/v[0-9]+)?(/webhooks/[0-9]+/[^/?#]+)(?:/slack|/github)?/?(?=[?#]|\Z)",
    re.IGNORECASE,
)
"""Discord's own URLs; what imitates Discord may not know versions. `/slack` and `/github` ask for another format."""


class Discord(Chat):
    """One integration with Discord. Needs hook_url."""

    markup = MARKDOWN
    limits = Limits(
        title=256, text=4_096, fields=25, name=256, value=1_024, total=MAX_TOTAL - MAX_NOTE, measure=utf16_units
    )

    HOOK_AT_FAULT = re.compile(
        rb'"code": ?(?:22000[1-3]|10003|50083|160005)\b|"errors": ?\{"(?:username|avatar_url|thread_id)":'
    )

    def __init__(self, block: Integration, statuses: StatusClassifier, choices: ServiceOptions) -> None:
        """Raise ConfigError if the block or its section is invalid."""
        super().__init__(block, statuses, choices, _with_version(config.hook_url(block).reveal()))
        self._own = options_of(block, DiscordOptions)

    def params(self, alert: Alert, fields: Fields) -> Mapping[str, str]:  # noqa: ARG002 — the same for all alerts
        """Ask for a response after the message is stored, and name the thread if there is one."""
        return {"wait": "true"} | ({"thread_id": self._own.thread_id} if self._own.thread_id else {})

    def payload(self, message: Message, alert: Alert) -> dict[str, Any]:  # noqa: ARG002 — the message is enough
        """Return a message with one embed."""
        embed: dict[str, Any] = {
            "title": message.title,
            "color": message.colour,
            "fields": [
                {"name": one.name.strip() or EMPTY, "value": one.value.strip() or EMPTY, "inline": one.is_short}
                for one in message.fields
            ],
        }
        if message.text:
            embed["description"] = message.text
        if message.link:
            embed["url"] = message.link
        if message.note:
            embed["footer"] = {"text": message.note}
        own = {"username": self._own.username, "avatar_url": self._own.avatar_url}
        sent = {"embeds": [embed], "allowed_mentions": {"parse": []}}
        return sent | {name: value for name, value in own.items() if value}

    def interpret(self, alert: Alert, call: Request, response: Response) -> Outcome:
        """Return the meaning of the status, with a pause if this message was the last one of the quota."""
        outcome = super().interpret(alert, call, response)
        if isinstance(outcome, Delivered) and response.headers.get("x-ratelimit-remaining") == "0":
            return msgspec.structs.replace(outcome, after_s=header_seconds(response, "x-ratelimit-reset-after"))
        return outcome

    def pause_s(self, response: Response) -> float | None:
        """Return the longest of what the body and the headers say."""
        said = (super().pause_s(response), header_seconds(response, "x-ratelimit-reset-after"))
        return max((one for one in said if one is not None), default=None)


def _with_version(url: str) -> str:
    return _WEBHOOK.sub(r"\1/v10\2", url, count=1)
