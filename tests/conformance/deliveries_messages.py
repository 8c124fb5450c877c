"""Where the stock scripts that post a message (slack, pagerduty, shuffle), or any of them, do otherwise, and why."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from tests.conformance.case import field_bytes, with_field
from tests.conformance.config_causes import USES_OPTIONS, has_no_json_number, has_unusable_options
from tests.conformance.deliveries import end_of_status, same
from tests.conformance.deliveries_replay import Ours, recorded_datagrams, recorded_requests, replay
from tests.conformance.stock_line import text_of

if TYPE_CHECKING:
    from tests.conformance.case import Case

STOCK_SEVERITY = {"critical": "warning", "error": "warning"}
LONGEST_DATAGRAM = 65_535
NEVER_SENT = {"skipped no_hash", "skipped nothing_to_look_up", "skipped rule_excluded", "dead bad_alert"}
REFUSED_TO_START = {2, 3, 4, 6, 7}
"""Exit codes of a script without arguments, without its file, or with a file that is no JSON (spec 5.1)."""


def alert_of(case: Case) -> dict[str, Any]:
    alert: dict[str, Any] = json.loads(text_of(field_bytes(case, "alert")), strict=False)
    return alert


def with_alert(case: Case, alert: dict[str, Any]) -> Case:
    return with_field(case, "alert", json.dumps(alert).encode())


def sends_what_the_line_says(case: Case, ours: Ours) -> bool:
    """Given the alert as the stock daemon re-prints it, and only then, we send what was recorded."""
    if case["alert_file"] != "json" or "script_input" not in case:
        return False
    there = replay(with_field(case, "alert", field_bytes(case, "script_input")))
    return ours.requests != there.requests and same(case, as_stock_pages(case, there))


def goes_by_the_status(case: Case, ours: Ours) -> bool:
    """The stock scripts look at no status and follow redirects: we stop at the first answer and go by it."""
    if case["integration"] not in USES_OPTIONS or len(ours.answers) != 1 or not ours.answers[0]:
        return False
    status, stock = ours.answers[0].status, as_stock_pages(case, ours)
    followed = status // 100 == 3 and case["exit"] == 1
    ended = (case["exit"], case["exception"]) == (0, None) or followed
    asked = stock.requests == recorded_requests(case)[:1] and (
        followed or status // 100 == 3 or len(case["requests"]) == 1
    )
    return status // 100 != 2 and ended and asked and ours.end == end_of_status(status)


def pages_better(case: Case, ours: Ours) -> bool:
    """Severities above warning and a dedup_key; an alert without agent names another source."""
    if case["integration"] != "pagerduty" or len(ours.requests) != 1:
        return False
    if same(case, as_stock_pages(case, ours)):
        return True
    alert = alert_of(case)
    agent = alert.get("agent")
    if case["exit"] != 1 or case["requests"] or (isinstance(agent, dict) and agent.get("name")):
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
    if "payload" not in options and body["payload"]["severity"] == _severity(level):
        body["payload"]["severity"] = STOCK_SEVERITY.get(_severity(level), _severity(level))
    return ours._replace(requests=[request])


def _options(case: Case) -> dict[str, Any]:
    return dict(json.loads(case["config"]["options"] or "{}") or {})


def _severity(level: float) -> str:
    return "critical" if level >= 13 else "error" if level >= 10 else "warning" if level >= 7 else "info"


def refuses_broken_options(case: Case, ours: Ours) -> bool:
    broken = case["integration"] in USES_OPTIONS and has_unusable_options(case["config"]["options"])
    lost = case["exit"] in {1, 6, 7} and not case["requests"]
    return broken and lost and ours.end == "dead not_configured" and not ours.requests


def refuses_nan(case: Case, ours: Ours) -> bool:
    odd = case["integration"] in USES_OPTIONS and has_no_json_number(case["config"]["options"])
    return odd and ours.end == "dead not_configured" and not ours.requests


def reads_the_json_alert(case: Case, ours: Ours) -> bool:
    """The text form is no JSON; here the integration reads the alert itself."""
    lost = case["exit"] in {4, 7} and not case["requests"]
    return case["alert_file"] == "text" and lost and _went_its_way(ours)


def needs_no_file_and_no_arguments(case: Case, ours: Ours) -> bool:
    cause = case["alert_file"] == "missing" or case.get("argv_count", 8) < 3
    lost = case["exit"] in REFUSED_TO_START and not case["requests"]
    return cause and lost and _went_its_way(ours)


def _went_its_way(ours: Ours) -> bool:
    """Say whether the delivery was made, or left for a reason that lies in the alert."""
    if not ours.requests:
        return ours.end in NEVER_SENT
    return all(answer and ours.end in {"delivered", end_of_status(answer.status)} for answer in ours.answers)


def waits_for_the_manager(case: Case, ours: Ours) -> bool:
    """Nobody takes the messages: they wait, each as a delivery of its own."""
    waits = set(ours.manager) == {"retry manager_down"} and not ours.datagrams and not ours.last_words
    asked = recorded_requests(case)
    repeated = bool(asked) and ours.requests == asked[:1] and all(one == asked[0] for one in asked)
    return case["queue"] != "ok" and not case["datagrams"] and waits and (ours.requests == asked or repeated)


def refuses_long_datagrams(case: Case, ours: Ours) -> bool:
    """The receiver would cut the message, or the kernel does not take it."""
    lost = case["exit"] in {1, 7} and not case["datagrams"]
    cut = any(one["length"] > LONGEST_DATAGRAM for one in case["datagrams"])
    too_large = "dead too_large" in ours.manager and set(ours.manager) <= {"delivered", "dead too_large"}
    kept = [datagram for datagram in recorded_datagrams(case) if len(datagram) <= LONGEST_DATAGRAM]
    told = not case["datagrams"] or ours.datagrams == kept
    return (lost or cut) and too_large and told and ours.requests == recorded_requests(case)
