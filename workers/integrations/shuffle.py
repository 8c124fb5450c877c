"""Shuffle: posts the alert to the webhook that triggers a workflow (spec 5.4).

Shuffle documents no limit for a webhook's body, so Courier truncates nothing; a 413 becomes a dead letter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from common.digest import is_digest
from common.outcome import Reason, Skipped
from workers.integrations.base import NotSendable
from workers.integrations.helpers.alert_fields import Fields, get, require, require_level
from workers.integrations.single_post import SinglePost
from workers.message.limits import Limits
from workers.message.markup import PLAIN
from workers.message.renderer import MessageRenderer

if TYPE_CHECKING:
    from common.integration import Integration
    from workers.alert.alert import Alert
    from workers.integrations.helpers.http_status import StatusClassifier
    from workers.integrations.helpers.service_options import ServiceOptions


EXCLUDED_RULES: Final = (
    *("5710", "80710", "86001", "86002", "86003", "87900", "87901", "87902", "87903", "87904"),
    *("87924", "87928", "87929", "87932"),
)
"""Rules that the stock script does not send; Shuffle's own actions trigger some of them (spec 5.4)."""


MESSAGE_LIMITS: Final = Limits(title=1_000, text=20_000)
"""Shuffle states none: a title and a text that people read."""


class Shuffle(SinglePost):
    """One Shuffle block. Needs hook_url."""

    def __init__(self, block: Integration, statuses: StatusClassifier, choices: ServiceOptions) -> None:
        super().__init__(block, statuses)
        self._messages = MessageRenderer(block, PLAIN, MESSAGE_LIMITS, choices)

    def message(self, alert: Alert, fields: Fields) -> dict[str, Any]:
        """Return the message, with a title and a text of the operator's, or the text of a digest.

        Raises NotSendable for an excluded rule.
        """
        if (rule_id := require(fields, "rule", "id")) in EXCLUDED_RULES:
            raise NotSendable(Skipped(Reason.RULE_EXCLUDED, f"rule {rule_id}"))
        message = _message(fields)
        given = self._messages.given | ({"text"} if is_digest(alert.delivery_id) else set())
        if given:
            rendered = self._messages.render(alert, fields)
            message |= {
                name: getattr(rendered, name) for name in ("title", "text") if name in given and not rendered.note
            }
            message |= {"note": rendered.note} if rendered.note else {}
        return message


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
