"""Family `deliveries`: the requests of a stock script, its messages to the manager, and how it ended.

Courier has no exit codes. `ENDS` says which outcomes mean the same as the end of a script.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.conformance.deliveries_replay import Ours, recorded_datagrams, recorded_requests, replay

if TYPE_CHECKING:
    from tests.conformance.case import Case

ENDS = {
    # done: sent, or nothing to do for this alert
    (0, None): {"delivered", "skipped rule_excluded", "skipped nothing_to_look_up"},
    # an uncaught exception before anything is sent: something is missing in the alert or of the wrong type; or, after
    # an answer, the answer is no report
    (1, "KeyError"): {"dead invalid_alert", "retry invalid_response", "retry not_ready"},
    (1, "TypeError"): {"dead invalid_alert", "retry invalid_response"},
    (1, "AttributeError"): {"dead invalid_alert", "retry invalid_response"},
    (1, "ValueError"): {"dead invalid_alert"},
    (1, "IndexError"): {"retry invalid_response"},
    (1, "JSONDecodeError"): {"retry invalid_response"},
    # the answer cannot be read
    (1, "ContentDecodingError"): {"retry invalid_response"},
    (1, "ChunkedEncodingError"): {"retry invalid_response"},
    # no answer came
    (1, "ConnectionError"): {"retry connection_failed"},
    (1, "ConnectTimeout"): {"retry timeout"},
    (1, "ReadTimeout"): {"retry timeout"},
    # there is no such URL
    (1, "MissingSchema"): {"dead invalid_url"},
    (1, "InvalidSchema"): {"dead invalid_url"},
    (1, "InvalidURL"): {"dead invalid_url"},
    (1, "LocationParseError"): {"dead invalid_url"},
    (1, "UnicodeError"): {"dead invalid_url"},
    # the key fits into no header
    (1, "InvalidHeader"): {"dead invalid_url"},
    # VirusTotal gave no usable answer
    (4, None): {"retry connection_failed", "retry invalid_response"},
    # Maltiverse does not take this hook_url
    (5, None): {"dead not_configured"},
}
"""Exit code and uncaught exception → our outcomes that say the same. A loss there is a dead letter or a retry here."""


def ours(case: Case) -> Ours:
    return replay(case)


def same(case: Case, ours: Ours) -> bool:
    notified = ours.datagrams == recorded_datagrams(case) and set(ours.manager) <= {"delivered"}
    return notified and ours.requests == recorded_requests(case) and ends_alike(case, ours)


def ends_alike(case: Case, ours: Ours) -> bool:
    return ours.end in ENDS.get((case["exit"], case["exception"]), ())


def end_of_status(status: int, name: str = "") -> str:
    """Say plainly what D9 makes of a status; a look-up's 404 is about what was asked for."""
    if (status, name) == (404, "virustotal"):
        return "dead http_4xx"
    exact = dict.fromkeys((401, 402, 403), "retry unauthorized")
    exact |= dict.fromkeys((404, 405, 406, 410, 415, 421, 426, 451), "retry gone")
    exact |= {408: "retry timeout", 425: "retry http_5xx", 429: "retry rate_limited"}
    by_hundreds = {2: "delivered", 3: "dead redirect", 4: "dead http_4xx", 5: "retry http_5xx"}
    return exact.get(status) or by_hundreds.get(status // 100, "retry invalid_response")
