"""Where the stock scripts that look something up (virustotal, maltiverse), or need more of an alert, do otherwise."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from tests.conformance.deliveries import end_of_status
from tests.conformance.deliveries_messages import alert_of, with_alert
from tests.conformance.deliveries_replay import Ours, recorded_datagrams, recorded_requests, replay

if TYPE_CHECKING:
    from tests.conformance.case import Case
    from workers.integrations.base import Answer

MD5 = re.compile(r"\b(?:[a-f0-9]{32}|[A-F0-9]{32})\b")
PARTS_MISSED = {"KeyError", "TypeError", "AttributeError", "ValueError", "Exception"}


def skips_without_hash(case: Case, ours: Ours) -> bool:
    """The script dies where it finds no hash."""
    syscheck = alert_of(case).get("syscheck")
    md5 = syscheck.get("md5_after") if isinstance(syscheck, dict) else None
    without = not isinstance(md5, str) or len(MD5.findall(md5)) != 1
    died = case["integration"] == "virustotal" and case["exit"] == 1 and case["exception"] in PARTS_MISSED
    return died and without and not case["requests"] and ours.end == "skipped no_hash" and not ours.requests


def tells_of_errors_last(case: Case, ours: Ours) -> bool:
    """The recorded error event comes, with its source, when the look-up has failed for good."""
    if case["integration"] != "virustotal" or not ours.last_words or not _failed_look_up(ours):
        return False
    told = [_without_source(case, datagram) for datagram in ours.last_words]
    at_last = ours.datagrams == (ours.last_words if ours.end.startswith("dead") else [])
    return at_last and told == recorded_datagrams(case) and _asked_once(case, ours)


def _asked_once(case: Case, ours: Ours) -> bool:
    """Say whether we asked as the script did, which repeats a request that timed out."""
    recorded = recorded_requests(case)
    return ours.requests == recorded[:1] and all(one == recorded[0] for one in recorded)


def waits_instead_of_repeating(case: Case, ours: Ours) -> bool:
    """The script repeats a request that timed out, at once; we come back later."""
    repeated = case["integration"] == "virustotal" and len(recorded_requests(case)) > 1
    return repeated and _asked_once(case, ours) and ours.end == "retry timeout" and not ours.datagrams


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


def _failed_look_up(ours: Ours) -> bool:
    answer = ours.answers[0]
    if answer is None:
        return ours.end == "retry timeout"
    if answer.status // 100 == 2:
        return answer.status != 200 and ours.end == (
            "retry rate_limited" if answer.status == 204 else "retry bad_answer"
        )
    return ours.end == end_of_status(answer.status)


def asks_nothing_in_vain(case: Case, ours: Ours) -> bool:
    """The script spends quota on a verdict that it cannot credit to an agent without id or name."""
    agent = alert_of(case).get("agent")
    odd = isinstance(agent, dict) and bool(agent) and not ("id" in agent and ("name" in agent or agent["id"] == "000"))
    died = case["integration"] == "virustotal" and case["exception"] == "KeyError"
    return died and odd and ours.end == "dead bad_alert" and not ours.requests and not ours.datagrams


def tells_what_it_knows(case: Case, ours: Ours) -> bool:
    """The script dies after the answer of a part of the alert that the verdict can do without."""
    if case["integration"] != "virustotal" or (case["exit"], case["exception"]) != (1, "KeyError"):
        return False
    alert = alert_of(case)
    syscheck = alert["syscheck"]
    missing = [name for name in ("path", "sha1_after") if name not in syscheck] + ["id"] * ("id" not in alert)
    whole = with_alert(case, {"id": "?", **alert, "syscheck": {"path": "?", "sha1_after": "?", **syscheck}})
    there = [datagram.replace(b'"?"', b"") for datagram in replay(whole).datagrams]
    told = [re.sub(rb'"(alert_id|file|sha1)": (, )?', b"", datagram).replace(b", }", b"}") for datagram in there]
    return bool(missing) and ours.end == "delivered" and ours.datagrams == told and _asked_once(case, ours)


def has_time_for_an_answer(case: Case, ours: Ours) -> bool:
    """The client library of the script takes no time limit of 0 or less; here the policy's limit holds instead."""
    cause = case["integration"] == "virustotal" and case["config"]["timeout"] <= 0
    there = replay({**case, "config": {**case["config"], "timeout": 10}})
    return cause and case["exit"] in {1, 4} and not recorded_requests(case) and bool(ours.requests) and ours == there


def each_look_up_by_itself(case: Case, ours: Ours) -> bool:
    """Some answer is no 200 with an object: it gives no event, and takes none from the others."""
    good = [_is_good(answer) for answer in ours.answers]
    if case["integration"] != "maltiverse" or all(good):
        return False
    recorded, asked = recorded_datagrams(case), recorded_requests(case)
    if recorded and len(recorded) == len(good):
        recorded = [datagram for datagram, kept in zip(recorded, good, strict=True) if kept]
    shared = min(len(asked), len(ours.requests))
    alone = replay({**case, "responses": [_harmless(response) for response in case["responses"]]}).datagrams
    told = ours.datagrams == alone and (not recorded or ours.datagrams == recorded)
    return told and ours.requests[:shared] == asked[:shared] and ours.end in _worst(ours.answers)


def _is_good(answer: Answer | None) -> bool:
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


def _worst(answers: list[Answer | None]) -> set[str]:
    """Return the ends that the worst of the answers may have: a retry before a rejection before nothing found."""
    ends = {end for answer in answers for end in _ends_of(answer)}
    for kind in ("retry", "dead"):
        if worst := {end for end in ends if end.startswith(kind)}:
            return worst
    return ends


def _ends_of(answer: Answer | None) -> set[str]:
    if answer is None:
        return {"retry connect", "retry timeout"}
    if answer.status == 200:
        return {"delivered" if _is_good(answer) else "retry bad_answer"}
    if answer.status in {204, 404}:
        return {"delivered"}
    return {"retry bad_answer"} if answer.status // 100 == 2 else {end_of_status(answer.status)}


def goes_without(case: Case, ours: Ours) -> bool:
    """The script dies of a part that an alert may well lack, or have of another type; we do without it."""
    if (
        case["exit"] != 1
        or case["exception"] not in PARTS_MISSED
        or case["integration"] not in {"pagerduty", "maltiverse"}
    ):
        return False
    alert = alert_of(case)
    usual = _with_groups(alert) if case["integration"] == "pagerduty" else _with_usual_parts(alert)
    there, done = replay(with_alert(case, usual)), ours.end in {"delivered", "skipped nothing_to_look_up"}
    if case["integration"] == "pagerduty":
        return usual != alert and done and _payloads(ours) == _payloads(there)
    alike = (ours.requests, ours.datagrams, ours.end) == (there.requests, there.datagrams, there.end)
    return usual != alert and done and alike


def _payloads(ours: Ours) -> list[dict[str, Any]]:
    return [
        {key: value for key, value in one["json"]["payload"].items() if key != "custom_details"}
        for one in ours.requests
    ]


def _with_groups(alert: dict[str, Any]) -> dict[str, Any]:
    return {**alert, "rule": {"groups": [], **alert["rule"]}}


def _with_usual_parts(alert: dict[str, Any]) -> dict[str, Any]:
    """Return an alert without the parts that are nothing to look up, and with an agent."""
    kept = {**alert, "agent": alert.get("agent") or {"id": "000"}}
    for name, wanted in (("syscheck", ("md5_after", "sha1_after")), ("data", ("srcip", "hostname", "url"))):
        part = kept.pop(name, {})
        part = part if isinstance(part, dict) else {}
        kept[name] = {key: value for key, value in part.items() if key not in wanted or isinstance(value, str)}
    return kept


def takes_odd_answers(case: Case, ours: Ours) -> bool:
    """The script dies of a blacklist with odd parts; the event goes without them."""
    died = case["integration"] == "maltiverse" and case["exit"] == 1 and case["exception"] in PARTS_MISSED
    told = [json.loads(one.partition(b"maltiverse:")[2])["maltiverse"]["source"] for one in ours.datagrams]
    answered = [json.loads(answer.body) for answer in ours.answers if answer and _is_good(answer)]
    asked = recorded_requests(case)
    whole = len(answered) == len(ours.answers) and told == [one for one in answered if one]
    return died and bool(asked) and whole and ours.requests[: len(asked)] == asked and ours.end == "delivered"


def quotes_values(case: Case, ours: Ours) -> bool:
    """A value with `/`, `?`, `#` or `%` stays one segment of the path."""
    alert = alert_of(case)
    values = [*(alert.get("syscheck") or {}).values(), *(alert.get("data") or {}).values()]
    odd = [value for value in values if isinstance(value, str) and re.search(r"[/?#%]", value)]
    asked = recorded_requests(case)
    alike = len(asked) == len(ours.requests) and all(
        our == their or _is_one_segment(our["url"], odd) for our, their in zip(ours.requests, asked, strict=True)
    )
    cause = case["integration"] == "maltiverse" and bool(odd) and ours.requests != asked
    return cause and alike and ours.datagrams == recorded_datagrams(case)


def _is_one_segment(url: str, odd: list[str]) -> bool:
    found = re.fullmatch(r"https?://[^?#]*?/(?:hostname|ip|sample/md5|sample/sha1)/([^/?#]*)", url)
    return bool(found) and any(
        re.sub(r"[^A-Za-z0-9]", "", value) in re.sub(r"%..|[^A-Za-z0-9]", "", found[1]) for value in odd
    )


def refuses_settings(case: Case, ours: Ours) -> bool:
    """A fragment in the API's address, a key that no header can hold: every request would fail."""
    config = case["config"]
    key = config["api_key"] or ""
    hopeless = bool(re.search(r"[#?]", config["hook_url"] or "")) or not re.fullmatch(
        r"[^\x00-\x1f\u0100-\U0010ffff]*", key
    )
    cause = case["integration"] == "maltiverse" and hopeless and case["exit"] == 1
    return cause and ours.end == "dead not_configured" and not ours.requests
