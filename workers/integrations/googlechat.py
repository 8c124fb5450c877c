"""Google Chat: each alert is one card, posted by a webhook of a space.

Sources: developers.google.com, "Build a Google Chat app as a webhook".

Limits ("Method: spaces.messages.create"): 32,000 bytes for a message with its cards. Bytes are counted as sent, which
are never fewer than those of UTF-8. A space takes one message a second from all webhooks and apps together ("Usage
limits").

Status: 200 with the name of the message. 400 says what is wrong with the message, or `API_KEY_INVALID` if the key in
the URL is wrong. 401, 403 and 404 are about the URL or the space. 429 has no Retry-After, but may have a `RetryInfo`.

A repeated message is recognised: `requestId`, the id of the delivery, makes Chat return the message that it has
already.
"""

from __future__ import annotations

import hashlib
import html
import re
from typing import TYPE_CHECKING, Any, Final

from common.outcome import Reason
from common.services.googlechat import GoogleChatOptions, Thread
from common.services.sections import options_of
from common.templates.values import text_of
from workers.integrations.chat import OPEN, Chat
from workers.integrations.helpers.alert_fields import get
from workers.message.limits import Limits, json_bytes
from workers.message.markup import GOOGLE_CHAT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from common.integration import Integration
    from workers.alert.alert import Alert
    from workers.integrations.helpers.alert_fields import Fields
    from workers.integrations.helpers.http_status import StatusClassifier
    from workers.integrations.helpers.service_options import ServiceOptions
    from workers.message.message import Message

MAX_BODY_BYTES: Final = 32_000

MAX_REQUEST_ID_CHARS: Final = 200
"""A longer id of a delivery, from a long name of a node, is sent as its hash."""

THREADS: Final[Mapping[Thread, tuple[tuple[str, str], ...]]] = {
    Thread.INTEGRATION: (),
    Thread.RULE: (("rule", "id"),),
    Thread.AGENT: (("agent", "id"),),
    Thread.RULE_AND_AGENT: (("rule", "id"), ("agent", "id")),
}
"""The fields whose values make a thread."""

_TAG: Final = re.compile(r"<[^<>]*>")


class GoogleChat(Chat):
    """One integration with Google Chat. Needs hook_url."""

    markup = GOOGLE_CHAT
    limits = Limits(title=2_000, text=10_000, fields=20, name=300, value=3_000, total=23_000, measure=json_bytes)

    varying = frozenset({"requestId"})

    HOOK_AT_FAULT = re.compile(rb"API_KEY_INVALID|API key not valid")
    HOOK_REASON = Reason.UNAUTHORIZED

    def __init__(self, block: Integration, statuses: StatusClassifier, choices: ServiceOptions) -> None:
        """Raise ConfigError if the block or its section is invalid."""
        super().__init__(block, statuses, choices)
        self._integration, self._thread = block.id, options_of(block, GoogleChatOptions).thread

    def params(self, alert: Alert, fields: Fields) -> Mapping[str, str]:  # noqa: ARG002 — the id is enough
        """Name the request, so that a repeated one is recognised, and say that a message may reply in a thread."""
        request_id = alert.delivery_id
        if len(request_id) > MAX_REQUEST_ID_CHARS:
            request_id = _digest(request_id)
        reply = {"messageReplyOption": "REPLY_MESSAGE_FALLBACK_TO_NEW_THREAD"} if self._thread else {}
        return {"requestId": request_id, **reply}

    def payload(self, message: Message, alert: Alert) -> dict[str, Any]:
        """Return a message with one card."""
        title = f'<b><font color="#{message.colour:06x}">{message.title}</font></b>'
        rows = [f"<b>{one.name}</b>: {one.value}" for one in message.fields]
        texts = (title, message.text, "\n".join(rows), f"<i>{html.escape(message.note)}</i>" if message.note else "")
        widgets: list[dict[str, Any]] = [
            {"textParagraph": {"text": text.replace("\n", "<br>")}} for text in texts if text
        ]
        if message.link:
            button = {"text": OPEN, "onClick": {"openLink": {"url": message.link}}}
            widgets.append({"buttonList": {"buttons": [button]}})
        sent: dict[str, Any] = {
            "cardsV2": [{"cardId": "alert", "card": {"sections": [{"widgets": widgets}]}}],
            "fallbackText": html.unescape(_TAG.sub("", message.title)),
        }
        if self._thread:
            sent["thread"] = {"threadKey": self._thread_key(self._thread, alert.fields)}
        return sent

    def _thread_key(self, thread: Thread, fields: Fields) -> str:
        """Return the key of the alert's thread; alert text is in it only as a hash."""
        parts = [self._integration, *(text_of(get(fields, *path)) for path in THREADS[thread])]
        return f"courier-{_digest(chr(0).join(parts))}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:32]
