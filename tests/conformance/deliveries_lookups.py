"""Where the stock scripts that look something up (virustotal, maltiverse), or need more of an alert, do otherwise."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from tests.conformance.deliveries import end_of_status, same
from tests.conformance.deliveries_messages import alert_of, queues_events_for_the_manager, tries, with_alert
from tests.conformance.deliveries_replay import Ours, recorded_datagrams, recorded_requests, replay
from tests.conformance.deliveries_stock import followed, is_odd
from tests.conformance.stock_scripts import is_stock

if TYPE_CHECKING:
    from tests.conformance.case import Case
    from workers.calls import Response

MD5 = re.compile(r"\b(?:[a-f0-9]{32}|[A-F0-9]{32})\b")
PARTS_MISSED = {"KeyError", "TypeError", "AttributeError", "ValueError", "Exception"}


def skips_without_hash(case: Case, ours: Ours) -> bool:
    """The script dies where it finds no hash."""
    syscheck = alert_of(case).get("syscheck")
    md5 = syscheck.get("md5_after") if isinstance(syscheck, dict) else None
    without = not isinstance(md5, str) or len(MD5.findall(md5)) != 1
    died = case["integration"] == "virustotal" and case["exit"] == 1 and case["exception"] in PARTS_MISSED
    silent = not case["requests"] and not case["datagrams"]
    return died and without and silent and ours.end == "skipped no_file_hash" and not ours.requests


def reports_errors_after_the_last_attempt(case: Case, ours: Ours) -> bool:
    """The recorded error event comes, with its source, when the look-up has failed for good."""
    if case["integration"] != "virustotal" or not ours.final_events or not _failed_lookup(ours):
        return False
    sent = [_without_source(case, datagram) for datagram in ours.final_events]
    at_last = ours.datagrams == (ours.final_events if ours.end.startswith("dead") else [])
    ended = (case["exit"], case["exception"]) == (4, None)
    return ended and at_last and sent == recorded_datagrams(case) and ours.requests * tries(case) == case["requests"]


def retries_later(case: Case, ours: Ours) -> bool:
    """The script repeats a request that timed out, at once; we come back later. Then all is as with its last answer."""
    count = tries(case)
    if case["integration"] != "virustotal" or count < 2 or ours.end != "retry timeout" or ours.datagrams:
        return False
    last = case["responses"][min(count, len(case["responses"])) - 1]
    config = {**case["config"], "retries": 0}
    there = {**case, "config": config, "responses": [last], "requests": case["requests"][:1]}
    later = replay(there)
    alike = (
        same(there, later)
        or reports_errors_after_the_last_attempt(there, later)
        or queues_events_for_the_manager(there, later)
    )
    return alike and recorded_requests(case) == ours.requests * count


def stops_at_a_redirect(case: Case, ours: Ours) -> bool:
    """The script goes where VirusTotal's response sends it; here the manager gets an event about the redirect."""
    if case["integration"] != "virustotal" or ours.end != "dead redirect" or not ours.answers[0]:
        return False
    error = {"error": ours.answers[0].status, "description": "Error: API request fail"}
    event = b"1:virustotal:" + json.dumps({"virustotal": error, "integration": "virustotal"}).encode()
    sent = [_without_source(case, datagram) for datagram in ours.events] == [event]
    sent = sent and ours.datagrams == (ours.events if case["queue"] == "ok" else [])
    return sent and ours.requests == recorded_requests(case)[:1] and is_stock(case)


def _without_source(case: Case, datagram: bytes) -> bytes:
    """Return an event without its source block, or nothing if that is not the alert's."""
    prefix, _, text = datagram.partition(b":virustotal:")
    message, alert = json.loads(text), alert_of(case)
    syscheck = alert["syscheck"]
    source = {"alert_id": alert.get("id"), "file": syscheck.get("path")}
    source |= {"md5": syscheck.get("md5_after"), "sha1": syscheck.get("sha1_after")}
    if message["virustotal"].pop("source", None) != {key: value for key, value in source.items() if value is not None}:
        return b""
    return prefix + b":virustotal:" + json.dumps(message).encode()


def _failed_lookup(ours: Ours) -> bool:
    answer = ours.answers[0]
    if answer is None:
        return ours.end == "retry timeout"
    if answer.status // 100 == 2:
        return answer.status != 200 and ours.end == (
            "retry rate_limited" if answer.status == 204 else "retry invalid_response"
        )
    return ours.end == end_of_status(answer.status, "virustotal")


def sends_partial_verdict(case: Case, ours: Ours) -> bool:
    """The script dies after the answer of a part of the alert that the verdict can do without."""
    if case["integration"] != "virustotal" or (case["exit"], case["exception"]) != (1, "KeyError"):
        return False
    alert = alert_of(case)
    syscheck = alert["syscheck"]
    missing = [name for name in ("path", "sha1_after") if name not in syscheck] + ["id"] * ("id" not in alert)
    whole = with_alert(case, {"id": "?", **alert, "syscheck": {"path": "?", "sha1_after": "?", **syscheck}})
    without = re.compile(rb'(?:, )?"(?:alert_id|file|sha1)": "\?"')
    sent = [without.sub(b"", datagram).replace(b"{, ", b"{") for datagram in replay(whole).datagrams]
    lost = not case["datagrams"] and recorded_requests(case) == ours.requests
    return bool(missing) and lost and ours.end == "delivered" and ours.datagrams == sent


def handles_each_lookup_separately(case: Case, ours: Ours) -> bool:
    """Some answer is no 200 with an object: it gives no event, and takes none from the others."""
    if case["integration"] != "maltiverse" or all(map(_is_good, ours.answers)) or ours.answers != replay(case).answers:
        return False
    alone = replay({**case, "responses": [_harmless(response) for response in case["responses"]]}).datagrams
    return _as_script(case, ours) and ours.datagrams == alone and ours.end in _worst(ours.answers)


def _as_script(case: Case, ours: Ours) -> bool:
    """Return whether the record is what the script does with our requests.

    It follows redirects, ignores the status, stops at the first unreadable response, and sends all events last.
    """
    asked = followed(case, ours.requests, reads_json=True)
    if recorded_requests(case) != asked.requests:
        return False
    if asked.died or not alert_of(case).get("agent", {"id": "000"}):
        odd = case["exception"] in PARTS_MISSED if asked.died in {"odd", None} else case["exception"] == asked.died
        return odd and case["exit"] == 1 and not case["datagrams"]
    there = replay({**case, "responses": [{"status": 200, "body": body} for body in asked.bodies]})
    return (case["exit"], case["exception"]) == (0, None) and there.datagrams == recorded_datagrams(case)


def _is_good(answer: Response | None) -> bool:
    try:
        return answer is not None and answer.status == 200 and isinstance(json.loads(answer.body) or {}, dict)
    except ValueError:
        return False


def _harmless(response: dict[str, Any]) -> dict[str, Any]:
    """Return a bad reply as one that knows nothing."""
    try:
        bad = response.get("status") != 200 or not isinstance(json.loads(response["body"]) or {}, dict)
    except (ValueError, KeyError):
        bad = True
    kept = {key: value for key, value in response.items() if key == "match"}
    return {**kept, "status": 200, "body": "{}"} if bad or response.get("close") or response.get("delay") else response


def _worst(answers: list[Response | None]) -> set[str]:
    """Return the ends that the worst of the answers may have: a retry before a rejection before nothing found."""
    ends = {end for answer in answers for end in _ends_of(answer)}
    for kind in ("retry", "dead"):
        if worst := {end for end in ends if end.startswith(kind)}:
            return worst
    return ends


def _ends_of(answer: Response | None) -> set[str]:
    if answer is None:
        return {"retry connection_failed", "retry timeout"}
    if answer.status == 200:
        return {"delivered" if _is_good(answer) else "retry invalid_response"}
    if answer.status in {204, 404}:
        return {"delivered"}
    return {"retry invalid_response"} if answer.status // 100 == 2 else {end_of_status(answer.status)}


def goes_without_groups(case: Case, ours: Ours) -> bool:
    """PagerDuty's script dies of a rule without groups."""
    died = case["integration"] == "pagerduty" and (case["exit"], case["exception"]) == (1, "KeyError")
    alert = alert_of(case)
    there = replay(with_alert(case, _with_groups(alert)))
    silent = not case["requests"] and not case["datagrams"]
    without = "groups" not in alert["rule"] and ours.end == "delivered"
    return died and silent and without and _payloads(ours) == _payloads(there)


def _payloads(ours: Ours) -> list[dict[str, Any]]:
    return [
        {key: value for key, value in one["json"]["payload"].items() if key != "custom_details"}
        for one in ours.requests
    ]


def _with_groups(alert: dict[str, Any]) -> dict[str, Any]:
    return {**alert, "rule": {"groups": [], **alert["rule"]}}


def accepts_malformed_blacklist(case: Case, ours: Ours) -> bool:
    """The script dies of a blacklist with odd parts; the event goes without them."""
    good = all(map(_is_good, ours.answers)) and ours.answers == replay(case).answers
    if case["integration"] != "maltiverse" or not good or ours.end != "delivered":
        return False
    sent = [json.loads(one.partition(b"maltiverse:")[2])["maltiverse"]["source"] for one in ours.datagrams]
    answered = [json.loads(answer.body) for answer in ours.answers if answer]
    return any(map(is_odd, answered)) and sent == [one for one in answered if one] and _as_script(case, ours)
