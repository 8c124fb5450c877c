"""The producer's loop: read, match, commit, release; for all integrations that stand at one place at once."""

from __future__ import annotations

import logging
from collections import defaultdict
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from common.broker.dispatcher import LINGER_S, ReleaseTarget
from common.errors import LedgerUnavailable
from common.reports.producer import ForeignWrite
from producer.cursors.assignment import assign_cursors
from producer.filters.decode import InvalidAlert
from producer.filters.index import FilterIndex
from producer.foreign_writes import ForeignWrites
from producer.line_counter import LineCounter
from producer.salvage import salvage_alerts
from producer.status_report import StatusReporter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from redis import Redis

    from common.broker.dispatcher import Dispatcher
    from common.integration import Integration
    from common.ledger import Ledger
    from common.registry.published import PublishedRegistry
    from common.settings.schema import Policy
    from producer.config_file import ConfigFile
    from producer.cursors.backup import CursorBackup
    from producer.cursors.signatures import CursorSigner
    from producer.cursors.subscription import Subscription
    from producer.log_lines import LogLine
    from producer.metrics import ProducerMetrics
    from producer.quarantine import Quarantine
    from producer.source import Batch, Source

    Matches = defaultdict[str, list[LogLine]]

BATCH_BYTES: Final = 1024 * 1024
MAX_READS_PER_COMMIT: Final = 4
COMMIT_BYTES: Final = 64 * 1024
"""A commit costs a round trip, however little is in it. So up to so many batches are read before what they have for
each integration is committed, unless what they have is that much for each on average; of a batch only what matches is
kept meanwhile."""

REGISTRY_CHECK_S: Final = 5.0
"""How often it is made sure that the published integrations are still there. More often only costs; two producers with
different secret keys, which take each other's for damage, do not fill the logs."""

IDLE_WAIT_S: Final = 1.0
RETRY_DELAY_S: Final = 1.0
HEARTBEAT_S: Final = 1.0
COALESCE_FROM: Final = 4
"""While there is more to read, an integration that gets so many or more is dispatched when they fill a task, or after
the linger: else a flood over many integrations is cut into tasks that carry few ids each."""

_log = logging.getLogger("courier.producer")


class Start(NamedTuple):
    """Where the log ended when the command was started, and what returns the cursor of another moment."""

    cursor: str
    at: Callable[[datetime], str]


class Producer:
    """Follows one manager node's alert log for the integrations of its ossec.conf. `now` is monotonic, in seconds."""

    def __init__(
        self,
        *,
        node: str,
        source: Source,
        config: ConfigFile,
        registry: PublishedRegistry,
        policy: Callable[[Integration], Policy],
        ledger: Ledger,
        dispatcher: Dispatcher,
        client: Redis,
        quarantine: Quarantine,
        cursor_backup: CursorBackup,
        signer: CursorSigner,
        now: Callable[[], float],
        metrics: ProducerMetrics | None = None,
        start: Start | None = None,
    ) -> None:
        """Take the parts and read the configuration. Raises ConfigError if the file cannot be read at all.

        Without a `start`, "end" is where the log ends when an integration begins.
        """
        self._node, self._source, self._config, self._registry = node, source, config, registry
        self._policy, self._ledger, self._dispatcher = policy, ledger, dispatcher
        self._quarantine, self._now, self._metrics, self._signer = quarantine, now, metrics, signer
        self._subscriptions: dict[str, Subscription] | None = None
        self._start, self._changed = start, False
        self._cursor_backup, self._remembered = cursor_backup, cursor_backup.load()
        self._line_counter = LineCounter()
        self._foreign = ForeignWrites(self._line_counter.counts, now)
        self._status_reporter = StatusReporter(
            node=node,
            source=source,
            config=config,
            ledger=ledger,
            client=client,
            counts=self._line_counter.counts,
            metrics=metrics,
        )
        self._undispatched: defaultdict[str, int] = defaultdict(int)
        self._coalescing_since_s = now()
        self._intake_paused = ""
        self._heartbeat_at_s = self._registry_checked_at_s = now()
        self._reload_requested = False
        self._configure(config.load())

    def run(
        self, wait: Callable[[float], object], pause: Callable[[float], object], stopped: Callable[[], bool]
    ) -> None:
        """Follow the log until `stopped`; `wait` returns after so many seconds or when the log has changed.

        `pause` returns after so many seconds, however much is written meanwhile.

        While Redis is away nothing is read: the alert log keeps what comes. Raises LedgerMisconfigured and
        SettingsError.
        """
        away = False
        while not stopped():
            try:
                busy = self.run_once()
                if self._metrics:
                    self._metrics.step_succeeded()
                if away:
                    _log.info("Redis is back")
                    away = False
            except LedgerUnavailable as error:
                if not away:
                    _log.error("%s; waiting, the alert log keeps the alerts", error)
                away = True
                if self._metrics:
                    self._metrics.redis_down()
                self._reload_cursors()
                pause(RETRY_DELAY_S)
            else:
                if not busy:
                    wait(IDLE_WAIT_S)
        self._flush_cursors()

    def run_once(self) -> bool:
        """Read on at every place where a member stands. Return whether there is more to read at once."""
        now_s = self._now()
        if self._subscriptions is not None and now_s - self._heartbeat_at_s >= HEARTBEAT_S:
            self._heartbeat_at_s = now_s
            self._heartbeat()
        if self._subscriptions is None:
            self._subscriptions = self._assign_cursors()
        busy = False
        if due := now_s - self._coalescing_since_s >= LINGER_S:
            self._coalescing_since_s = now_s
        for cursor, members in self._by_cursor(now_s).items() if not self._intake_paused else ():
            matches, after, at_end = self._read(cursor)
            busy = busy or not at_end
            self._commit(members, matches, after, now_s, flush=due or at_end)
        return self._redis_lost_cursors() or busy

    def request_reload(self) -> None:
        """Have the configuration read again at the next heartbeat, even if it looks unchanged; safe in a handler."""
        self._reload_requested = True

    def _configure(self, integrations: Sequence[Integration]) -> None:
        self._integrations = integrations
        self._index = FilterIndex(integrations)

    def _apply_config(self, integrations: Sequence[Integration] | None) -> None:
        if integrations is not None:
            self._flush_cursors()
            self._configure(integrations)
            self._changed = True
            self._reload_cursors()

    def _reload_cursors(self) -> None:
        """Let the next step begin at the cursors that Redis holds: it may be a second younger than we remember."""
        self._remembered |= {i: m.committed or m.cursor for i, m in (self._subscriptions or {}).items()}
        self._subscriptions = None

    def _redis_lost_cursors(self) -> bool:
        """Say whether Redis has lost a cursor: it was emptied, so all is published anew, with the remembered places."""
        lost = any(not member.committed for member in (self._subscriptions or {}).values())
        if lost:
            self._reload_cursors()
        return lost

    def _assign_cursors(self) -> dict[str, Subscription]:
        for warning in self._ledger.check_server():
            _log.warning("%s", warning)
        members = assign_cursors(
            self._integrations,
            node=self._node,
            ledger=self._ledger,
            registry=self._registry,
            source=self._source,
            policy=self._policy,
            remembered=self._remembered,
            signer=self._signer,
            end=self._end_cursor,
            all_known=self._config.is_complete,
        )
        left_out = {one.id for one in self._integrations} - members.keys()
        self._remembered = {i: cursor for i, cursor in self._remembered.items() if i in left_out}
        return members

    def _end_cursor(self) -> str:
        """Return where "end" is for an integration that never ran: when it was added, or the command was started.

        It was added when the file changed last, if that was while this producer ran or after a former one ended.
        """
        if not self._start:
            return self._source.end()
        saved_at_s = self._cursor_backup.saved_at_s
        if self._changed or (saved_at_s is not None and self._config.changed_at_s > saved_at_s):
            return self._start.at(datetime.fromtimestamp(self._config.changed_at_s, UTC))
        return self._start.cursor

    def _by_cursor(self, now_s: float) -> dict[str, list[Subscription]]:
        places: defaultdict[str, list[Subscription]] = defaultdict(list)
        for member in (self._subscriptions or {}).values():
            if member.is_ready(self._ledger, now_s):
                places[member.cursor].append(member)
        return places

    def _flush_cursors(self) -> None:
        """Write the cursors that were held back, so that the next start has nothing to read again."""
        try:
            for member in (self._subscriptions or {}).values():
                member.flush(self._ledger, self._node, self._now())
            self._publish_status()
        except LedgerUnavailable as error:
            _log.warning("the last cursors could not be written: %s; some alerts are read again", error)

    def _read(self, cursor: str) -> tuple[Matches, str, bool]:
        """Return what each integration gets of what comes next, the cursor behind it, and whether that is the end."""
        matches: Matches = defaultdict(list)
        size = 0
        for _ in range(MAX_READS_PER_COMMIT):
            batch = self._source.read(cursor, BATCH_BYTES)
            size += self._match(batch, matches)
            cursor = batch.cursor
            if batch.at_end or size >= COMMIT_BYTES * len(matches):
                break
        return matches, cursor, batch.at_end

    def _commit(
        self, members: Sequence[Subscription], matches: Matches, after: str, now_s: float, *, flush: bool
    ) -> None:
        for member in members:
            ours = matches.get(member.integration.id, [])
            stored = member.commit_matches(self._ledger, self._node, ours, after, now_s)
            self._line_counter.counts["matched"] += stored
            self._undispatched[member.integration.id] += stored
        self._dispatch(members, flush=flush)

    def _dispatch(self, members: Sequence[Subscription], *, flush: bool) -> None:
        """Dispatch what was committed; if this ends before, the workers do it within a second."""
        outlets = []
        for member in members:
            number = self._undispatched[member.integration.id]
            if number and (flush or not COALESCE_FROM <= number < member.policy.batch_max):
                del self._undispatched[member.integration.id]
                target = self._registry.target(member.integration)
                outlets.append(ReleaseTarget.of(member.integration.id, member.policy, target))
        if outlets:
            self._dispatcher.dispatch_all(outlets)

    def _match(self, batch: Batch, matches: Matches) -> int:
        """Add what each integration gets, and count the lines. Return the bytes that were added, each line's once."""
        size = 0
        number, lines = self._index.prefilter(batch.lines)
        for line in lines:
            try:
                ids = self._index.match(line.raw)
            except InvalidAlert as bad:
                size += self._match_damaged(line, bad, matches)
                continue
            if self._index.type_errors:
                self._count_type_errors(line)
            for integration_id in ids:
                matches[integration_id].append(line)
            size += len(line.raw) if ids else 0
        for passed in batch.skipped:
            if not batch.lines or self._line_counter.is_new(batch.lines[-1]):
                self._reject(passed.reason, passed.detail, passed.sample)
        self._line_counter.count(batch.lines, number)
        return size

    def _match_damaged(self, line: LogLine, bad: InvalidAlert, matches: Matches) -> int:
        """Add the whole alerts of a line that is none, and keep the line. Return the bytes that were added."""
        whole, size = salvage_alerts(line), 0
        for part in whole:
            with suppress(InvalidAlert):
                ids = self._index.match(part.raw)
                for integration_id in ids:
                    matches[integration_id].append(part)
                size += len(part.raw) if ids else 0
        self._index.type_errors.clear()
        if self._line_counter.is_new(line):
            where = f"byte {line.start} of the log file with fingerprint {line.file}"
            read = f"; {len(whole)} whole alert(s) of it were read" if whole else ""
            self._reject(bad.reason, f"{bad}, at {where}{read}", line.raw)
        return size

    def _count_type_errors(self, line: LogLine) -> None:
        if self._line_counter.is_new(line):
            self._line_counter.counts.update(f"wrong_type:{field}" for field in self._index.type_errors)
        self._index.type_errors.clear()

    def _reject(self, reason: str, detail: str, sample: bytes) -> None:
        self._line_counter.counts[f"bad:{reason}"] += 1
        self._quarantine.add(reason, detail, sample)

    def _heartbeat(self) -> None:
        """Once a second: follow the configuration, make sure that the cursors are still ours, and tell how it goes."""
        forced, self._reload_requested = self._reload_requested, False
        self._apply_config(self._config.reload(forced=forced))
        if (members := self._subscriptions) is None:
            return
        left_out = {one.id for one in self._integrations} - members.keys()
        cursors = self._ledger.cursors([*members, *left_out], self._node)
        for integration_id in cursors.keys() & members.keys():
            members[integration_id].verify_cursor(cursors[integration_id])
        if self._redis_lost_cursors():
            return
        if cursors.keys() & left_out:  # they were damaged, and can be read again
            self._reload_cursors()
            return
        self._repair_registry()
        kept = {i: cursor for i, cursor in self._remembered.items() if i in left_out}
        self._cursor_backup.save(kept | {i: member.committed for i, member in members.items()})
        self._pause_intake(self._ledger.intake_block_reason())
        self._publish_status()

    def _repair_registry(self) -> None:
        now_s = self._now()
        if now_s - self._registry_checked_at_s < REGISTRY_CHECK_S:
            return
        self._registry_checked_at_s = now_s
        if self._registry.repair(self._node, self._integrations):
            self._foreign.record(ForeignWrite.REGISTRY)
            _log.error("the published integrations were missing or changed by somebody else: published again")

    def _pause_intake(self, why: str) -> None:
        """Stop reading while Redis should take nothing more; say so when it begins and when it ends."""
        if why and not self._intake_paused:
            _log.error("%s; nothing is enqueued until then, the alert log keeps the alerts", why)
        elif self._intake_paused and not why:
            _log.info("Redis can take alerts again")
        self._intake_paused = why

    def _publish_status(self) -> None:
        members = (self._subscriptions or {}).values()
        for member in members:
            if member.forged:
                self._foreign.record(ForeignWrite.CURSOR, member.forged)
                member.forged = 0
        self._status_reporter.publish(members, intake_paused=self._intake_paused, foreign_writes=self._foreign.recent())
