"""Slack: posts the alert as one attachment to an incoming webhook (spec 5.2).

Slack returns 200 if and only if it posted the message, and otherwise 4xx or 5xx with a word such as `invalid_payload`,
`no_service` or `channel_is_archived` (api.slack.com, "Handling errors" of incoming webhooks). The status alone decides,
and the word becomes the detail. A 200 is a success whatever its body, also from services that imitate Slack. The words
of 403, 404 and 410 refer to the hook or its channel, those of 400 to the message.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from common.digest import is_digest
from workers.integrations.helpers.alert_fields import Fields, get, json_body, require, require_level
from workers.integrations.helpers.slack_attachment import slack_attachment
from workers.integrations.helpers.text_limits import ELLIPSIS, truncate
from workers.integrations.single_post import SinglePost
from workers.message import markup
from workers.message.limits import Limits
from workers.message.renderer import MessageRenderer

if TYPE_CHECKING:
    from common.integration import Integration
    from workers.alert.alert import Alert
    from workers.integrations.helpers.http_status import StatusClassifier
    from workers.integrations.helpers.service_options import ServiceOptions
    from workers.message.message import Message


MESSAGE_LIMITS: Final = Limits(title=1_000, text=8_000, fields=20, value=2_000, total=30_000)
"""Slack folds an attachment after 700 characters and cuts it where it says; a reader sees no more than this."""

LONGEST_TEXT: Final = 40_000
"""Characters of a text; Slack truncates longer ones silently (its changelog, "Truncating really long messages")."""


_CUT_ENTITY: Final = re.compile(rf"&(?:a|am|amp|l|lt|g|gt)?{ELLIPSIS}\Z")
"""An HTML entity that the truncation split."""


class Slack(SinglePost):
    """One Slack block. Needs hook_url. `escape` applies to alert text, not to `<options>`, the operator's markup."""

    markup = markup.SLACK

    def __init__(self, block: Integration, statuses: StatusClassifier, choices: ServiceOptions) -> None:
        super().__init__(block, statuses)
        self._escape = choices.escape
        self._messages = MessageRenderer(block, markup.SLACK_MESSAGE, MESSAGE_LIMITS, choices)

    def message(self, alert: Alert, fields: Fields) -> dict[str, Any]:
        """Return the attachment; without a message of the operator's it is the stock one, but for escapes (D19).

        The stock one has no place for what a digest says.
        """
        if self._messages.given or is_digest(alert.delivery_id):
            return message_attachment(self._messages.render(alert, fields), fields)
        attachment = _attachment(fields)
        if self._escape and self.markup.is_in(alert.raw):
            attachment = self.markup.escaped(attachment)
        return attachment

    def encode(self, message: dict[str, Any], fields: Fields) -> bytes:  # noqa: ARG002 — the message is enough
        """Return the body, with long texts truncated if it is too large."""
        body = json_body({"attachments": [message]})
        return body if len(body) <= LONGEST_TEXT else json_body({"attachments": [fit(message)]})


def message_attachment(message: Message, fields: Fields) -> dict[str, Any]:
    """Return a message as an attachment with Slack's own members."""
    attachment = slack_attachment(message)
    attachment |= {"mrkdwn_in": ["text", "fields"], "ts": require(fields, "id")}
    if message.note:
        attachment["footer"] = message.note
    return attachment


def fit(attachment: dict[str, Any]) -> dict[str, Any]:
    """Return an attachment with each text truncated to LONGEST_TEXT."""
    short = {name: _cut(value) for name, value in attachment.items()}
    if isinstance(table := short.get("fields"), list):
        short["fields"] = [fit(row) if isinstance(row, dict) else row for row in table]
    return short


def _cut(value: Any) -> Any:
    short = truncate(value, LONGEST_TEXT)
    return short if short is value else _CUT_ENTITY.sub(ELLIPSIS, short)


def _attachment(fields: Fields) -> dict[str, Any]:
    level = require_level(fields)
    return {
        "color": "good" if level <= 4 else "warning" if level <= 7 else "danger",  # noqa: PLR2004 — spec 5.2
        "pretext": "WAZUH Alert",
        "title": require(fields, "rule").get("description", "N/A"),
        "text": get(fields, "full_log"),
        "fields": _table(fields),
        "ts": require(fields, "id"),
    }


def _table(fields: Fields) -> list[dict[str, Any]]:
    table: dict[str, Any] = {}
    if "agent" in fields:
        table["Agent"] = f"({require(fields, 'agent', 'id')}) - {require(fields, 'agent', 'name')}"
    if "agentless" in fields:
        table["Agentless Host"] = require(fields, "agentless", "host")
    table["Location"] = require(fields, "location")
    table["Rule ID"] = f"{require(fields, 'rule', 'id')} _(Level {require(fields, 'rule', 'level')})_"
    return [{"title": title, "value": value} for title, value in table.items()]
