"""PagerDuty: sends the alert as a `trigger` of the Events API v2 (spec 5.3; D10 lists the differences)."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

from common.digest import Digest, read_digest
from common.outcome import Reason, Rejected, Retry
from workers.integrations.base import NotSendable
from workers.integrations.helpers import config
from workers.integrations.helpers.alert_fields import (
    Fields,
    get,
    invalid_alert,
    json_body,
    require,
    require_level,
)
from workers.integrations.helpers.text_limits import truncate
from workers.integrations.single_post import SinglePost
from workers.message.limits import Limits
from workers.message.markup import PLAIN
from workers.message.renderer import MessageRenderer

if TYPE_CHECKING:
    from common.integration import Integration
    from common.outcome import Outcome
    from workers.alert.alert import Alert
    from workers.calls import Request, Response
    from workers.integrations.helpers.http_status import StatusClassifier
    from workers.integrations.helpers.service_options import ServiceOptions

URL: Final = "https://events.pagerduty.com/v2/enqueue"

SEVERITIES: Final = ((13, "critical"), (10, "error"), (7, "warning"))
"""The lowest level of each severity; below all of them it is `info`."""

MAX_DEDUP_KEY_CHARS: Final = 255
"""Characters (PagerDuty's Events API v2, "Send an Alert Event")."""

MAX_SUMMARY_CHARS: Final = 1_024
"""Characters (as above)."""

MAX_NOTE_CHARS: Final = 400
"""Characters of a note that a template failed; the summary leaves room for it."""

MESSAGE_LIMITS: Final = Limits(title=MAX_SUMMARY_CHARS)

MAX_EVENT_BYTES: Final = 512_000
"""Bytes of a whole event (PagerDuty's Events API v2 overview, "Size Limits": 512 KB)."""

MAX_LOG_CHARS: Final = 10_000
"""Characters of the alert's log that are kept if the whole alert is too large."""

RATE_LIMIT_FLOOR_S: Final = 120.0
"""PagerDuty asks for "a backoff of a few minutes" after a 429 (Events API v2 overview)."""

MAX_ERROR_BYTES: Final = 4096
"""Bytes of a response that are searched for the cause of an error; PagerDuty's have a few hundred."""

BAD_REQUEST: Final = 400
_ABOUT_THE_KEY: Final = re.compile(rb"routing.?key|invalid key", re.IGNORECASE)
"""What a 400 mentions if the key is at fault and not the event: PagerDuty has no other status for it (as above)."""


class PagerDuty(SinglePost):
    """One PagerDuty block. Needs api_key, the routing key of the service."""

    def __init__(self, block: Integration, statuses: StatusClassifier, choices: ServiceOptions) -> None:
        self._key, self._integration = config.api_key(block), block.id
        super().__init__(block, statuses, choices.url or URL)
        self._messages = MessageRenderer(block, PLAIN, MESSAGE_LIMITS, choices)

    def message(self, alert: Alert, fields: Fields) -> dict[str, Any]:
        """Return the event; of a message of the operator's, the title is the summary, and the link one of its links."""
        event = self._event(alert, fields)
        if self._messages.given:
            message = self._messages.render(alert, fields)
            if message.note:
                note = f" [{truncate(message.note, MAX_NOTE_CHARS)}]"
                summary = truncate(str(event["payload"]["summary"]), MAX_SUMMARY_CHARS - len(note))
                event["payload"]["summary"] = f"{summary}{note}"
            elif "title" in self._messages.given:
                event["payload"]["summary"] = message.title
            if message.link:
                event["links"] = [{"href": message.link, "text": "Alert"}]
        return event

    def _event(self, alert: Alert, fields: Fields) -> dict[str, Any]:
        digest = read_digest(alert.delivery_id, fields)
        return {
            "routing_key": self._key.reveal(),
            "event_action": "trigger",
            "dedup_key": _key_of_group(self._integration, digest) if digest else _dedup_key(alert.delivery_id),
            "payload": _payload(fields),
            "client": "Wazuh Monitoring Service",
            "client_url": "https://wazuh.com",
        }

    def encode(self, message: dict[str, Any], fields: Fields) -> bytes:
        """Return the event as JSON, shortened to PagerDuty's limits."""
        return fit(message, fields)

    def interpret(self, alert: Alert, call: Request, response: Response) -> Outcome:
        """Return the meaning of the status. A 400 names its cause, which becomes the detail."""
        if response.status == BAD_REQUEST and _ABOUT_THE_KEY.search(response.body, 0, MAX_ERROR_BYTES):
            return Retry(Reason.UNAUTHORIZED, self._statuses.detail(response))
        outcome = super().interpret(alert, call, response)
        if isinstance(outcome, Retry) and outcome.reason is Reason.RATE_LIMITED:
            after_s = max(outcome.after_s or 0.0, RATE_LIMIT_FLOOR_S)
            return msgspec.structs.replace(outcome, after_s=after_s)
        return outcome


def fit(event: dict[str, Any], fields: Fields) -> bytes:
    """Return an event within PagerDuty's limits: if it is too large, a note replaces the alert in its details (D10).

    Raises NotSendable if it is still too large.
    """
    payload = event.get("payload")
    if not isinstance(payload, dict):
        return json_body(event)
    short = {
        name: truncate(value, MAX_SUMMARY_CHARS) if name == "summary" else value for name, value in payload.items()
    }
    body = json_body(event | {"payload": short})
    if len(body) <= MAX_EVENT_BYTES:
        return body
    short = {name: truncate(value, MAX_SUMMARY_CHARS) for name, value in payload.items()}
    if "custom_details" in payload:
        short["custom_details"] = _without_alert(fields, len(body))
    body = json_body(event | {"payload": short})
    if len(body) > MAX_EVENT_BYTES:
        problem = f"the event has {len(body)} bytes even without the alert; PagerDuty accepts {MAX_EVENT_BYTES}"
        raise NotSendable(Rejected(Reason.TOO_LARGE, problem))
    return body


def _without_alert(fields: Fields, size: int) -> dict[str, Any]:
    """Return the details of an event that would have `size` bytes with the alert."""
    note = f"Courier omitted the alert: with it the event has {size} bytes, and PagerDuty accepts {MAX_EVENT_BYTES}."
    return {
        "note": note,
        "id": truncate(get(fields, "id"), MAX_SUMMARY_CHARS),
        "rule_id": truncate(get(fields, "rule", "id"), MAX_SUMMARY_CHARS),
        "location": truncate(get(fields, "location"), MAX_SUMMARY_CHARS),
        "full_log": truncate(get(fields, "full_log"), MAX_LOG_CHARS),
    }


def _payload(fields: Fields) -> dict[str, Any]:
    level = require_level(fields)
    return {
        "summary": require(fields, "rule").get("description") or "N/A",  # PagerDuty refuses an empty one
        "timestamp": require(fields, "timestamp"),
        "source": _source(fields),
        "severity": next((name for lowest, name in SEVERITIES if level >= lowest), "info"),
        "group": _group(require(fields, "rule").get("groups", ())),
        "custom_details": fields,
    }


def _source(fields: Fields) -> Any:
    """Return the host of the alert; PagerDuty requires one, and an agentless alert has no agent (D10)."""
    for path in (("agent", "name"), ("agentless", "host"), ("manager", "name")):
        if source := get(fields, *path):
            return source
    raise invalid_alert("agent.name is missing, and agentless.host and manager.name as well")


def _group(groups: Any) -> str:
    """Join the groups with commas. A rule without groups has no such key; the stock script then crashes."""
    try:
        return ", ".join(groups)
    except TypeError:
        raise invalid_alert("rule.groups is not a list of strings") from None


def _dedup_key(delivery_id: str) -> str:
    """Return the same key for the same delivery, so that PagerDuty merges repeated ones into one incident (D10)."""
    if len(delivery_id) <= MAX_DEDUP_KEY_CHARS:
        return delivery_id
    return hashlib.blake2b(delivery_id.encode(), digest_size=32).hexdigest()


def _key_of_group(integration: str, digest: Digest) -> str:
    """Return the same key for all digests of a group, so that they land in one incident."""
    group = json_body({"integration": integration, "group": sorted(digest.group), "others": digest.others})
    return f"courier-digest-{hashlib.blake2b(group, digest_size=20).hexdigest()}"
