"""Telegram: each alert is one message of a bot to a chat or to a topic of it.

A message can have 4,096 characters after its HTML has been parsed (core.telegram.org/bots/api, "sendMessage"), which
Telegram counts in UTF-16 units. A bot should send at most one message a second to a chat, with short bursts, and cannot
send more than 20 a minute to a group ("Bots FAQ", "My bot is hitting limits").

Responses are JSON with `ok`, `error_code`, which equals the status, and `description` ("Making requests"):

    401, 404       the token is wrong or revoked
    403            the bot was blocked by the user, or removed from the chat
    429            too many messages; `parameters.retry_after` are the seconds to wait
    400            chat or topic do not exist, or the bot may not write there: this affects every alert and is retried;
                   so does HTML that Telegram does not know, if a template of the operator's has it;
                   anything else is about this message
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import msgspec

from common.exact_json import as_number
from common.outcome import Reason, Rejected, Retry
from common.services.sections import options_of
from common.services.telegram import TelegramOptions
from workers.integrations.chat import Chat
from workers.integrations.helpers import config
from workers.integrations.helpers.alert_fields import get
from workers.integrations.helpers.http_status import MAX_RETRY_AFTER_S
from workers.integrations.helpers.json_response import parse_json
from workers.message.limits import Limits, cut, utf16_units
from workers.message.markup import HTML

if TYPE_CHECKING:
    from common.integration import Integration
    from common.outcome import Outcome
    from workers.alert.alert import Alert
    from workers.calls import Request, Response
    from workers.integrations.helpers.http_status import StatusClassifier
    from workers.integrations.helpers.service_options import ServiceOptions
    from workers.message.message import Message

API: Final = "https://api.telegram.org"

MAX_TEXT: Final = 4_096

MAX_DESCRIPTION_CHARS: Final = 4_096
"""Characters of a response that are searched for the words below; Telegram's own have about 100."""

_TAG: Final = re.compile(r"<[^<>]*>")
_ENTITY: Final = re.compile(r"&(?:lt|gt|amp|quot);")
"""The named entities that Telegram knows ("HTML style")."""

_OF_THE_CHAT: Final = (
    *("chat not found", "thread not found", "topic_closed", "topic_deleted", "upgraded to a supergroup"),
    *(
        "chat_restricted",
        "chat_id_invalid",
        "peer_id_invalid",
        "user_id_invalid",
        "channel_private",
        "chat_id is empty",
    ),
    *(
        "chat_admin_required",
        "not enough rights",
        "have no rights",
        "chat_write_forbidden",
        "need administrator rights",
    ),
)
"""Parts of descriptions of a 400 that mean the chat, whatever is sent (github.com/tdlib/telegram-bot-api)."""

_INVALID_HTML: Final = b"can't parse entities"
"""Part of a description (as above). Alert text and the default message are escaped, so a template is at fault."""


def shown_length(text: str) -> int:
    """Return the UTF-16 units of a text after its HTML has been parsed."""
    return utf16_units(_ENTITY.sub("x", _TAG.sub("", text)))


class Telegram(Chat):
    """One integration with a Telegram bot. Needs api_key, the bot's token, and a chat."""

    markup = HTML
    limits = Limits(title=250, text=2_500, fields=20, value=500, total=3_400, measure=shown_length)

    def __init__(self, block: Integration, statuses: StatusClassifier, choices: ServiceOptions) -> None:
        token = quote(config.api_key(block).reveal(), safe=":", errors="replace")
        super().__init__(block, statuses, choices, f"{(choices.url or API).rstrip('/')}/bot{token}/sendMessage")
        options = options_of(block, TelegramOptions)
        if not options.chat:
            raise config.config_error(block, "chat", "telegram needs it")
        self._where: dict[str, Any] = {"chat_id": options.chat}
        if options.topic:
            self._where["message_thread_id"] = options.topic

    def payload(self, message: Message, alert: Alert) -> dict[str, Any]:  # noqa: ARG002 — the message is enough
        """Return the message as HTML. Telegram must not fetch the URLs of an alert to preview them."""
        bold = self.markup.bold
        fields = "\n".join(f"{bold(one.name)}: {one.value}" for one in message.fields)
        link = self.markup.link("Open the alert", message.link) if message.link else ""
        parts = (bold(message.title), message.text, fields, link, self.markup.escape(message.note))
        text = cut("\n\n".join(filter(None, parts)), MAX_TEXT, self.markup, shown_length)
        return {**self._where, "text": text, "parse_mode": "HTML", "link_preview_options": {"is_disabled": True}}

    def interpret(self, alert: Alert, call: Request, response: Response) -> Outcome:
        """Return the meaning of the status, and of a 400 that affects every alert."""
        outcome = super().interpret(alert, call, response)
        match outcome:
            case Retry(reason=Reason.RATE_LIMITED, after_s=None):
                return msgspec.structs.replace(outcome, after_s=_retry_after_s(response))
            case Rejected(reason=Reason.HTTP_4XX) if response.status == 400 and _is_of_the_chat(response):  # noqa: PLR2004 — see above
                return Retry(Reason.GONE, outcome.detail)
            case Rejected() if self.messages.given and _INVALID_HTML in response.body[:MAX_DESCRIPTION_CHARS]:
                return Retry(Reason.NOT_CONFIGURED, f"correct the template: {outcome.detail}")
        return outcome


def _is_of_the_chat(response: Response) -> bool:
    description = response.body[:MAX_DESCRIPTION_CHARS].decode("utf-8", "replace").lower()
    return any(words in description for words in _OF_THE_CHAT)


def _retry_after_s(response: Response) -> float | None:
    """Return the seconds that Telegram asks to wait, None if it does not."""
    try:
        seconds = as_number(get(parse_json(response), "parameters", "retry_after"))
    except ValueError:
        return None
    return None if seconds is None or not seconds >= 0 else float(min(seconds, MAX_RETRY_AFTER_S))
