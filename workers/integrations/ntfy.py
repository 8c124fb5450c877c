"""ntfy: each alert is one message of a topic, published as JSON (docs.ntfy.sh, "Publish as JSON").

The last part of hook_url is the topic, such as `https://ntfy.sh/soc-alerts`. Unless the server protects a topic,
everybody who knows its name can read it, so the name is a secret as well. For a protected topic, api_key is the access
token ("Access tokens").

A message can have 4,096 bytes; from there on it becomes an attachment ("Limitations"), which many servers do not
accept. A JSON document can have twice as many (its source, `server/server.go`, `transformBodyJSON`). By default, a
server takes 60 requests at once and then one each five seconds; ntfy.sh also takes only 250 messages a day. Priorities
are 1 to 5 ("Message priority").

The status decides: 401 and 403 are about the token, 429 about a limit. 507 means that nobody subscribes to a topic of
UnifiedPush (github.com/binwiederhier/ntfy, server/errors.go, 50701): retried, as every 5xx.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from common.services.addresses import topic_of
from common.services.ntfy import NtfyOptions
from common.services.sections import options_of
from workers.integrations.chat import Chat
from workers.integrations.helpers import config
from workers.message.limits import Limits, cut, json_bytes, utf8_bytes
from workers.message.markup import PLAIN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from common.integration import Integration
    from workers.alert.alert import Alert
    from workers.calls import Request
    from workers.integrations.helpers.alert_fields import Fields
    from workers.integrations.helpers.http_status import StatusClassifier
    from workers.integrations.helpers.service_options import ServiceOptions
    from workers.message.message import Message

MAX_MESSAGE_BYTES: Final = 4_095
MAX_JSON_BYTES: Final = 8_192
"""Bytes of the whole request, in which an emoji has 12."""

PRIORITIES: Final = ((12, 5), (8, 4), (5, 3), (0, 2))
"""The lowest level of each priority, with the levels of the colours (`workers/message/message.py`): urgent, high,
default, low."""


class Ntfy(Chat):
    """One integration with a topic of ntfy. Needs hook_url; api_key is optional."""

    markup = PLAIN
    limits = Limits(title=250, text=2_000, fields=20, value=500, total=3_600, measure=utf8_bytes)

    def __init__(self, block: Integration, statuses: StatusClassifier, choices: ServiceOptions) -> None:
        try:
            topic = topic_of(config.hook_url(block).reveal())
        except ValueError as error:
            raise config.config_error(block, "hook_url", str(error)) from None
        super().__init__(block, statuses, choices, topic.server)
        self._fixed: dict[str, Any] = {"topic": topic.name}
        if tags := options_of(block, NtfyOptions).tags:
            self._fixed["tags"] = list(tags)
        self._headers = {"Authorization": f"Bearer {block.api_key.reveal()}"} if block.api_key else {}

    def build_calls(self, alert: Alert) -> Sequence[Request]:
        """Return the one POST, with the token."""
        (call,) = super().build_calls(alert)
        return (msgspec.structs.replace(call, headers={**call.headers, **self._headers}),)

    def payload(self, message: Message, alert: Alert) -> dict[str, Any]:  # noqa: ARG002 — the message is enough
        """Return the message. One without a text would be shown as "triggered"."""
        fields = "\n".join(f"{one.name}: {one.value}" for one in message.fields)
        text = "\n\n".join(filter(None, (message.text, fields, message.note))) or message.title
        payload = {
            **self._fixed,
            "title": message.title,
            "message": cut(text, MAX_MESSAGE_BYTES, self.markup, utf8_bytes),
            "priority": next((one for lowest, one in PRIORITIES if message.level >= lowest), PRIORITIES[-1][1]),
        }
        return payload | ({"click": message.link} if message.link else {})

    def encode(self, message: dict[str, Any], fields: Fields) -> bytes:
        """Return the body, with the text cut further if it is too long as JSON."""
        body, text = super().encode(message, fields), message.get("message")
        if len(body) <= MAX_JSON_BYTES or not isinstance(text, str):
            return body
        room = MAX_JSON_BYTES - len(super().encode(message | {"message": ""}, fields))
        return super().encode(message | {"message": cut(text, room, self.markup, json_bytes)}, fields)
