"""The producer's loop: read, match, commit, release; for all integrations that stand at one place at once."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Final

from common.errors import LedgerUnavailable
from common.node import report
from producer.filters import FilterIndex
from producer.line import BadLine
from producer.members import Match, Member

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from common.settings import Policy
    from redis import Redis

    from common.dispatch import Dispatcher
    from common.integration import Integration
    from common.ledger import Ledger
    from producer.alertlog import AlertLog, Batch, Position

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
        log: AlertLog,
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
                places[member.position.encode()].append(member)
        for members in places.values():
            batch = self._log.read(members[0].position, BATCH_BYTES)
            busy = busy or not batch.at_end
            self._advance(members, batch, now_s)
        return busy

    def _take_cursors(self) -> None:
        members = {}
        for integration in self._integrations:
            policy = self._policy(integration)
            cursor = self._ledger.cursor(integration.id, self._node)
            position = self._log.decode(cursor) if cursor else self._start(policy)
            members[integration.id] = Member(integration, policy, position, cursor)
        self._members = members

    def _start(self, policy: Policy) -> Position:
        return self._log.beginning() if policy.start_at == "beginning" else self._log.end()

    def _advance(self, members: Sequence[Member], batch: Batch, now_s: float) -> None:
        matches = self._matches(batch)
        for member in members:
            ours = matches.get(member.integration.id, [])
            stored = member.advance(self._ledger, self._node, ours, batch.position, now_s)
            self._counts["matched"] += stored
            if stored:
                self._dispatcher.dispatch(member.integration.id, member.policy)

    def _matches(self, batch: Batch) -> dict[str, list[Match]]:
        matches: defaultdict[str, list[Match]] = defaultdict(list)
        for line in batch.lines:
            try:
                ids = self._index.match(line.raw)
            except BadLine as bad:
                self._count_bad(bad)
                continue
            for integration_id in ids:
                delivery_id = f"{self._node}:{line.fingerprint}:{line.start:010x}"
                matches[integration_id].append(Match(delivery_id, line.raw, batch.after(line)))
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
