"""Where the stock scripts that look something up (virustotal, maltiverse), or need more of an alert, do otherwise."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import requests

from tests.conformance.deliveries import end_of_status, ends_alike, same
from tests.conformance.deliveries_messages import alert_of, tries, waits_for_the_manager, with_alert
from tests.conformance.deliveries_replay import Ours, recorded_datagrams, recorded_requests, replay
from tests.conformance.deliveries_stock import followed, is_odd

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
    silent = not case["requests"] and not case["datagrams"]
    return died and without and silent and ours.end == "skipped no_hash" and not ours.requests


def tells_of_errors_last(case: Case, ours: Ours) -> bool:
    """The recorded error event comes, with its source, when the look-up has failed for good."""
    if case["integration"] != "virustotal" or not ours.last_words or not _failed_look_up(ours):
        return False
    told = [_without_source(case, datagram) for datagram in ours.last_words]
    at_last = ours.datagrams == (ours.last_words if ours.end.startswith("dead") else [])
    ended = (case["exit"], case["exception"]) == (4, None)
    return ended and at_last and told == recorded_datagrams(case) and ours.requests * tries(case) == case["requests"]


def waits_instead_of_repeating(case: Case, ours: Ours) -> bool:
    """The script repeats a request that timed out, at once; we come back later. Then all is as with its last answer."""
    count = tries(case)
    if case["integration"] != "virustotal" or count < 2 or ours.end != "retry timeout" or ours.datagrams:
        return False
    last = case["responses"][min(count, len(case["responses"])) - 1]
    config = {**case["config"], "retries": 0}
    there = {**case, "config": config, "responses": [last], "requests": case["requests"][:1]}
    later = replay(there)
    alike = same(there, later) or tells_of_errors_last(there, later) or waits_for_the_manager(there, later)
    return alike and recorded_requests(case) == ours.requests * count


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
    return ours.end == end_of_status(answer.status, "virustotal")


def asks_nothing_in_vain(case: Case, ours: Ours) -> bool:
    """The script spends quota on a verdict that it cannot credit to an agent without id or name."""
    agent = alert_of(case).get("agent")
    odd = isinstance(agent, dict) and bool(agent) and not ("id" in agent and ("name" in agent or agent["id"] == "000"))
    died = case["integration"] == "virustotal" and case["exception"] == "KeyError"
    spent = replay(with_alert(case, {**alert_of(case), "agent": {"id": "1", "name": "x"}})).requests
    lost = case["exit"] == 1 and recorded_requests(case) == spent and not case["datagrams"]
    return died and odd and lost and ours.end == "dead bad_alert" and not ours.requests


def tells_what_it_knows(case: Case, ours: Ours) -> bool:
    """The script dies after the answer of a part of the alert that the verdict can do without."""
    if case["integration"] != "virustotal" or (case["exit"], case["exception"]) != (1, "KeyError"):
        return False
    alert = alert_of(case)
    syscheck = alert["syscheck"]
    missing = [name for name in ("path", "sha1_after") if name not in syscheck] + ["id"] * ("id" not in alert)
    whole = with_alert(case, {"id": "?", **alert, "syscheck": {"path": "?", "sha1_after": "?", **syscheck}})
    without = re.compile(rb'(?:, )?"(?:alert_id|file|sha1)": "\?"')
    told = [without.sub(b"", datagram).replace(b"{, ", b"{") for datagram in replay(whole).datagrams]
    lost = not case["datagrams"] and recorded_requests(case) == ours.requests
    return bool(missing) and lost and ours.end == "delivered" and ours.datagrams == told


def has_time_for_an_answer(case: Case, ours: Ours) -> bool:
    """The client library of the script takes no time limit of 0 or less; here the policy's limit holds instead."""
    cause = case["integration"] == "virustotal" and case["config"]["timeout"] <= 0
    there = replay({**case, "config": {**case["config"], "timeout": 10}})
    return (
        cause
        and case["exit"] in {1, 4}
        and not recorded_requests(case)
        and not case["datagrams"]
        and bool(ours.requests)
        and ours == there
    )


def each_look_up_by_itself(case: Case, ours: Ours) -> bool:
    """Some answer is no 200 with an object: it gives no event, and takes none from the others."""
    if case["integration"] != "maltiverse" or all(map(_is_good, ours.answers)) or ours.answers != replay(case).answers:
        return False
    alone = replay({**case, "responses": [_harmless(response) for response in case["responses"]]}).datagrams
    return _as_script(case, ours) and ours.datagrams == alone and ours.end in _worst(ours.answers)


def _as_script(case: Case, ours: Ours) -> bool:
    """Say whether the record is what the script makes of our requests: it follows redirects, looks at no status, stops
    at the first answer that it cannot read, and sends the events of all answers at last.
    """
    asked = followed(case, ours.requests, reads_json=True)
    if recorded_requests(case) != asked.requests:
        return False
    if asked.died or not alert_of(case).get("agent", {"id": "000"}):
        odd = case["exception"] in PARTS_MISSED if asked.died in {"odd", None} else case["exception"] == asked.died
        return odd and case["exit"] == 1 and not case["datagrams"]
    there = replay({**case, "responses": [{"status": 200, "body": body} for body in asked.bodies]})
    return (case["exit"], case["exception"]) == (0, None) and there.datagrams == recorded_datagrams(case)


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
    died = case["exit"] == 1 and case["exception"] in PARTS_MISSED and not case["datagrams"]
    if not died or ours.end not in {"delivered", "skipped nothing_to_look_up"}:
        return False
    alert = alert_of(case)
    if case["integration"] == "pagerduty":
        there = replay(with_alert(case, _with_groups(alert)))
        return "groups" not in alert["rule"] and not case["requests"] and _payloads(ours) == _payloads(there)
    if case["integration"] != "maltiverse":
        return False
    there, before = replay(with_alert(case, _with_usual_parts(alert))), _asked_before_odd_part(alert, ours)
    alike = (ours.requests, ours.datagrams, ours.end) == (there.requests, there.datagrams, there.end)
    return alike and before is not None and recorded_requests(case) == before


def _asked_before_odd_part(alert: dict[str, Any], ours: Ours) -> list[dict[str, Any]] | None:
    """Return what the script asked before it died: everything if there is no agent, what comes before the first part of
    a wrong type; None if all parts are as they should be.
    """
    for at, (name, key, _) in enumerate(LOOK_UPS):
        part = alert.get(name, {})
        if not isinstance(part, dict) or not isinstance(part.get(key, ""), str):
            kinds = [kind for _, _, kind in LOOK_UPS[:at]]
            return [one for one in ours.requests if any(kind in one["url"] for kind in kinds)]
    return ours.requests if not alert.get("agent") else None


LOOK_UPS = (
    ("syscheck", "md5_after", "/sample/md5/"),
    ("syscheck", "sha1_after", "/sample/sha1/"),
    ("data", "srcip", "/ip/"),
    ("data", "hostname", "/hostname/"),
    ("data", "url", "/url/"),
)
"""In the order in which the script makes them."""


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
    for name, key, _ in LOOK_UPS:
        part = kept.get(name, {})
        part = part if isinstance(part, dict) else {}
        kept[name] = {other: value for other, value in part.items() if other != key or isinstance(value, str)}
    return kept


def takes_odd_answers(case: Case, ours: Ours) -> bool:
    """The script dies of a blacklist with odd parts; the event goes without them."""
    good = all(map(_is_good, ours.answers)) and ours.answers == replay(case).answers
    if case["integration"] != "maltiverse" or not good or ours.end != "delivered":
        return False
    told = [json.loads(one.partition(b"maltiverse:")[2])["maltiverse"]["source"] for one in ours.datagrams]
    answered = [json.loads(answer.body) for answer in ours.answers if answer]
    return any(map(is_odd, answered)) and told == [one for one in answered if one] and _as_script(case, ours)


def quotes_values(case: Case, ours: Ours) -> bool:
    """A value with `/`, `?`, `#` or `%` stays one segment of the path."""
    asked = recorded_requests(case)
    if case["integration"] != "maltiverse" or ours.requests == asked or len(asked) != len(ours.requests):
        return False
    alert, hook_url = alert_of(case), case["config"]["hook_url"]
    values = {kind: (alert.get(name) or {}).get(key) for name, key, kind in LOOK_UPS}
    for our, their in zip(ours.requests, asked, strict=True):
        kind = next((kind for kind in values if kind in our["url"]), "no look-up")
        plain = requests.Request("GET", f"{hook_url}{kind}{values[kind]}").prepare().url
        one_segment = re.fullmatch(r"[^/?#]+", our["url"].partition(kind)[2])
        if our != their and ({**our, "url": plain} != their or not one_segment):
            return False
    return ours.datagrams == recorded_datagrams(case) and ends_alike(case, ours)


def refuses_settings(case: Case, ours: Ours) -> bool:
    """A fragment in the API's address, a key that no header can hold: every request would fail."""
    config = case["config"]
    key = config["api_key"] or ""
    hopeless = bool(re.search(r"[#?]", config["hook_url"] or "")) or not re.fullmatch(
        r"[^\x00-\x1f\u0100-\U0010ffff]*", key
    )
    cause = case["integration"] == "maltiverse" and hopeless and _fails_at_once(case)
    return cause and ours.end == "dead not_configured" and not ours.requests


def _fails_at_once(case: Case) -> bool:
    """Say whether the script died of its first request, if it made one: at this address and with this key."""
    config, usual = case["config"], "https://usual.example"
    asked = case["requests"]
    (first, *_) = replay({**case, "config": {**config, "hook_url": usual, "api_key": "k"}}).requests
    url = requests.Request("GET", first["url"].replace(usual, config["hook_url"] or "")).prepare().url
    headers = {**first["headers"], "authorization": f"Bearer {config['api_key']}"}
    unsent = {"method": "GET", "url": url, "sent": False}
    died = case["exit"] == 1 and bool(case["exception"]) and not case["datagrams"]
    return died and asked in ([{"method": "GET", "url": url, "headers": headers}], [unsent])
