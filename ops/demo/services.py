"""The simulated Slack, PagerDuty, Shuffle and ticket system, each as strict as the real one.

Each is a pure function from a request to a reply; its error texts are those of the real service.
"""

from __future__ import annotations

import hashlib
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from ops.demo.http_types import Received, Reply, json_object, json_reply, part, text_of, text_reply

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST_ATTACHMENTS: Final = 100
"""Slack's documented limit for one message."""

LARGEST_EVENT_BYTES: Final = 512 * 1024
"""PagerDuty's documented limit for one event."""

SEVERITIES: Final = ("critical", "error", "warning", "info")


def slack(request: Received) -> Reply:
    """Answer as an incoming webhook does: `ok` or an error code."""
    message = json_object(request.body) if request.method == "POST" else None
    if message is None:
        return text_reply(HTTPStatus.BAD_REQUEST, "invalid_payload")
    attachments = message.get("attachments", [])
    if not attachments and not text_of(message.get("text")):
        return text_reply(HTTPStatus.BAD_REQUEST, "no_text", shown=message)
    if not isinstance(attachments, list) or not all(map(_is_attachment, attachments)):
        return text_reply(HTTPStatus.BAD_REQUEST, "invalid_attachments", shown=message)
    if len(attachments) > MOST_ATTACHMENTS:
        return text_reply(HTTPStatus.BAD_REQUEST, "too_many_attachments")
    first = attachments[0] if attachments else {}
    title = text_of(first.get("title")) or text_of(message.get("text"))
    return text_reply(HTTPStatus.OK, "ok", identity=str(first.get("ts", "")), title=title, shown=message)


def _is_attachment(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    texts = all(isinstance(value.get(key), str | None) for key in ("color", "pretext", "title", "text"))
    fields = value.get("fields", [])
    return texts and isinstance(fields, list) and all(isinstance(field, dict) for field in fields)


def pagerduty(request: Received) -> Reply:
    """Answer as the Events API v2 does: 202 with the key of the incident, or 400 with the errors."""
    if len(request.body) > LARGEST_EVENT_BYTES:
        return json_reply(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, {"status": "invalid event", "message": "Too large"})
    event = json_object(request.body) if request.method == "POST" else None
    errors = ["Event is not a JSON object"] if event is None else list(_faults(event))
    if errors:
        answer = {"status": "invalid event", "message": "Event object is invalid", "errors": errors}
        return json_reply(HTTPStatus.BAD_REQUEST, answer, note="; ".join(errors), shown=event)
    shown = _without_key(event or {})
    key = text_of(part(event, "dedup_key")) or hashlib.sha256(request.body).hexdigest()[:32]
    return json_reply(
        HTTPStatus.ACCEPTED,
        {"status": "success", "message": "Event processed", "dedup_key": key},
        identity=text_of(part(event, "payload", "custom_details", "id")),
        title=text_of(part(event, "payload", "summary")),
        shown=shown,
    )


def _faults(event: dict[str, Any]) -> Iterable[str]:
    for name in ("routing_key", "event_action"):
        if not text_of(event.get(name)):
            yield f"'{name}' is missing or blank"
    for name in ("summary", "source", "severity"):
        if not text_of(part(event, "payload", name)):
            yield f"'payload.{name}' is missing or blank"
    if text_of(part(event, "payload", "severity")) not in ("", *SEVERITIES):
        yield f"'payload.severity' is none of {', '.join(SEVERITIES)}"


def _without_key(event: dict[str, Any]) -> dict[str, Any]:
    """Return the event without its routing key, which must not be on the page."""
    return {name: value for name, value in event.items() if name != "routing_key"}


def shuffle(request: Received) -> Reply:
    """Answer as a workflow's webhook does, with the id of the execution that it started."""
    alert = json_object(request.body) if request.method == "POST" else None
    if alert is None:
        return json_reply(HTTPStatus.BAD_REQUEST, {"success": False, "reason": "The body is no JSON object"})
    execution = hashlib.sha256(request.body).hexdigest()[:12]
    return json_reply(
        HTTPStatus.OK,
        {"success": True, "execution_id": execution},
        identity=text_of(alert.get("id")),
        title=text_of(alert.get("title")),
        note=execution,
        shown=alert,
    )


def ticket(request: Received) -> Reply:
    """Answer as an issue tracker does, with the number of the new ticket; the same alert gets the same number."""
    body = json_object(request.body)
    if body is None or not text_of(body.get("title")):
        return json_reply(HTTPStatus.UNPROCESSABLE_ENTITY, {"error": "a ticket needs a title"}, shown=body)
    identity = text_of(body.get("external_id"))
    number = f"SHOP-{1000 + int(hashlib.sha256(identity.encode()).hexdigest(), 16) % 9000}"
    return json_reply(
        HTTPStatus.CREATED, {"key": number}, identity=identity, title=text_of(body["title"]), note=number, shown=body
    )
