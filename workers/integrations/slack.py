"""Slack: posts the alert as one attachment to an incoming webhook (spec 5.2).

Slack returns 200 if and only if it posted the message, and otherwise 4xx or 5xx with a word such as `invalid_payload`,
`no_service` or `channel_is_archived` (api.slack.com, "Handling errors" of incoming webhooks). The status alone decides,
and the word becomes the detail. A 200 is a success whatever its body, also from services that imitate Slack. The words
of 403, 404 and 410 refer to the hook or its channel, those of 400 to the message.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from workers.calls import Request
from workers.integrations.base import failure_outcome
from workers.integrations.helpers import config, markup
from workers.integrations.helpers.alert_fields import Fields, fields_of, get, json_body, require, require_level
from workers.integrations.helpers.text_limits import ELLIPSIS, truncate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from common.errors import TransportError
    from common.integration import Integration
    from common.outcome import Outcome
    from workers.alert.alert import Alert
    from workers.calls import Response
    from workers.integrations.helpers.http_status import StatusClassifier

HEADERS = {"content-type": "application/json", "Accept-Charset": "UTF-8"}

LONGEST_TEXT: Final = 40_000
"""Characters of a text; Slack truncates longer ones silently (its changelog, "Truncating really long messages")."""


_CUT_ENTITY: Final = re.compile(rf"&(?:a|am|amp|l|lt|g|gt)?{ELLIPSIS}\Z")
"""An HTML entity that the truncation split."""


class Slack:
    """One Slack block. Needs hook_url. `escape` applies to alert text, not to `<options>`, the operator's markup."""

    markup: Final = markup.SLACK

    def __init__(self, block: Integration, statuses: StatusClassifier, *, escape: bool = True) -> None:
        self._markup = self.markup if escape else markup.NONE
        self._url = config.hook_url(block)
        self._options = config.options(block)
        self._statuses = statuses

    def build_calls(self, alert: Alert) -> Sequence[Request]:
        """Return the one POST; its body is that of the stock script, byte for byte but for escapes (D19)."""
        attachment = _attachment(fields_of(alert))
        if self._markup.is_in(alert.raw):
            attachment = self._markup.escaped(attachment)
        attachment |= self._options
        body = json_body({"attachments": [attachment]})
        if len(body) > LONGEST_TEXT:
            body = json_body({"attachments": [fit(attachment)]})
        return (Request(method="POST", url=self._url.reveal(), headers=HEADERS, body=body),)

    def interpret(self, alert: Alert, call: Request, response: Response) -> Outcome:  # noqa: ARG002 — the shape of all
        """Go by the status alone."""
        return self._statuses.classify(response)

    def interpret_failure(self, alert: Alert, call: Request, error: TransportError) -> Outcome:  # noqa: ARG002 — as above
        """Try again, unless that cannot help."""
        return failure_outcome(error)


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
