"""Family `deliveries`: the requests of a stock script, its messages to the manager, and how it ended.

Courier has no exit codes. `ENDS` says which outcomes mean the same as the end of a script.
"""

from __future__ import annotations

import json
import re
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from tests.conformance.deliveries_replay import Ours, recorded_datagrams, recorded_requests, replay
from tests.conformance.harness import Deviation

if TYPE_CHECKING:
    from tests.conformance.harness import Case
    from workers.integrations.base import Answer

ENDS = {
    # done: sent, or nothing to do for this alert
    (0, None): {"delivered", "skipped rule_excluded", "skipped nothing_to_look_up"},
    # an uncaught exception before anything is sent: something is missing in the alert or of the wrong type; or, after
    # an answer, the answer is no report
    (1, "KeyError"): {"dead bad_alert", "retry bad_answer", "retry not_ready"},
    (1, "TypeError"): {"dead bad_alert", "retry bad_answer"},
    (1, "AttributeError"): {"retry bad_answer"},
    (1, "JSONDecodeError"): {"retry bad_answer"},
    # no answer came
    (1, "ConnectionError"): {"retry connect"},
    (1, "ReadTimeout"): {"retry timeout"},
    # there is no such URL
    (1, "MissingSchema"): {"dead bad_url"},
    (1, "InvalidSchema"): {"dead bad_url"},
    (1, "InvalidURL"): {"dead bad_url"},
    # VirusTotal gave no usable answer
    (4, None): {"retry connect", "retry bad_answer"},
    # Maltiverse does not take this hook_url
    (5, None): {"dead not_configured"},
}
"""Exit code and uncaught exception → our outcomes that say the same. A loss there is a dead letter or a retry here."""

WEBHOOKS = {"slack", "pagerduty", "shuffle"}
STOCK_SEVERITY = {"critical": "warning", "error": "warning"}
LONGEST_DATAGRAM = 65_535


def ours(case: Case) -> Ours:
    return replay(case)


def same(case: Case, ours: Ours) -> bool:
    told = ours.datagrams == recorded_datagrams(case) and set(ours.manager) <= {"delivered"}
    return told and ours.requests == recorded_requests(case) and ends_alike(case, ours)


def ends_alike(case: Case, ours: Ours) -> bool:
    return ours.end in ENDS.get((case["exit"], case["exception"]), ())


# The deviations: each checks what in the case causes it, and that we do what DESIGN says instead.


def _sends_what_the_line_says(case: Case, ours: Ours) -> bool:
    """Given the alert as the stock daemon re-prints it, and only then, we send what was recorded."""
    reprinted = case.get("script_input")
    if case["alert_file"] != "json" or reprinted is None:
        return False
    there = replay({**case, "alert": reprinted})
    return ours.requests != there.requests and same(case, _as_stock_pages(case, there))


def _goes_by_the_status(case: Case, ours: Ours) -> bool:
    """The stock webhooks look at no status and follow redirects: we stop at the first answer and go by it."""
    if case["integration"] not in WEBHOOKS or len(ours.answers) != 1 or not ours.answers[0]:
        return False
    status, stock = ours.answers[0].status, _as_stock_pages(case, ours)
    ended = (case["exit"], case["exception"]) in {(0, None), (1, "TooManyRedirects")}
    return (
        status // 100 != 2 and ended and stock.requests == recorded_requests(case)[:1] and ours.end == meaning(status)
    )


def meaning(status: int) -> str:
    """Say plainly what D9 makes of a status that is no success."""
    if status == 429:
        return "retry rate_limited"
    if status in {401, 403}:
        return "dead auth"
    return {3: "dead redirect", 4: "dead client", 5: "retry server"}[status // 100]


def _pages_better(case: Case, ours: Ours) -> bool:
    """Severities above warning and a dedup_key; an alert without agent names another source."""
    if case["integration"] != "pagerduty" or not ours.requests:
        return False
    if same(case, _as_stock_pages(case, ours)):
        return True
    payload, alert = ours.requests[0]["json"]["payload"], json.loads(case["alert"])
    agentless = not (alert.get("agent") or {}).get("name") and case["exit"] == 1 and not case["requests"]
    sources = (alert.get("agentless", {}).get("host"), alert.get("manager", {}).get("name"))
    named = payload.get("source") in filter(None, sources) or payload == _options(case).get("payload")
    return agentless and ours.end == "delivered" and named


def _as_stock_pages(case: Case, ours: Ours) -> Ours:
    """Take D10 away from a PagerDuty request, if it is as D10 says."""
    if case["integration"] != "pagerduty" or not ours.requests:
        return ours
    request = deepcopy(ours.requests[0])
    body, level = request["json"], json.loads(case["alert"], strict=False)["rule"]["level"]
    if body.get("dedup_key") == case["id"]:
        del body["dedup_key"]
    if "payload" not in _options(case) and body["payload"]["severity"] == _severity(level):
        body["payload"]["severity"] = STOCK_SEVERITY.get(_severity(level), _severity(level))
    return ours._replace(requests=[request])


def _options(case: Case) -> dict[str, Any]:
    return dict(json.loads(case["config"]["options"] or "{}") or {})


def _severity(level: float) -> str:
    return "critical" if level >= 13 else "error" if level >= 10 else "warning" if level >= 7 else "info"


def _skips_without_hash(case: Case, ours: Ours) -> bool:
    """The script raises its own Exception where it finds no hash."""
    cause = case["integration"] == "virustotal" and (case["exit"], case["exception"]) == (1, "Exception")
    return cause and ours.end == "skipped no_hash" and not ours.requests


def _tells_of_errors_last(case: Case, ours: Ours) -> bool:
    """The recorded error event comes, with its source, when the look-up has failed for good."""
    if case["integration"] != "virustotal" or not ours.last_words or not _failed_look_up(ours):
        return False
    told = [_without_source(case, datagram) for datagram in ours.last_words]
    return told == recorded_datagrams(case) and ours.requests == recorded_requests(case)[:1]


def _waits_instead_of_repeating(case: Case, ours: Ours) -> bool:
    """The script repeats a request that timed out, at once; we come back later."""
    recorded = recorded_requests(case)
    repeated = case["integration"] == "virustotal" and len(recorded) > 1 and all(one == recorded[0] for one in recorded)
    return repeated and ours.requests == recorded[:1] and ours.end == "retry timeout"


def _without_source(case: Case, datagram: bytes) -> bytes:
    prefix, _, text = datagram.partition(b":virustotal:")
    message = json.loads(text)
    source, alert = message["virustotal"].pop("source"), json.loads(case["alert"])
    assert (source["alert_id"], source["md5"]) == (alert["id"], alert["syscheck"]["md5_after"])
    return prefix + b":virustotal:" + json.dumps(message).encode()


def _failed_look_up(ours: Ours) -> bool:
    answer = ours.answers[0]
    if answer is None:
        return ours.end == "retry timeout"
    exceptions = {204: "retry rate_limited", 201: "retry bad_answer", 206: "retry bad_answer"}
    return answer.status != 200 and ours.end == (exceptions.get(answer.status) or meaning(answer.status))


def _each_look_up_by_itself(case: Case, ours: Ours) -> bool:
    """Some answer is no 200 with an object: it gives no event, and takes none from the others."""
    good = [_is_good(answer) for answer in ours.answers]
    if case["integration"] != "maltiverse" or all(good) or not good:
        return False
    recorded, asked = recorded_datagrams(case), recorded_requests(case)
    if recorded and len(recorded) == len(good):
        recorded = [datagram for datagram, kept in zip(recorded, good, strict=True) if kept]
    known = sum(_is_good(answer) and answer.body not in {b"{}", b"null"} for answer in ours.answers if answer)
    shared = min(len(asked), len(ours.requests))
    told = len(ours.datagrams) == known and (not recorded or ours.datagrams == recorded)
    return told and ours.requests[:shared] == asked[:shared] and ours.end in _worst(ours.answers)


def _is_good(answer: Answer | None) -> bool:
    try:
        return answer is not None and answer.status == 200 and isinstance(json.loads(answer.body) or {}, dict)
    except ValueError:
        return False


def _worst(answers: list[Answer | None]) -> set[str]:
    """Return the ends that the worst of the bad answers may have: a retry before a rejection before nothing found."""
    ends = {"retry connect" if answer is None else _end_of(answer) for answer in answers}
    for kind in ("retry", "dead"):
        if worst := {end for end in ends if end.startswith(kind)}:
            return worst
    return ends


def _end_of(answer: Answer) -> str:
    if answer.status == 200:
        return "delivered" if _is_good(answer) else "retry bad_answer"
    return "delivered" if answer.status in {204, 404} else meaning(answer.status)


def _refuses_broken_options(case: Case, ours: Ours) -> bool:
    failed = case["exit"] == 7 or (case["exit"], case["exception"]) in {(1, "ValueError"), (1, "TypeError")}
    broken = case["integration"] in WEBHOOKS and case["config"]["options"] is not None and not case["requests"]
    return failed and broken and ours.end == "dead not_configured" and not ours.requests


def _reads_the_json_alert(case: Case, ours: Ours) -> bool:
    done = ours.end == "delivered" or ours.end.startswith("skipped")
    return case["alert_file"] == "text" and case["exit"] in {4, 7} and not case["requests"] and done


def _refuses_nan(case: Case, ours: Ours) -> bool:
    constants = re.search(r"NaN|Infinity", case["config"]["options"] or "")
    return bool(constants) and case["exit"] == 0 and ours.end == "dead not_configured" and not ours.requests


def _needs_no_file_and_no_arguments(case: Case, ours: Ours) -> bool:
    cause = case["alert_file"] == "missing" or case.get("argv_count", 8) < 3
    done = ours.end == "delivered" or ours.end.startswith("skipped")
    return cause and case["exit"] in {2, 3, 6} and not case["requests"] and done


def _waits_for_the_manager(case: Case, ours: Ours) -> bool:
    waits = set(ours.manager) == {"retry manager_down"} and not ours.datagrams and not ours.last_words
    return case["queue"] != "ok" and waits and ours.requests == recorded_requests(case)


def _refuses_long_datagrams(case: Case, ours: Ours) -> bool:
    long = [one for one in case["datagrams"] if one["length"] > LONGEST_DATAGRAM]
    return bool(long) and ours.manager == ["dead too_large"] and ours.requests == recorded_requests(case)


def _goes_without(case: Case, ours: Ours) -> bool:
    """The script dies of a part that an alert may well lack; we do without it."""
    alert, integration = json.loads(case["alert"]), case["integration"]
    if case["exit"] != 1 or case["exception"] not in {"KeyError", "TypeError"}:
        return False
    if integration == "pagerduty":
        return "groups" not in alert["rule"] and [one["json"]["payload"]["group"] for one in ours.requests] == [""]
    if integration == "maltiverse" and "agent" not in alert:
        own = ours.datagrams and all(one.startswith(b"1:maltiverse:") for one in ours.datagrams)
        return bool(own) and ours.requests == recorded_requests(case)
    hashes = (alert.get("syscheck") or {}).get("md5_after")
    looked_up = ours.end == "delivered" and not any("/md5/" in one["url"] for one in ours.requests)
    odd = "syscheck" in alert and not isinstance(hashes, str)
    return integration == "maltiverse" and odd and (looked_up or ours.end == "skipped nothing_to_look_up")


def _takes_odd_answers(case: Case, ours: Ours) -> bool:
    """The script dies of a blacklist with odd parts; the event goes without them."""
    died = case["integration"] == "maltiverse" and case["exception"] in {"TypeError", "AttributeError"}
    good = all(_is_good(answer) for answer in ours.answers) and len(ours.datagrams) == len(ours.requests)
    asked = recorded_requests(case)
    return died and good and bool(asked) and ours.requests[: len(asked)] == asked and ours.end == "delivered"


def _asks_nothing_in_vain(case: Case, ours: Ours) -> bool:
    """The script spends quota on a verdict that it cannot credit to a nameless agent."""
    agent = json.loads(case["alert"]).get("agent") or {}
    nameless = case["integration"] == "virustotal" and case["exception"] == "KeyError" and "name" not in agent
    return nameless and bool(agent) and ours.end == "dead bad_alert" and not ours.requests


def _quotes_values(case: Case, ours: Ours) -> bool:
    """A value with `/`, `?`, `#` or `%` stays one segment of the path."""
    hostname = (json.loads(case["alert"]).get("data") or {}).get("hostname", "")
    asked = [one["url"].rpartition("/hostname/")[2] for one in ours.requests]
    quoted = case["integration"] == "maltiverse" and re.search(r"[/?#%]", hostname) and len(asked) == 1
    return bool(quoted) and not re.search(r"[/?#]", asked[0]) and ours.datagrams == recorded_datagrams(case)


def _refuses_settings(case: Case, ours: Ours) -> bool:
    """A fragment in the API's address, a key that no header can hold: every request would fail."""
    config = case["config"]
    hopeless = "#" in (config["hook_url"] or "") or any(ord(character) > 255 for character in config["api_key"] or "")
    cause = case["integration"] == "maltiverse" and hopeless and case["exit"] == 1
    return cause and ours.end == "dead not_configured" and not ours.requests


DEVIATIONS = (
    Deviation("D4", _sends_what_the_line_says),
    Deviation("D9", _goes_by_the_status),
    Deviation("D10", _pages_better),
    Deviation("D11", _skips_without_hash),
    Deviation("D11", _tells_of_errors_last),
    Deviation("D11", _waits_instead_of_repeating),
    Deviation("D12", _each_look_up_by_itself),
    Deviation("D13", _refuses_broken_options),
    Deviation("D17", _reads_the_json_alert),
    Deviation("deliveries-1", _refuses_nan),
    Deviation("deliveries-2", _needs_no_file_and_no_arguments),
    Deviation("deliveries-3", _waits_for_the_manager),
    Deviation("deliveries-4", _refuses_long_datagrams),
    Deviation("deliveries-5", _goes_without),
    Deviation("deliveries-6", _takes_odd_answers),
    Deviation("deliveries-7", _asks_nothing_in_vain),
    Deviation("deliveries-8", _quotes_values),
    Deviation("deliveries-9", _refuses_settings),
)
