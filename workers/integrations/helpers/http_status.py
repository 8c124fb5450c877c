"""The meaning of an HTTP status for a delivery: one table for all integrations (D9).

    2xx                        delivered
    408 timeout                    retry
    425 and 5xx http_5xx           retry
    407 connection_failed          retry: the proxy refused our credentials; the target did not see the request
    429 rate_limited               retry
    401, 402, 403 unauthorized     retry: a wrong credential affects every alert, so no alert is rejected for it
    404 to 406, 410, 415, 421, 426, 451
        gone                       retry: a wrong address affects every alert, so no alert is rejected for it. Web
                                   servers respond 405 to a POST to a wrong path
    3xx redirect                   rejected: a POST would be repeated as a GET without its body
    other 4xx http_4xx             rejected
    anything else invalid_response retry: no server sends it on purpose

A series of `unauthorized`, `gone` or `redirect` without a success opens the breaker, and the alerts stay queued
(`common/ledger`).

For a retry the target may say when: in a Retry-After header, in the JSON member `retry_after` as Slack and Discord do,
or in Google's `RetryInfo`. All deliveries to the target then pause until that time.

If a service uses a status in another meaning, its own module handles that exception.
"""

from __future__ import annotations

import math
import re
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

from common.exact_json import as_number
from common.outcome import Delivered, Reason, Rejected, Retry
from workers.integrations.helpers.alert_fields import get
from workers.integrations.helpers.json_response import json_object

if TYPE_CHECKING:
    from collections.abc import Callable

    from common.outcome import Outcome
    from workers.calls import Response
    from workers.redaction import Redactor

    Clock = Callable[[], float]

EXACT: Final = {
    401: Reason.UNAUTHORIZED,
    402: Reason.UNAUTHORIZED,  # the account is not paid for
    403: Reason.UNAUTHORIZED,
    **dict.fromkeys((404, 405, 406, 410, 415, 421, 426, 451), Reason.GONE),
    407: Reason.CONNECTION_FAILED,  # the proxy refused our credentials; the request is not at fault
    408: Reason.TIMEOUT,
    425: Reason.HTTP_5XX,
    429: Reason.RATE_LIMITED,
}
BY_HUNDREDS: Final = {3: Reason.REDIRECT, 4: Reason.HTTP_4XX, 5: Reason.HTTP_5XX}
REJECTED: Final = frozenset({Reason.REDIRECT, Reason.HTTP_4XX})
DELIVERED: Final = range(200, 300)

MAX_RETRY_AFTER_S: Final = 86_400.0
"""A longer Retry-After counts as one day: an error of the service must not stop an integration for years."""

MAX_EXCERPT_CHARS: Final = 200
"""Characters of a response that a log line or a dead letter quotes."""

MAX_SCANNED_CHARS: Final = 1000
"""Characters of the body that are read for the excerpt. It is more, as HTML pages contain much white space."""

MAX_RETRY_BODY_BYTES: Final = 4096
"""A larger body is not searched for a time; those of Slack and Discord have about 100 bytes, Google's about 1,000."""

_SECONDS: Final = re.compile(r"[0-9]{1,9}(\.[0-9]+)?", re.ASCII)

_NAMES_A_TIME: Final = re.compile(rb'"retry_after"|"retryDelay"')
_RETRY_INFO: Final = "type.googleapis.com/google.rpc.RetryInfo"


class StatusClassifier:
    """Classifies the responses of one integration by their status."""

    def __init__(self, now: Clock, redactor: Redactor) -> None:
        """`now` returns the time in seconds since the epoch. `redactor` masks secrets in the details."""
        self._now, self._redactor = now, redactor

    def now_s(self) -> float:
        """Return the time in seconds since the epoch."""
        return self._now()

    def classify(self, response: Response) -> Outcome:
        """Return the outcome by the table above, with the beginning of the body in its detail."""
        if response.status in DELIVERED:
            return Delivered()
        reason = EXACT.get(response.status) or BY_HUNDREDS.get(response.status // 100, Reason.INVALID_RESPONSE)
        if reason in REJECTED:
            return Rejected(reason, self.detail(response))
        return Retry(reason, self.detail(response), retry_after_s(response, self._now()))

    def detail(self, response: Response) -> str:
        """Return the status and the beginning of the body, on one line and without secrets."""
        excerpt = self._excerpt(response)
        return f"HTTP {response.status}: {excerpt}" if excerpt else f"HTTP {response.status}"

    def _excerpt(self, response: Response) -> str:
        """Return at most MAX_EXCERPT_CHARS of the body as one line, with secrets masked."""
        text, _ = self._redactor.beginning(response.body.lstrip(), MAX_SCANNED_CHARS, is_cut=response.is_cut)
        return " ".join(text.split())[:MAX_EXCERPT_CHARS]


def retry_after_s(response: Response, now_s: float) -> float | None:
    """Return the seconds of Retry-After, a number or a date (RFC 9110, 10.2.3), or else those of the body."""
    if (seconds := header_seconds(response, "retry-after")) is not None:
        return seconds
    try:
        date = parsedate_to_datetime(response.headers.get("retry-after", ""))
    except (ValueError, TypeError, OverflowError):
        return _retry_after_of_body(response)
    seconds = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now_s
    return min(max(math.ceil(seconds), 0.0), MAX_RETRY_AFTER_S)


def header_seconds(response: Response, name: str) -> float | None:
    """Return a header, named in lower case, that is a number of seconds; None if there is none or it is no number."""
    text = response.headers.get(name, "").strip()
    return min(float(text), MAX_RETRY_AFTER_S) if _SECONDS.fullmatch(text) else None


def _retry_after_of_body(response: Response) -> float | None:
    """Return the seconds of a body such as `{"retry_after": 0.57}` (Discord's rate limits; Slack's Web API).

    Google's say `{"error": {"details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "5.2s"}]}}`
    (google.aip.dev/193, google/rpc/error_details.proto).
    """
    if len(response.body) > MAX_RETRY_BODY_BYTES or not _NAMES_A_TIME.search(response.body):
        return None
    document = json_object(response)
    details = get(document, "error", "details")
    for one in details if isinstance(details, list) else ():
        delay = get(one, "retryDelay") if get(one, "@type") == _RETRY_INFO else None
        if isinstance(delay, str) and _SECONDS.fullmatch(seconds := delay.removesuffix("s")):
            return min(float(seconds), MAX_RETRY_AFTER_S)
    seconds_given = as_number(document.get("retry_after"))
    if seconds_given is None or not 0 <= seconds_given < math.inf:
        return None
    return float(min(seconds_given, MAX_RETRY_AFTER_S))
