"""Shuffle: posts the alert to the webhook that triggers a workflow (spec 5.4).

Shuffle documents no limit for a webhook's body, so Courier truncates nothing; a 413 becomes a dead letter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from common.outcome import Reason, Skipped
from workers.integrations.base import NotSendable
from workers.integrations.helpers.alert_fields import Fields, get, require, require_level
from workers.integrations.single_post import SinglePost

if TYPE_CHECKING:
    from workers.alert.alert import Alert


EXCLUDED_RULES: Final = (
    *("5710", "80710", "86001", "86002", "86003", "87900", "87901", "87902", "87903", "87904"),
    *("87924", "87928", "87929", "87932"),
)
"""Rules that the stock script does not send; Shuffle's own actions trigger some of them (spec 5.4)."""


class Shuffle(SinglePost):
    """One Shuffle block. Needs hook_url."""

    def message(self, alert: Alert, fields: Fields) -> dict[str, Any]:  # noqa: ARG002 — the fields are enough
        """Return the message. Raises NotSendable (skipped) for an excluded rule."""
        if (rule_id := require(fields, "rule", "id")) in EXCLUDED_RULES:
            raise NotSendable(Skipped(Reason.RULE_EXCLUDED, f"rule {rule_id}"))
        return _message(fields)


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
