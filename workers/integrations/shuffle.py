"""Shuffle: posts the alert to the webhook that triggers a workflow (spec 5.4).

Shuffle documents no limit for a webhook's body, so Courier truncates nothing; a 413 becomes a dead letter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from common.outcome import Reason, Skipped
from workers.calls import Request
from workers.integrations.base import NotSendable, failure_outcome
from workers.integrations.helpers import config
from workers.integrations.helpers.alert_fields import Fields, fields_of, get, json_body, require, require_level
from workers.integrations.helpers.markup import NONE as NO_MARKUP

if TYPE_CHECKING:
    from collections.abc import Sequence

    from common.errors import TransportError
    from common.integration import Integration
    from common.outcome import Outcome
    from workers.alert.alert import Alert
    from workers.calls import Response
    from workers.integrations.helpers.http_status import StatusClassifier

HEADERS = {"content-type": "application/json", "Accept-Charset": "UTF-8"}

EXCLUDED_RULES: Final = (
    *("5710", "80710", "86001", "86002", "86003", "87900", "87901", "87902", "87903", "87904"),
    *("87924", "87928", "87929", "87932"),
)
"""Rules that the stock script does not send; Shuffle's own actions trigger some of them (spec 5.4)."""


class Shuffle:
    """One Shuffle block. Needs hook_url."""

    markup: Final = NO_MARKUP

    def __init__(self, block: Integration, statuses: StatusClassifier) -> None:
        self._url = config.hook_url(block)
        self._options = config.options(block)
        self._statuses = statuses

    def build_calls(self, alert: Alert) -> Sequence[Request]:
        """Return the one POST, or skip the alert for its rule."""
        fields = fields_of(alert)
        if (rule_id := require(fields, "rule", "id")) in EXCLUDED_RULES:
            raise NotSendable(Skipped(Reason.RULE_EXCLUDED, f"rule {rule_id}"))
        body = json_body(_message(fields) | self._options)
        return (Request(method="POST", url=self._url.reveal(), headers=HEADERS, body=body),)

    def interpret(self, alert: Alert, call: Request, response: Response) -> Outcome:  # noqa: ARG002 — the shape of all
        """Go by the status alone."""
        return self._statuses.classify(response)

    def interpret_failure(self, alert: Alert, call: Request, error: TransportError) -> Outcome:  # noqa: ARG002 — as above
        """Try again, unless that cannot help."""
        return failure_outcome(error)


def _message(fields: Fields) -> dict[str, Any]:
    level = require_level(fields)
    return {
        "severity": 1 if level <= 4 else 2 if level <= 7 else 3,  # noqa: PLR2004 — spec 5.4
        "pretext": "WAZUH Alert",
        "title": require(fields, "rule").get("description", "N/A"),
        "text": get(fields, "full_log"),
        "rule_id": require(fields, "rule", "id"),
        "timestamp": require(fields, "timestamp"),
        "id": require(fields, "id"),
        "all_fields": fields,
    }
