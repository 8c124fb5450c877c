"""The closed lists of label values, so that every series exists, at zero, before the first event.

Without the zero, `increase` in Prometheus misses the first failure, and an alert rule on it does not fire.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from common.outcome import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator

SKIPPED: Final = (Reason.NO_FILE_HASH, Reason.NOTHING_TO_LOOK_UP, Reason.RULE_EXCLUDED, Reason.TEST_FAILED)

REASONS_WITHOUT_ATTEMPT: Final = (Reason.WORKER_LOST, Reason.BURIED, Reason.UNREADABLE)
"""Reasons of dead letters that are not the result of an attempt."""

FAILED: Final = tuple(reason for reason in Reason if reason not in (*SKIPPED, *REASONS_WITHOUT_ATTEMPT))

OUTCOMES_WITHOUT_REASON: Final = (
    "delivered",
    "lost",
    "released_again",
    "put_back",
    "postponed",
    "replayed",
    "moved",
    "fell_back",
    "discarded",
    "expired",
    "imported",
)
"""Outcomes in the totals of the ledger that have no reason."""

Pair = tuple[str, str]


def ledger_pairs() -> Iterator[Pair]:
    """Yield each pair of outcome and reason that the totals of the ledger count."""
    yield from ((outcome, "") for outcome in OUTCOMES_WITHOUT_REASON)
    yield from (("skipped", reason) for reason in SKIPPED)
    yield from (("retried", reason) for reason in FAILED)
    yield from (("dead", reason) for reason in (*FAILED, *REASONS_WITHOUT_ATTEMPT))


def attempt_pairs() -> Iterator[Pair]:
    """Yield each pair of outcome and reason that an attempt in a worker can have."""
    yield "delivered", ""
    yield from (("skipped", reason) for reason in SKIPPED)
    yield from ((outcome, reason) for outcome in ("retry", "dead") for reason in FAILED)
