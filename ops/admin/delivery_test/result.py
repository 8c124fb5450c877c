"""What `courier test` found out about one integration. `--json` writes exactly this."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from workers.delivery.test_report import CallReport, DeliveryTestReport


class Outcome(StrEnum):
    """How a test ended."""

    DELIVERED = "delivered"
    SKIPPED = "skipped"
    """The service module had nothing to send for this alert."""
    FAILED = "failed"
    NOT_SENT = "not_sent"
    """No worker sent it in time. It was withdrawn, so it is not sent later either."""
    UNKNOWN = "unknown"
    """It may have been sent: a worker began it and has not reported its end."""


class Steps(msgspec.Struct, frozen=True, kw_only=True):
    """When each step was done, in ms after the start of the commit, by the ledger's clock; None if it was not seen.

    `released` and `settled` are seen by polling, so they are up to 0.1 s late. A release that is followed by the begin
    at once is not seen. `sent` is when the last call had a response. A direct test has only `sent`.
    """

    committed_ms: int | None = None
    released_ms: int | None = None
    begun_ms: int | None = None
    sent_ms: int | None = None
    settled_ms: int | None = None


class DeliveryTestResult(msgspec.Struct, frozen=True, kw_only=True):
    """The result for one integration. `why` is why nothing was sent or reported, as text for an operator.

    `status` is the HTTP or exit status of the last response, `duration_ms` the time that the calls took.
    """

    integration: str
    delivery: str
    outcome: Outcome
    reason: str = ""
    detail: str = ""
    why: str = ""
    status: int | None = None
    duration_ms: int | None = None
    worker: str = ""
    steps: Steps = Steps()
    calls: tuple[CallReport, ...] = ()

    @classmethod
    def of(cls, integration: str, delivery: str, report: DeliveryTestReport, steps: Steps) -> DeliveryTestResult:
        """Return the result of a report. One with an unknown outcome counts as failed."""
        known = report.outcome in {Outcome.DELIVERED, Outcome.SKIPPED}
        return cls(
            integration=integration,
            delivery=delivery,
            outcome=Outcome(report.outcome) if known else Outcome.FAILED,
            reason=report.reason,
            detail=report.detail,
            status=report.status,
            duration_ms=report.duration_ms,
            worker=report.worker,
            steps=steps,
            calls=report.calls,
        )
