"""The simulated Jira, TheHive and IRIS: what an alert becomes is an item with a key, labels and observables.

Jira and IRIS are searched first; the search of the demo finds nothing and is not shown.
"""

from __future__ import annotations

import hashlib
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from common.services.iris import SEVERITY_IDS
from ops.demo.http_types import Received, Reply, items, json_object, json_reply, part, plain, text_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_LINK: Final = re.compile(rb"/alert/([0-9]+\.[0-9]+)")
"""The demo's `dashboard_url` ends with the id of the alert."""

_ROW: Final = re.compile(r"^[*-] \*{1,2}([^*\n]+)\*{1,2}: ", re.MULTILINE)
_MARK: Final = re.compile(r"\n+courier-d-[0-9a-f]+$")
_LINKED: Final = re.compile(r"\[([^]|\n]+)(?:\||\]\()http[^\s\])]+[\])]")

TINTS: Final = {"low": "info", "medium": "warning", "high": "danger", "critical": "danger"}
THEHIVE_WORDS: Final[Mapping[Any, str]] = {1: "low", 2: "medium", 3: "high", 4: "critical"}
IRIS_WORDS: Final[Mapping[Any, str]] = {number: word for word, number in SEVERITY_IDS.items()}


def linked_id(body: bytes) -> str:
    """Return the id of the alert to which a message links, empty if it links to none."""
    found = _LINK.search(body)
    return found[1].decode() if found else ""


def jira(request: Received) -> Reply:
    """Answer as Data Center does: a search with no issue, 201 with the new issue, or 400 with what is missing."""
    sent = json_object(request.body)
    if request.path.endswith("/search"):
        return json_reply(HTTPStatus.OK, {"issues": [], "total": 0}, is_recorded=False)
    issue = part(sent, "fields")
    if not text_of(part(issue, "summary")) or not text_of(part(issue, "project", "key")):
        return json_reply(HTTPStatus.BAD_REQUEST, {"errors": {"summary": "You must specify a summary of the issue."}})
    labels = [text_of(one) for one in items(issue, "labels")]
    key = _key(f"{part(issue, 'project', 'key')}-", labels[-1] if labels else "")
    shown = _shown(key, part(issue, "summary"), part(issue, "description"), labels)
    shown["chips"] = [["info", text_of(part(issue, "issuetype", "name"))], ["plain", "To Do"]]
    return json_reply(HTTPStatus.CREATED, {"id": key[4:], "key": key}, **_recorded(shown, linked_id(request.body)))


def thehive(request: Received) -> Reply:
    """Answer as TheHive 5 does: 201 with the alert, or 400 with the error."""
    sent = json_object(request.body)
    if sent is None or not all(text_of(sent.get(name)) for name in ("type", "source", "sourceRef", "title")):
        return json_reply(HTTPStatus.BAD_REQUEST, {"type": "InvalidFormat", "message": "Invalid alert"})
    key = _key("~", text_of(sent["sourceRef"]))
    shown = _shown(key, sent["title"], sent.get("description"), items(sent, "tags"))
    shown["chips"] = _chips(THEHIVE_WORDS, sent.get("severity"))
    shown["rows"] = [[text_of(part(one, "dataType")), part(one, "data")] for one in items(sent, "observables")]
    return json_reply(HTTPStatus.CREATED, {"_id": key, "_type": "Alert"}, **_recorded(shown, linked_id(request.body)))


def iris(request: Received) -> Reply:
    """Answer as IRIS does: an empty search, 200 with the alert, or 400 with the error."""
    if request.method == "GET":
        return json_reply(HTTPStatus.OK, {"status": "success", "data": {"total": 0, "alerts": []}}, is_recorded=False)
    sent = json_object(request.body)
    if sent is None or not text_of(sent.get("alert_title")) or not sent.get("alert_customer_id"):
        return json_reply(HTTPStatus.BAD_REQUEST, {"status": "error", "message": "Data error"})
    number = _key("", text_of(sent.get("alert_source_ref")))
    tags = text_of(sent.get("alert_tags")).split(",")
    shown = _shown(f"#{number}", sent["alert_title"], sent.get("alert_description"), tags)
    shown["chips"] = _chips(IRIS_WORDS, sent.get("alert_severity_id"))
    shown["rows"] = [["IOC", part(one, "ioc_value")] for one in items(sent, "alert_iocs")]
    answer = {"status": "success", "data": {"alert_id": int(number)}}
    return json_reply(HTTPStatus.OK, answer, **_recorded(shown, linked_id(request.body)))


CASES: Final[Mapping[str, Callable[[Received], Reply]]] = {"jira": jira, "thehive": thehive, "iris": iris}
"""The services that keep items, by the name in Courier's configuration."""


def _key(prefix: str, text: str) -> str:
    """Return a key that is the same for the same text, as an item that exists keeps its own."""
    return f"{prefix}{1000 + int(hashlib.sha256(text.encode()).hexdigest(), 16) % 9000}"


def _chips(words: Mapping[Any, str], severity: Any) -> list[list[str]]:
    """Return the severity and the state of a new item, each with its colour on the page."""
    word = words.get(severity, "?") if isinstance(severity, int) else "?"
    return [[TINTS.get(word, "plain"), word], ["plain", "New"]]


def _shown(key: str, title: Any, text: Any, labels: list[Any]) -> dict[str, Any]:
    """Return what the page shows of an item; lists and links of the service's markup are plain text there."""
    body = _LINKED.sub(r"\1", _ROW.sub(r"• \1: ", _MARK.sub("", text_of(text))))
    return {"key": key, "title": plain(text_of(title)), "text": plain(body), "rows": [], "labels": labels}


def _recorded(shown: dict[str, Any], identity: str) -> dict[str, Any]:
    return {"identity": identity, "title": shown["title"], "note": shown["key"], "shown": shown}
