"""A test through the real path: commit, release, queue, a worker that serves the integration, settle.

The commit is that of the producer and of `replay-log`, with a reader of its own whose cursor stays empty: no cursor
moves. It bypasses filters, silences and the limit of the backlog. Workers release, once a second.

Where the ids come from and how a worker treats them is in `common/delivery_test.py` and
`workers/delivery/test_attempt.py`.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from common.delivery_test import new_test_id
from common.errors import CourierError, LedgerDamaged
from common.integration import MANAGER_ID
from ops.admin.delivery_test.result import DeliveryTestResult, Outcome, Steps
from ops.admin.delivery_test.why import why_not_sent
from workers.delivery import test_report

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from random import Random

    from common.ledger import Position
    from ops.admin.session import LedgerSession

READER: Final = "test:"
"""The field of the cursors that the commit of a test reads and writes: always empty, and deleted afterwards. The name
of a node has no colon at its end."""

POLL_S: Final = 0.05
WHY_S: Final = 1.0
"""How long a test waits before its first explanation, and between two of them."""

REPORT_S: Final = 2.0
"""How long to wait for the report of a delivery that is settled: the worker writes it before it settles."""

UNLIMITED: Final = 2**53


class _Pending(NamedTuple):
    delivery_id: str
    began_ms: int
    committed_ms: int


class QueuedTests:
    """Tests of several integrations at once. `on_wait` is called with an id and why its test has not been sent yet.

    `clock` is monotonic; `sleep` and `clock` are in seconds.
    """

    def __init__(
        self,
        session: LedgerSession,
        *,
        timeout_s: float,
        random: Random,
        on_wait: Callable[[str, str], None] = lambda *_: None,
        sleep: Callable[[float], object] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._session, self._timeout_s, self._random = session, timeout_s, random
        self._on_wait, self._sleep, self._clock = on_wait, sleep, clock
        self._pending: dict[str, _Pending] = {}
        self._released_ms: dict[str, int] = {}
        self._gone_s: dict[str, float] = {}

    def run(self, ids: Sequence[str], alert: bytes) -> Iterator[DeliveryTestResult]:
        """Send the alert for each integration; yield each result as soon as it is known.

        Tests that no worker has begun when the time is over, or when the caller stops, are withdrawn. Raises
        CourierError for `manager`, LedgerUnavailable and LedgerMisconfigured.
        """
        if MANAGER_ID in ids:
            raise CourierError(
                f"{MANAGER_ID} is built in and accepts only signed events of Courier; "
                "`courier status` shows whether it delivers them"
            )
        deadline_s = self._clock() + self._timeout_s
        try:
            for integration_id in ids:
                try:
                    self._pending[integration_id] = self._commit(integration_id, alert)
                except LedgerDamaged as error:
                    yield DeliveryTestResult(
                        integration=integration_id, delivery="", outcome=Outcome.NOT_SENT, why=str(error)
                    )
            next_why_s = self._clock() + WHY_S
            while self._pending and self._clock() < deadline_s:
                yield from self._poll()
                if self._clock() >= next_why_s:
                    next_why_s = self._clock() + WHY_S
                    self._explain()
                self._sleep(POLL_S)
            for integration_id in [*self._pending]:
                yield self._give_up(integration_id)
        finally:
            for integration_id in self._pending:
                self._withdraw(integration_id)

    def _commit(self, integration_id: str, alert: bytes) -> _Pending:
        ledger, delivery_id = self._session.ledger, new_test_id(self._random)
        began_ms = ledger.now_ms()
        ledger.commit(
            integration_id,
            node=READER,
            expected="",
            cursor="",
            deliveries=[(delivery_id, alert)],
            max_backlog=UNLIMITED,
            max_backlog_bytes=UNLIMITED,
            counters={"read": 1},  # as a replay of the log counts: what it enqueues was read
        )
        committed_ms = ledger.now_ms()
        ledger.forget_cursor(integration_id, READER)
        return _Pending(delivery_id, began_ms, committed_ms)

    def _poll(self) -> Iterator[DeliveryTestResult]:
        for integration_id in [*self._pending]:
            position = self._position(integration_id)
            if position is None or position.is_dead:
                if result := self._ended(integration_id, position):
                    yield result
            elif position.ahead is None:
                self._released_ms.setdefault(integration_id, self._session.ledger.now_ms())

    def _position(self, integration_id: str) -> Position | None:
        """Return where the delivery is, None if the ledger does not have it, or if its keys have been damaged since."""
        try:
            return self._session.ledger.position(integration_id, self._pending[integration_id].delivery_id)
        except LedgerDamaged:
            return None

    def _withdraw(self, integration_id: str) -> bool:
        try:
            ids = [self._pending[integration_id].delivery_id]
            return self._session.ledger.withdraw_tests(integration_id, ids) > 0
        except LedgerDamaged:
            return False

    def _explain(self) -> None:
        for integration_id in self._pending:
            position = self._position(integration_id)
            if position and (why := why_not_sent(self._session, integration_id, position)):
                self._on_wait(integration_id, why)

    def _ended(self, integration_id: str, position: Position | None) -> DeliveryTestResult | None:
        """Return the result of a delivery that has left the backlog, None if its report may still come."""
        pending = self._pending[integration_id]
        report = test_report.fetch(self._session.client, integration_id, pending.delivery_id)
        if report is None and self._clock() < self._gone_s.setdefault(integration_id, self._clock()) + REPORT_S:
            return None
        del self._pending[integration_id]
        steps = self._steps(integration_id, pending, settled_ms=self._session.ledger.now_ms())
        if report is None:
            why = (
                "it became a dead letter: `courier dead list` shows why, and `courier dead discard` deletes it"
                if position
                else "it left the ledger without a report: its worker has an earlier version, or Redis lost data"
            )
            return DeliveryTestResult(
                integration=integration_id, delivery=pending.delivery_id, outcome=Outcome.UNKNOWN, why=why, steps=steps
            )
        if report.begun_ms:
            begun_ms = max(0, report.begun_ms - pending.began_ms)
            seen_ms = steps.released_ms
            steps = msgspec.structs.replace(
                steps,
                released_ms=None if seen_ms is None else min(seen_ms, begun_ms),  # it was seen by the next poll only
                begun_ms=begun_ms,
                sent_ms=begun_ms + report.attempt_ms,
            )
        return DeliveryTestResult.of(integration_id, pending.delivery_id, report, steps)

    def _give_up(self, integration_id: str) -> DeliveryTestResult:
        """Withdraw a test whose time is over. One that a worker has begun cannot be withdrawn."""
        position = self._position(integration_id)
        why = why_not_sent(self._session, integration_id, position) if position else ""
        withdrawn = self._withdraw(integration_id)
        pending = self._pending.pop(integration_id)
        return DeliveryTestResult(
            integration=integration_id,
            delivery=pending.delivery_id,
            outcome=Outcome.NOT_SENT if withdrawn else Outcome.UNKNOWN,
            why=why or "the time was over just before its report arrived",
            steps=self._steps(integration_id, pending),
        )

    def _steps(self, integration_id: str, pending: _Pending, *, settled_ms: int | None = None) -> Steps:
        released_ms = self._released_ms.get(integration_id)
        return Steps(
            committed_ms=max(0, pending.committed_ms - pending.began_ms),
            released_ms=None if released_ms is None else max(0, released_ms - pending.began_ms),
            settled_ms=None if settled_ms is None else max(0, settled_ms - pending.began_ms),
        )
