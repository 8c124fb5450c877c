"""The simulated Splunk, webhook receiver and syslog collector: what keeps each alert as one event."""

from __future__ import annotations

import json
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from ops.demo.http_types import Received, Reply, json_object, json_reply, part, text_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SEVERITIES: Final = ("emergency", "alert", "critical", "error", "warning", "notice", "info", "debug")
"""RFC 5424, table 2."""

TINTS: Final = ("danger", "danger", "danger", "danger", "warning", "info", "info", "plain")

_CEF_ID: Final = re.compile(r" externalId=([0-9.]+)")
_CEF_NAME: Final = re.compile(r"CEF:0\|(?:[^|]*\|){4}((?:[^|\\]|\\.)*)\|")


def splunk_hec(request: Received) -> Reply:
    """Answer as a collector does: code 0, or 6 with the number of the event that is invalid."""
    events = [json_object(line) for line in request.body.splitlines() if line.strip()]
    if not request.headers.get("authorization", "").startswith("Splunk "):
        return json_reply(HTTPStatus.UNAUTHORIZED, {"text": "Token is required", "code": 2})
    invalid = next((number for number, one in enumerate(events) if part(one, "event") is None), None)
    if invalid is not None or not events:
        answer = {"text": "Invalid data format", "code": 6, "invalid-event-number": invalid or 0}
        return json_reply(HTTPStatus.BAD_REQUEST, answer)
    one, *others = (Reply(**_event(part(sent, "event"), part(sent, "host"), sent)) for sent in events)
    accepted = {"identity": one.identity, "title": one.title, "shown": one.shown, "more": tuple(others)}
    return json_reply(HTTPStatus.OK, {"text": "Success", "code": 0}, **accepted)


def webhook(request: Received) -> Reply:
    """Answer as a receiver of CloudEvents does: 202, or 400 without the required attributes."""
    sent = json_object(request.body)
    if sent is None or not all(text_of(sent.get(name)) for name in ("specversion", "id", "source", "type")):
        return json_reply(HTTPStatus.BAD_REQUEST, {"error": "this is no CloudEvent"})
    return json_reply(HTTPStatus.ACCEPTED, {}, **_event(sent.get("data"), sent.get("type"), sent))


def syslog(message: bytes) -> Reply:
    """Return what to record of one message of RFC 5424: its header, and CEF as it came."""
    text = message.decode("utf-8", "replace")
    head, *_ = words = text.split(" ", 7)
    priority = head[1:-2]
    if len(words) < 8 or not priority.isdecimal():  # noqa: PLR2004 — seven words of a header, then the text
        return Reply(status=HTTPStatus.BAD_REQUEST, title="a message that is no RFC 5424", shown={"raw": text[:2000]})
    number, name = int(priority[:3]) % 8, _CEF_NAME.search(text)
    found = _CEF_ID.search(text)
    chips = [[TINTS[number], SEVERITIES[number]]]
    shown = {"time": words[1], "host": words[2], "chips": chips, "raw": words[7]}
    title = re.sub(r"\\(.)", r"\1", name[1]) if name else words[5]
    return Reply(identity=found[1] if found else "", title=title, shown=shown)


EVENTS: Final[Mapping[str, Callable[[Received], Reply]]] = {"splunk-hec": splunk_hec, "webhook": webhook}
"""The services that keep events, by the name in Courier's configuration."""


def _event(alert: Any, host: Any, sent: Any) -> dict[str, Any]:
    """Return what to record of an event: of the alert in it, and all of it."""
    shown = {"time": text_of(part(alert, "timestamp")), "host": text_of(host), "chips": [], "raw": json.dumps(sent)}
    title = text_of(part(alert, "rule", "description"))
    return {"identity": text_of(part(alert, "id")), "title": title, "shown": shown}
