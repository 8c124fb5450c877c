"""The formats in which a webhook sends an alert. Each function returns a JSON document."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from common.digest import read_digest
from common.services.webhook import Format
from common.templates.values import text_of
from workers.integrations.helpers.alert_fields import get, moment_of, require_level
from workers.message.dashboard import alert_link
from workers.message.default import default_message
from workers.message.markup import PLAIN, one_line
from workers.redaction import readable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from workers.alert.alert import Alert
    from workers.integrations.helpers.alert_fields import Fields

JSON_TYPE: Final = "application/json"
CLOUDEVENTS_TYPE: Final = "application/cloudevents+json"

EVENT_TYPE: Final = "com.wazuh.alert"

SEVERITIES: Final = ((15, "critical"), (12, "high"), (7, "medium"), (4, "low"), (0, "info"))
"""The lowest level of each severity, as the Wazuh dashboard groups levels (documentation.wazuh.com, "Threat hunting"),
with the levels below 4, which report successes, as `info`."""

OCSF_VERSION: Final = "1.3.0"
OCSF_SEVERITIES: Final = {"info": 1, "low": 2, "medium": 3, "high": 4, "critical": 5}
"""`severity_id` (schema.ocsf.io, Detection Finding)."""

NO_END: Final = "0001-01-01T00:00:00Z"
"""An alert that has no end, as Alertmanager writes it."""

MAX_LABEL_CHARS: Final = 500


class Origin(NamedTuple):
    """What a format says besides the alert."""

    integration: str
    dashboard_url: str


def severity(fields: Fields) -> str:
    """Return the word for the level. Raises NotSendable if the alert has none."""
    level = require_level(fields)
    return next((word for lowest, word in SEVERITIES if level >= lowest), "info")


def wazuh(alert: Alert, fields: Fields, origin: Origin) -> dict[str, Any]:  # noqa: ARG001 — the interface of a format
    """Return the alert as it is; all numbers keep their text (D4)."""
    return fields


def cloudevents(alert: Alert, fields: Fields, origin: Origin) -> dict[str, Any]:  # noqa: ARG001 — as above
    """Return the alert as a CloudEvent in structured mode (cloudevents.io, JSON event format 1.0)."""
    manager = text_of(get(fields, "manager", "name")) or "manager"
    event: dict[str, Any] = {
        "specversion": "1.0",
        "id": alert.delivery_id,
        "source": f"/wazuh/{_token(manager)}",
        "type": EVENT_TYPE,
        "datacontenttype": JSON_TYPE,
        "data": fields,
    }
    if moment := moment_of(fields):
        event["time"] = _rfc3339(moment)
    if agent := one_line(readable(text_of(get(fields, "agent", "name"))[:MAX_LABEL_CHARS])):  # no control characters
        event["subject"] = agent
    return event


def alertmanager(alert: Alert, fields: Fields, origin: Origin) -> dict[str, Any]:
    """Return the alert as Alertmanager's webhook does (prometheus.io, "webhook_config", version 4). It has no end."""
    message = default_message(fields, PLAIN, origin.dashboard_url, read_digest(alert.delivery_id, fields))
    labels = {
        "alertname": message.title,
        "severity": severity(fields),
        "level": text_of(get(fields, "rule", "level")),
        "rule_id": text_of(get(fields, "rule", "id")),
        "agent": text_of(get(fields, "agent", "name")),
        "agent_id": text_of(get(fields, "agent", "id")),
        "location": text_of(fields.get("location")),
        "manager": text_of(get(fields, "manager", "name")),
    }
    labels = {name: value[:MAX_LABEL_CHARS] for name, value in labels.items() if value}
    lines = "\n".join([*filter(None, [message.text]), *(f"{one.name}: {one.value}" for one in message.fields)])
    moment = moment_of(fields)
    one = {
        "status": "firing",
        "labels": labels,
        "annotations": {"summary": message.title, "description": lines},
        "startsAt": _rfc3339(moment) if moment else NO_END,
        "endsAt": NO_END,
        "generatorURL": message.link,
        "fingerprint": hashlib.blake2b(alert.delivery_id.encode(), digest_size=8).hexdigest(),
    }
    return {
        "version": "4",
        "groupKey": alert.delivery_id,
        "truncatedAlerts": 0,
        "status": "firing",
        "receiver": origin.integration,
        "groupLabels": {},
        "commonLabels": labels,
        "commonAnnotations": one["annotations"],
        "externalURL": origin.dashboard_url,
        "alerts": [one],
    }


def ocsf(alert: Alert, fields: Fields, origin: Origin) -> dict[str, Any]:
    """Return the alert as an OCSF Detection Finding, class 2004 (schema.ocsf.io)."""
    digest = read_digest(alert.delivery_id, fields)
    message = default_message(fields, PLAIN, digest=digest)
    moment = moment_of(fields)
    created = round(moment.timestamp() * 1000) if moment else 0
    word = severity(fields)
    groups = get(fields, "rule", "groups")
    finding: dict[str, Any] = {
        "uid": alert.delivery_id,
        "title": message.title,
        "created_time": created,
        "analytic": {"type_id": 1, "type": "Rule", "uid": text_of(get(fields, "rule", "id")), "name": message.title},
        "types": [text_of(one) for one in groups[:20]] if isinstance(groups, list) else [],
    }
    if attacks := _attacks(get(fields, "rule", "mitre")):
        finding["attacks"] = attacks
    if link := alert_link(origin.dashboard_url, get(fields, "id")):
        finding["src_url"] = link
    agent = {"uid": text_of(get(fields, "agent", "id")), "name": text_of(get(fields, "agent", "name"))}
    event: dict[str, Any] = {
        "activity_id": 1,
        "category_uid": 2,
        "class_uid": 2004,
        "type_uid": 200401,
        "time": created,
        "severity_id": OCSF_SEVERITIES[word],
        "status_id": 1,
        "message": message.title,
        "metadata": {
            "version": OCSF_VERSION,
            "uid": alert.delivery_id,
            "product": {"name": "Wazuh", "vendor_name": "Wazuh"},
            "original_time": text_of(fields.get("timestamp")),
        },
        "finding_info": finding,
        "unmapped": fields,
    }
    if digest:
        event["count"] = digest.count
    if resource := {name: value for name, value in agent.items() if value}:
        event["resources"] = [resource | {"type": "agent"}]
    if message.text:
        event["raw_data"] = message.text
    return event


FORMATS: Final[Mapping[Format, Callable[[Alert, Fields, Origin], dict[str, Any]]]] = {
    Format.WAZUH: wazuh,
    Format.CLOUDEVENTS: cloudevents,
    Format.ALERTMANAGER: alertmanager,
    Format.OCSF: ocsf,
}

CONTENT_TYPES: Final[Mapping[Format, str]] = dict.fromkeys(Format, JSON_TYPE) | {Format.CLOUDEVENTS: CLOUDEVENTS_TYPE}


def _attacks(mitre: Any) -> list[dict[str, Any]]:
    if not isinstance(mitre, dict) or not isinstance(ids := mitre.get("id"), list):
        return []
    names = mitre.get("technique")
    names = names if isinstance(names, list) else []
    pairs = zip(ids[:20], [*names, *[None] * len(ids)], strict=False)
    return [{"technique": {"uid": text_of(one), **({"name": text_of(name)} if name else {})}} for one, name in pairs]


def _rfc3339(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _token(text: str) -> str:
    """Return a text as a part of a URI."""
    return "".join(letter if letter.isascii() and (letter.isalnum() or letter in "._-") else "-" for letter in text)[
        :MAX_LABEL_CHARS
    ]
