"""VirusTotal: asks about the MD5 of a file that changed, and tells the manager what is known (spec 5.5, D11).

This is the API v2 of the stock script. Whatever is of that version stands in `_request` and `_findings`; v3 will be
another pair of them, chosen by an option.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

from common.json_text import as_number
from common.outcome import Delivered, Reason, Rejected, Retry, Skipped
from workers.integrations import blocks
from workers.integrations.answers import answered_json
from workers.integrations.base import Refusal, Request, unanswered
from workers.integrations.events import credited_to_agent, event
from workers.integrations.fields import Fields, fields_of, found
from workers.integrations.statuses import Statuses

if TYPE_CHECKING:
    from collections.abc import Sequence

    from common.alert import Alert
    from common.errors import TransportError
    from common.integration import Integration
    from common.outcome import ManagerEvent, Outcome
    from common.secret import Secret
    from workers.integrations.base import Answer
    from workers.integrations.statuses import Clock

URL: Final = "https://www.virustotal.com/vtapi/v2/file/report"
HEADERS = {"User-Agent": "gzip,  Python library-client-VirusTotal", "Accept-Encoding": "gzip, deflate"}
TAG: Final = "virustotal"

OK: Final = 200
QUOTA_SPENT: Final = 204
TIMED_OUT: Final = 408
QUEUED: Final = -2
"""`response_code` of a file whose analysis is under way."""

QUOTA_PAUSE_S: Final = 60.0
"""The public quota is counted by the minute."""

ERRORS: Final = {
    QUOTA_SPENT: "Error: Public API request rate limit reached",
    403: "Error: Check credentials",
    TIMED_OUT: "Error: API request timed out",
}
ANY_OTHER_ERROR: Final = "Error: API request fail"
"""The manager's rules 87101, 87102 and 87106 look for the numbers, people for these words."""

_MD5: Final = re.compile(r"\b(?:[a-f0-9]{32}|[A-F0-9]{32})\b")


class VirusTotal:
    """One VirusTotal block. Needs api_key. `timeout` is the time limit of a request in seconds."""

    def __init__(self, block: Integration, now: Clock, endpoint: Secret | None = None) -> None:
        self._url = endpoint.reveal() if endpoint else URL
        self._key = blocks.api_key(block)
        self._timeout_s = float(block.timeout_s) if block.timeout_s > 0 else None  # the stock client takes none of 0
        self._statuses = Statuses(now, self._key)

    def calls(self, alert: Alert) -> Sequence[Request]:
        """Return the look-up, or skip an alert without a hash."""
        fields = fields_of(alert)
        if not _has_hash(fields):
            raise Refusal(Skipped(Reason.NO_HASH, "no MD5 in syscheck.md5_after"))
        credited_to_agent(fields, TAG)  # what the verdict will need is missed before the quota is touched
        return (self._request(fields),)

    def read(self, alert: Alert, call: Request, answer: Answer) -> Outcome:  # noqa: ARG002 — the shape of all
        """Turn a report into a verdict; anything but a 200 is no report."""
        if answer.status != OK:
            return self._failure(alert.fields, answer)
        try:
            report = answered_json(answer)
            if (findings := _findings(report)) is not None:
                return Delivered((_verdict(alert.fields, findings),))
        except ValueError as error:
            return Retry(Reason.BAD_ANSWER, f"HTTP {OK}, but {error}")
        if found(report, "response_code") == QUEUED:
            return Retry(Reason.NOT_READY, "VirusTotal has queued the file for analysis")
        return Retry(Reason.BAD_ANSWER, f"no report: {self._statuses.detail(answer)}")

    def unanswered(self, alert: Alert, call: Request, error: TransportError) -> Outcome:  # noqa: ARG002 — as above
        """Try again; the manager hears of a time-out when the last try has failed."""
        outcome = unanswered(error)
        if isinstance(outcome, Retry) and outcome.reason is Reason.TIMEOUT:
            return msgspec.structs.replace(outcome, last_words=(_error(alert.fields, TIMED_OUT),))
        return outcome

    def _request(self, fields: Fields) -> Request:
        params = {"apikey": self._key.reveal(), "resource": fields["syscheck"]["md5_after"]}
        return Request(method="GET", url=self._url, headers=HEADERS, params=params, timeout_s=self._timeout_s)

    def _failure(self, fields: Fields, answer: Answer) -> Outcome:
        """Go by the status table; the manager hears of it when the look-up has failed for good."""
        words = (_error(fields, answer.status),)
        outcome = self._statuses.outcome(answer)
        if isinstance(outcome, Rejected):
            return msgspec.structs.replace(outcome, events=words)
        if answer.status == QUOTA_SPENT:
            outcome = Retry(Reason.RATE_LIMITED, f"HTTP {QUOTA_SPENT}: the quota is spent")
        if not isinstance(outcome, Retry):
            outcome = Retry(Reason.BAD_ANSWER, self._statuses.detail(answer))
        limited = outcome.reason is Reason.RATE_LIMITED
        after_s = max(outcome.after_s or 0.0, QUOTA_PAUSE_S) if limited else outcome.after_s
        return msgspec.structs.replace(outcome, after_s=after_s, last_words=words)


def _has_hash(fields: Fields) -> bool:
    """Say whether the field holds exactly one MD5; text around it is tolerated and sent along (spec 5.5)."""
    md5 = found(fields, "syscheck", "md5_after")
    return isinstance(md5, str) and len(_MD5.findall(md5)) == 1


def _findings(report: Any) -> dict[str, Any] | None:
    """Return what a v2 report says: nothing for an unknown file, None if it is no complete report."""
    code = found(report, "response_code")
    if as_number(code) == 0:
        return {}
    wanted = ("sha1", "scan_date", "positives", "total", "permalink")
    if code is None or not all(name in report for name in wanted) or as_number(report["positives"]) is None:
        return None
    return {name: report[name] for name in wanted}


def _verdict(fields: Fields, findings: dict[str, Any]) -> ManagerEvent:
    malicious = as_number(findings.get("positives")) or 0
    verdict = {"found": int(bool(findings)), "malicious": int(malicious > 0), "source": _source(fields)}
    return event(credited_to_agent(fields, TAG), {"virustotal": verdict | findings, "integration": TAG})


def _error(fields: Fields, status: int) -> ManagerEvent:
    """Return the event for a failed look-up: the manager's own, with the source block added (D11)."""
    error = {"error": status, "description": ERRORS.get(status, ANY_OTHER_ERROR), "source": _source(fields)}
    return event(TAG, {"virustotal": error, "integration": TAG})


def _source(fields: Fields) -> dict[str, Any]:
    """Return which file of which alert it is about; what the alert does not say is left out."""
    source = {
        "alert_id": found(fields, "id"),
        "file": found(fields, "syscheck", "path"),
        "md5": found(fields, "syscheck", "md5_after"),
        "sha1": found(fields, "syscheck", "sha1_after"),
    }
    return {name: value for name, value in source.items() if value is not None}
