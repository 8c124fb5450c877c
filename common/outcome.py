"""The outcomes of a delivery attempt. Code, metrics, logs, dead letters and documentation use the same words."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec


class Reason(StrEnum):
    """Why a delivery was skipped, retried or rejected: a closed list, also used as a metric label."""

    # skipped: nothing to do for this alert
    NO_FILE_HASH = "no_file_hash"
    NOTHING_TO_LOOK_UP = "nothing_to_look_up"
    RULE_EXCLUDED = "rule_excluded"
    TEST_FAILED = "test_failed"
    # retried
    CONNECTION_FAILED = "connection_failed"
    TIMEOUT = "timeout"
    RATE_LIMITED = "rate_limited"
    HTTP_5XX = "http_5xx"
    SMTP_4XX = "smtp_4xx"
    INVALID_RESPONSE = "invalid_response"
    NOT_READY = "not_ready"
    SCRIPT_FAILED = "script_failed"
    SCRIPT_TIMEOUT = "script_timeout"
    SCRIPT_UNUSABLE = "script_unusable"
    MANAGER_DOWN = "manager_down"
    INTERNAL = "internal"
    UNAUTHORIZED = "unauthorized"
    GONE = "gone"
    # final
    HTTP_4XX = "http_4xx"
    SMTP_5XX = "smtp_5xx"
    REDIRECT = "redirect"
    TLS = "tls"
    INVALID_URL = "invalid_url"
    INVALID_ALERT = "invalid_alert"
    TOO_LARGE = "too_large"
    WORKER_LOST = "worker_lost"
    NOT_CONFIGURED = "not_configured"
    NOT_AUTHENTIC = "not_authentic"
    BURIED = "buried"
    UNREADABLE = "unreadable"


RENAMED_REASONS: Final = {
    "no_hash": Reason.NO_FILE_HASH,
    "connect": Reason.CONNECTION_FAILED,
    "server": Reason.HTTP_5XX,
    "bad_answer": Reason.INVALID_RESPONSE,
    "auth": Reason.UNAUTHORIZED,
    "client": Reason.HTTP_4XX,
    "bad_url": Reason.INVALID_URL,
    "bad_alert": Reason.INVALID_ALERT,
}
"""Reasons of version 0.1 and their current names. Records and totals in Redis may still hold the old ones."""


def current_reason(reason: str) -> str:
    """Return the current name of a reason that was read from Redis."""
    return RENAMED_REASONS.get(reason, reason)


BREAKER_FAILURES: Final = frozenset(
    {
        Reason.CONNECTION_FAILED,
        Reason.TIMEOUT,
        Reason.HTTP_5XX,
        Reason.TLS,
        Reason.INVALID_RESPONSE,
        Reason.MANAGER_DOWN,
        Reason.SCRIPT_TIMEOUT,
        Reason.SCRIPT_UNUSABLE,
    }
)
"""Failures of the target itself, whatever was sent: they count for the circuit breaker."""

REFUSALS: Final = frozenset(
    {Reason.UNAUTHORIZED, Reason.GONE, Reason.REDIRECT, Reason.INVALID_URL, Reason.NOT_CONFIGURED, Reason.SCRIPT_FAILED}
)
"""Failures of one alert or of the whole integration. Consecutive ones of different deliveries, with no success between
them, mean the integration and count for the breaker."""

BREAKER_NEUTRAL: Final = frozenset(
    {
        *(Reason.RATE_LIMITED, Reason.NOT_READY, Reason.HTTP_4XX, Reason.TOO_LARGE),
        *(Reason.SMTP_4XX, Reason.SMTP_5XX),
    }
)
"""The target rejected or postponed the delivery: it works, but this is not a success either."""


class ManagerEvent(msgspec.Struct, frozen=True):
    """An event for the manager's queue socket.

    `location` is the text between `1:` and the colon, already escaped (spec 7); `message` is the JSON text.
    """

    location: str
    message: str


class Delivered(msgspec.Struct, frozen=True):
    """The service accepted the alert. `events` go to the manager; they are committed together with the settlement.

    `after_s` is a pause of the whole target that the service requested together with the success: its quota is used up.
    """

    events: tuple[ManagerEvent, ...] = ()
    after_s: float | None = None


class Skipped(msgspec.Struct, frozen=True):
    """There is nothing to send for this alert. Counted by reason."""

    reason: Reason
    detail: str = ""


class Retry(msgspec.Struct, frozen=True):
    """The attempt failed; a retry may succeed. `after_s` is the service's Retry-After, which pauses the whole target.

    `detail` is for the operator and contains no secrets. `events` go to the manager now, `final_events` only if the
    delivery becomes a dead letter.
    """

    reason: Reason
    detail: str = ""
    after_s: float | None = None
    events: tuple[ManagerEvent, ...] = ()
    final_events: tuple[ManagerEvent, ...] = ()


class Rejected(msgspec.Struct, frozen=True):
    """No retry can succeed: the delivery becomes a dead letter. `events` go to the manager now."""

    reason: Reason
    detail: str = ""
    events: tuple[ManagerEvent, ...] = ()


class Postponed(msgspec.Struct, frozen=True):
    """Another worker is looking up the same item now. No attempt was made, and none is counted."""

    after_s: float
    events: tuple[ManagerEvent, ...] = ()


Outcome = Delivered | Skipped | Retry | Rejected | Postponed
