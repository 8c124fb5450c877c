"""The producer's loop: read, match, commit, release; for all integrations that stand at one place at once."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from datetime import datetime
from typing import TYPE_CHECKING, Final

from common.errors import LedgerUnavailable
from common.node import report
from common.settings_schema import Start
from producer.filters import FilterIndex
from producer.line import BadLine
from producer.members import Member

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from redis import Redis

    from common.dispatch import Dispatcher
    from common.integration import Integration
    from common.ledger import Ledger
    from common.settings_schema import Policy
    from producer.source import Batch, Line, Source

BATCH_BYTES: Final = 1024 * 1024
IDLE_WAIT_S: Final = 1.0
RETRY_PAUSE_S: Final = 1.0
REPORT_EVERY_S: Final = 1.0

_log = logging.getLogger("courier.producer")


class Producer:
    """Follows one manager node's alert log for these integrations. `now` returns seconds, monotonic."""

    def __init__(
        self,
        *,
        node: str,
        log: Source,
        integrations: Sequence[Integration],
        policy: Callable[[Integration], Policy],
        ledger: Ledger,
        dispatcher: Dispatcher,
        client: Redis,
        now: Callable[[], float],
    ) -> None:
        self._node, self._log, self._ledger, self._dispatcher = node, log, ledger, dispatcher
        self._integrations, self._policy, self._client, self._now = integrations, policy, client, now
        self._index = FilterIndex(integrations)
        self._members: dict[str, Member] = {}
        self._counts: Counter[str] = Counter()
        self._reported_at_s = 0.0

    def run(self, wait: Callable[[float], object], stopped: Callable[[], bool]) -> None:
        """Follow the log until `stopped`; `wait` returns after so many seconds or when the log has changed.

        While Redis is away nothing is read: the alert log keeps what comes. Raises LedgerUnfit and SettingsError.
        """
        away = False
        while not stopped():
            try:
                if not self._members:
                    self._take_cursors()
                    if away:
                        _log.info("Redis is back")
                        away = False
                idle = not self.step()
                self._tell()
            except LedgerUnavailable as error:
                if not away:
                    _log.error("%s; waiting, the alert log keeps the alerts", error)
                away = True
                # The next start is from the cursors that Redis holds: it may be a second younger than we remember.
                self._members = {}
                wait(RETRY_PAUSE_S)
            else:
                if idle:
                    wait(IDLE_WAIT_S)
        self._leave()

    def _leave(self) -> None:
        """Write the cursors that were held back, so that the next start has nothing to read again."""
        try:
            for member in self._members.values():
                member.flush(self._ledger, self._node, self._now())
        except LedgerUnavailable as error:
            _log.warning("the last cursors could not be written: %s; some alerts are read again", error)

    def step(self) -> bool:
        """Read one batch at every place where a member stands. Return whether anything was there to read."""
        now_s, busy = self._now(), False
        places: defaultdict[str, list[Member]] = defaultdict(list)
        for member in self._members.values():
            if member.parked_until_s <= now_s:
                places[member.cursor].append(member)
        for members in places.values():
            batch = self._log.read(members[0].cursor, BATCH_BYTES)
            busy = busy or not batch.at_end
            self._advance(members, batch, now_s)
        return busy

    def _take_cursors(self) -> None:
        members = {}
        for integration in self._integrations:
            policy = self._policy(integration)
            cursor = self._ledger.cursor(integration.id, self._node)
            members[integration.id] = Member(integration, policy, cursor or self._start(policy), cursor)
        self._members = members

    def _start(self, policy: Policy) -> str:
        match policy.start_at:
            case datetime() as moment:
                return self._log.at(moment)
            case Start.BEGINNING:
                return self._log.beginning()
            case Start.END:
                return self._log.end()

    def _advance(self, members: Sequence[Member], batch: Batch, now_s: float) -> None:
        for passed in batch.passed:
            self._counts[f"passed:{passed.loss}"] += 1
            _log.error("%s", passed.detail, extra={"loss": str(passed.loss)})
        matches = self._matches(batch)
        for member in members:
            ours = matches.get(member.integration.id, [])
            stored = member.advance(self._ledger, self._node, ours, batch.cursor, now_s)
            self._counts["matched"] += stored
            if stored:
                self._dispatcher.dispatch(member.integration.id, member.policy)

    def _matches(self, batch: Batch) -> dict[str, list[Line]]:
        matches: defaultdict[str, list[Line]] = defaultdict(list)
        for line in batch.lines:
            try:
                ids = self._index.match(line.raw)
            except BadLine as bad:
                self._count_bad(bad)
                continue
            for integration_id in ids:
                matches[integration_id].append(line)
        self._counts["lines"] += len(batch.lines)
        return matches

    def _count_bad(self, bad: BadLine) -> None:
        self._counts[f"bad:{bad.reason}"] += 1

    def _tell(self) -> None:
        now_s = self._now()
        if now_s - self._reported_at_s >= REPORT_EVERY_S:
            parked = sorted(m.integration.id for m in self._members.values() if m.parked)
            report(self._client, self._node, added=self._counts, texts={"parked": ",".join(parked)})
            self._counts.clear()
            self._reported_at_s = now_s
