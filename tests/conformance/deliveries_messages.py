"""Where the stock scripts that post a message (slack, pagerduty, shuffle), or any of them, do otherwise, and why."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from tests.conformance.case import field_bytes, with_field
from tests.conformance.config_causes import MERGES_OPTIONS
from tests.conformance.deliveries import end_of_status, same
from tests.conformance.deliveries_replay import Ours, recorded_datagrams, recorded_requests, replay
from tests.conformance.deliveries_stock import followed
from tests.conformance.stock_line import text_of
from workers.integrations import pagerduty, slack
from workers.integrations.helpers.manager_event import MAX_DATAGRAM_BYTES, datagram, event
from workers.integrations.helpers.text_limits import truncate

if TYPE_CHECKING:
    from tests.conformance.case import Case

STOCK_SEVERITY = {"critical": "warning", "error": "warning"}
ENDS_WITHOUT_MANAGER: dict[tuple[str, str], set[tuple[int, str | None]]] = {
    ("virustotal", "missing"): {(5, None)},
    ("virustotal", "refused"): {(1, "ConnectionRefusedError"), (4, None)},
    ("maltiverse", "missing"): {(0, None)},
    ("maltiverse", "refused"): {(6, None)},
}
"""How the scripts end when nobody takes their message (spec 7)."""


def alert_of(case: Case) -> dict[str, Any]:
    alert: dict[str, Any] = json.loads(text_of(field_bytes(case, "alert")), strict=False)
    return alert


def with_alert(case: Case, alert: dict[str, Any]) -> Case:
    return with_field(case, "alert", json.dumps(alert).encode())


def with_json(request: dict[str, Any]) -> dict[str, Any]:
    """Return a request with its body as Python reads it: Infinity and long integers included."""
    rest = {name: value for name, value in request.items() if name != "body"}
    return {**rest, "json": json.loads(request["body"])} if "body" in request else request


def goes_by_the_status(case: Case, ours: Ours) -> bool:
    """The stock scripts look at no status and follow redirects: we stop at the first answer and go by it."""
    if case["integration"] not in MERGES_OPTIONS or len(ours.answers) != 1 or not ours.answers[0]:
        return False
    status, asked = ours.answers[0].status, followed(case, as_stock_pages(case, ours).requests)
    ended = (case["exit"], case["exception"]) == (int(bool(asked.died)), asked.died)
    alike = list(map(with_json, asked.requests)) == list(map(with_json, recorded_requests(case)))
    as_recorded = ended and alike and not case["datagrams"]
    return status // 100 != 2 and as_recorded and ours.end == end_of_status(status)


def improves_pagerduty_events(case: Case, ours: Ours) -> bool:
    """Severities above warning and a dedup_key; an alert without agent names another source."""
    if case["integration"] != "pagerduty" or len(ours.requests) != 1:
        return False
    if same(case, as_stock_pages(case, ours)):
        return True
    alert = alert_of(case)
    agent = alert.get("agent")
    if case["exit"] != 1 or case["requests"] or case["datagrams"] or (isinstance(agent, dict) and agent.get("name")):
        return False
    host, manager = alert.get("agentless", {}).get("host"), alert.get("manager", {}).get("name")
    there = replay(with_alert(case, {**alert, "agent": {"id": "000", "name": host or manager}}))
    return ours.end == there.end and _without_details(ours) == _without_details(there)


def _without_details(ours: Ours) -> list[dict[str, Any]]:
    requests = deepcopy(ours.requests)
    for request in requests:
        request["json"].get("payload", {}).pop("custom_details", None)
    return requests


def as_stock_pages(case: Case, ours: Ours) -> Ours:
    """Take D10 away from a PagerDuty request, if it is as D10 says."""
    if case["integration"] != "pagerduty" or not ours.requests:
        return ours
    request = deepcopy(ours.requests[0])
    options = _options(case)
    body, level = request["json"], alert_of(case)["rule"]["level"]
    if body.get("dedup_key") == case["id"] and "dedup_key" not in options:
        del body["dedup_key"]
    if "payload" not in options:
        _undo_limits(body["payload"], alert_of(case))
    if "payload" not in options and body["payload"]["severity"] == _severity(level):
        body["payload"]["severity"] = STOCK_SEVERITY.get(_severity(level), _severity(level))
    return ours._replace(requests=[request])


def _undo_limits(payload: dict[str, Any], alert: dict[str, Any]) -> None:
    """Put back what was cut of an alert, if it was cut as D10 says."""
    description = alert["rule"].get("description")
    if payload["summary"] == truncate(description, pagerduty.MAX_SUMMARY_CHARS):
        payload["summary"] = description
    details = payload["custom_details"]
    if str(details.get("note", "")).startswith("Courier omitted the alert") and details["id"] == alert["id"]:
        payload["custom_details"] = alert


def _options(case: Case) -> dict[str, Any]:
    return dict(json.loads(case["config"]["options"] or "{}") or {})


def _severity(level: float) -> str:
    return "critical" if level >= 13 else "error" if level >= 10 else "warning" if level >= 7 else "info"


def queues_events_for_the_manager(case: Case, ours: Ours) -> bool:
    """Nobody takes the messages: they wait, each as a delivery of its own."""
    waits = set(ours.manager) == {"retry manager_down"} and not ours.datagrams and not ours.final_events
    ended = (case["exit"], case["exception"]) in ENDS_WITHOUT_MANAGER.get((case["integration"], case["queue"]), ())
    waits = waits and ours.events == replay({**case, "queue": "ok"}).events
    return ended and not case["datagrams"] and waits and recorded_requests(case) == ours.requests * tries(case)


def tries(case: Case) -> int:
    """Return how often the stock script makes its request: VirusTotal's repeats what timed out, at once."""
    if case["integration"] != "virustotal":
        return 1
    limit, replies = case["config"]["timeout"], case["responses"]
    most = case["config"]["retries"] + 1
    timed_out = [replies[min(at, len(replies) - 1)].get("delay", 0) > limit for at in range(most)]
    return most if all(timed_out) else timed_out.index(False) + 1


def cuts_long_texts(case: Case, ours: Ours) -> bool:
    """Slack gets the recorded message with its texts cut to what Slack takes."""
    if case["integration"] != "slack" or not ours.requests or not case["requests"]:
        return False
    short = deepcopy(case["requests"])
    for request in short:
        request["json"]["attachments"] = [slack.fit(one) for one in request["json"]["attachments"]]
    return short != case["requests"] and same({**case, "requests": short}, ours)


def shortens_long_events(case: Case, ours: Ours) -> bool:
    """The manager gets the same with long parts cut, where it would have cut the message itself or lost it."""
    if ours.requests != recorded_requests(case) or set(ours.manager) != {"delivered"}:
        return False
    if case["exit"] == (7 if case["integration"] == "maltiverse" else 1) and not case["datagrams"]:
        return any(b'"courier": {"shortened": ' in sent for sent in ours.events)
    sent = [event(one["prefix"].removeprefix("1:").removesuffix(":"), one["json"]) for one in case["datagrams"]]
    is_cut = any(one["length"] > MAX_DATAGRAM_BYTES for one in case["datagrams"])
    return case["exit"] == 0 and is_cut and ours.events == [datagram(one) for one in sent]


def refuses_long_datagrams(case: Case, ours: Ours) -> bool:
    """The receiver would cut the message, or the kernel does not take it."""
    lost = case["exit"] == (7 if case["integration"] == "maltiverse" else 1) and not case["datagrams"]
    cut = case["exit"] == 0 and any(one["length"] > MAX_DATAGRAM_BYTES for one in case["datagrams"])
    too_large = "dead too_large" in ours.manager and set(ours.manager) <= {"delivered", "dead too_large"}
    sent = lost or ours.events == recorded_datagrams(case)
    return (lost or cut) and too_large and sent and ours.requests == recorded_requests(case)
