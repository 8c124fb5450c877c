"""What an HTTP status means for a delivery: one table for all integrations (D9).

    2xx                        delivered
    408 timeout                    try again
    425 and 5xx server             try again
    429 rate_limited               try again
    401, 403 auth                  try again: the credential may be at fault, and with it every alert
    404, 410 gone                  try again: the address may be at fault, and with it every alert
    3xx redirect                   rejected: a POST would arrive as a GET without its body
    other 4xx client               rejected
    anything else bad_answer       try again: no server means to say it

A run of `auth`, `gone` or `redirect` without a success opens the breaker, and the alerts wait (`common/ledger`).

Where it is tried again, the target may say when: in a Retry-After header, or as Slack and Discord do in JSON, in
`retry_after`. The whole target then has a pause.

An integration whose service means something else by a status has that exception beside its own code.
"""

from __future__ import annotations

import math
import re
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

from common.outcome import Delivered, Reason, Rejected, Retry
from workers.alert.exact_json import as_number
from workers.integrations.helpers.alert_fields import get
from workers.integrations.helpers.json_response import parse_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from common.outcome import Outcome
    from workers.calls import Response
    from workers.redaction import Redactor

    Clock = Callable[[], float]

EXACT: Final = {
    401: Reason.UNAUTHORIZED,
    403: Reason.UNAUTHORIZED,
    404: Reason.GONE,
    407: Reason.CONNECTION_FAILED,  # a proxy's word on our login there, not the target's: what was sent is not at fault
    408: Reason.TIMEOUT,
    410: Reason.GONE,
    425: Reason.HTTP_5XX,
    429: Reason.RATE_LIMITED,
}
BY_HUNDREDS: Final = {3: Reason.REDIRECT, 4: Reason.HTTP_4XX, 5: Reason.HTTP_5XX}
REJECTED: Final = frozenset({Reason.REDIRECT, Reason.HTTP_4XX})
DELIVERED: Final = range(200, 300)

MAX_RETRY_AFTER_S: Final = 86_400.0
"""A Retry-After beyond a day is taken for a day: a slip of the service must not silence an integration for years."""

MAX_EXCERPT_CHARS: Final = 200
"""Characters of a service's answer that a log line or a dead letter quotes."""

MAX_SCANNED_CHARS: Final = 1000
"""Characters that the excerpt is made of: pages of HTML have many blanks."""

MAX_RETRY_BODY_BYTES: Final = 4096
"""A larger body is not read for `retry_after`: that of Slack and Discord has a hundred bytes."""

_SECONDS: Final = re.compile(r"[0-9]{1,9}(\.[0-9]+)?", re.ASCII)


class StatusClassifier:
    """Reads the status of the answers of one integration. `now` is the time in seconds since the epoch."""

    def __init__(self, now: Clock, redactor: Redactor) -> None:
        """Take the clock, and what masks the secrets that no detail may show."""
        self._now, self._redactor = now, redactor

    def classify(self, answer: Response) -> Outcome:
        """Return what the table says, with the answer's own words as the detail."""
        if answer.status in DELIVERED:
            return Delivered()
        reason = EXACT.get(answer.status) or BY_HUNDREDS.get(answer.status // 100, Reason.INVALID_RESPONSE)
        if reason in REJECTED:
            return Rejected(reason, self.detail(answer))
        return Retry(reason, self.detail(answer), retry_after_s(answer, self._now()))

    def detail(self, answer: Response) -> str:
        """Return status and body for a person: bounded, one line, without secrets."""
        said = self._excerpt(answer)
        return f"HTTP {answer.status}: {said}" if said else f"HTTP {answer.status}"

    def _excerpt(self, answer: Response) -> str:
        """Return the beginning of the body as one line."""
        text, _ = self._redactor.beginning(answer.body.lstrip(), MAX_SCANNED_CHARS, is_cut=answer.is_cut)
        return " ".join(text.split())[:MAX_EXCERPT_CHARS]


def retry_after_s(answer: Response, now_s: float) -> float | None:
    """Return the seconds that Retry-After asks for, as a number or a date (RFC 9110, 10.2.3), else the body's wish."""
    text = answer.headers.get("retry-after", "").strip()
    if _SECONDS.fullmatch(text):
        return min(float(text), MAX_RETRY_AFTER_S)
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return _retry_after_of_body(answer)
    seconds = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now_s
    return min(max(math.ceil(seconds), 0.0), MAX_RETRY_AFTER_S)


def _retry_after_of_body(answer: Response) -> float | None:
    """Return what `{"retry_after": 0.57}` asks for, in seconds (Discord's rate limits; Slack's Web API)."""
    if len(answer.body) > MAX_RETRY_BODY_BYTES or b'"retry_after"' not in answer.body:
        return None
    try:
        seconds = as_number(get(parse_json(answer), "retry_after"))
    except ValueError:
        return None
    if seconds is None or not 0 <= seconds < math.inf:
        return None
    return float(min(seconds, MAX_RETRY_AFTER_S))
