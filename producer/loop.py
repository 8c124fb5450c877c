"""The producer's loop: read, match, commit, release; once for all integrations at the same cursor."""

from __future__ import annotations

import logging
from collections import defaultdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from common.errors import LedgerUnavailable
from common.logs import Condition
from common.reports.producer import EXCEPTED, ForeignWrite
from producer.committer import Committer
from producer.cursors.assignment import assign_cursors
from producer.digests.folder import set_folders
from producer.foreign_writes import ForeignWrites
from producer.group_commit import GroupWindow
from producer.holds import Holds
from producer.matching import Matcher
from producer.read_ahead import read_ahead
from producer.registry_repair import RegistryRepair
from producer.silences import Silences
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
    from producer.health import ProducerHealth
    from producer.metrics import ProducerMetrics
    from producer.quarantine import Quarantine
    from producer.source import Source

IDLE_WAIT_S: Final = 1.0
RETRY_DELAY_S: Final = 1.0
HEARTBEAT_S: Final = 1.0

_log = logging.getLogger("courier.producer")


class Start(NamedTuple):
    """The cursor of the source's end when the command was started, and a function for the cursor of another time."""

    cursor: str
    at: Callable[[datetime], str]


class Producer:
    """Follows one manager node's alerts for the integrations of its ossec.conf. `now` is monotonic, in seconds."""

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
        commit_delay_s: float,
        metrics: ProducerMetrics | None = None,
        start: Start | None = None,
        health: ProducerHealth | None = None,
    ) -> None:
        """Read the configuration. Raises ConfigError if the file cannot be read at all.

        `commit_delay_s` is the longest time that alerts are gathered before a commit. Without a `start`,
        `start_at = "end"` is the end of the source when an integration is first assigned a cursor.
        """
        self._node, self._source, self._config, self._registry = node, source, config, registry
        self._policy, self._ledger = policy, ledger
        self._now, self._metrics, self._signer = now, metrics, signer
        self._subscriptions: dict[str, Subscription] | None = None
        self._start, self._changed = start, False
        self._health = health
        self._cursor_backup, self._remembered = cursor_backup, cursor_backup.load()
        self._integrations: Sequence[Integration] = config.load()
        self._matcher = Matcher(self._integrations, quarantine, config.conditions, config.agents)
        counts = self._matcher.counts
        self._foreign = ForeignWrites(counts, now)
        self._registry_repair = RegistryRepair(node, registry, policy, self._foreign, now)
        self._status_reporter = StatusReporter(
            node=node, source=source, config=config, ledger=ledger, client=client, counts=counts, metrics=metrics
        )
        self._silences = Silences(client, ledger, node, now)
        self._committer = Committer(node, registry, dispatcher, Holds(ledger.now_ms, config), now())
        self._window = GroupWindow(commit_delay_s)
        self._intake_paused = ""
        self._intake_condition = Condition(_log, logging.ERROR)
        self._redis_unavailable = Condition(_log, logging.ERROR)
        self._heartbeat_at_s = now()
        self._reload_requested = False

    def run(self, pause: Callable[[float], object], stopped: Callable[[], bool]) -> None:
        """Follow the source until `stopped()`. `pause(s)` takes `s` seconds.

        While Redis is unavailable nothing is read: alerts stay in the source.
        Raises LedgerMisconfigured and SettingsError.
        """
        while not stopped():
            try:
                busy = self.run_once()
                if self._metrics:
                    self._metrics.step_succeeded()
                self._redis_unavailable.clear("Redis is available again")
            except LedgerUnavailable as error:
                self._redis_unavailable.set(f"{error}; waiting for Redis; alerts stay in the alert log")
                if self._metrics:
                    self._metrics.redis_down()
                if self._health:
                    self._health.unavailable(error)
                self._reload_cursors()
                pause(RETRY_DELAY_S)
            else:
                if not busy:
                    self._source.wait(IDLE_WAIT_S)
                    pause(self._window.left_s(self._now()))
        self._flush_cursors()

    def run_once(self) -> bool:
        """Read once at each distinct cursor. Return whether there is more to read without waiting."""
        now_s = self._now()
        if self._subscriptions is not None and now_s - self._heartbeat_at_s >= HEARTBEAT_S:
            self._heartbeat_at_s = now_s
            self._heartbeat()
        if self._subscriptions is None:
            self._subscriptions = self._assign_cursors()
            self._silences.refresh(self._config, self._subscriptions.values())
        busy, is_due = False, self._committer.is_due(now_s)
        # A copy of the subscriptions by cursor, since a commit moves their cursors.
        for cursor, subscriptions in self._by_cursor(now_s).items() if not self._intake_paused else ():
            self._matcher.running = self._silences.running()
            folding = [one.integration.id for one in subscriptions if one.folder]
            reading, after, at_end = read_ahead(self._source, self._matcher, cursor, folding)
            busy = busy or not at_end
            stored = self._committer.commit(subscriptions, reading, after, now_s, flush=is_due or at_end)
            self._matcher.counts["matched"] += stored
            self._window.start(max(map(len, reading.matches.values()), default=0), now_s)
        return self._redis_lost_cursors() or busy

    def request_reload(self) -> None:
        """Read the configuration at the next heartbeat, even if the file seems unchanged. Safe in signal handlers."""
        self._reload_requested = True

    def _apply_config(self, integrations: Sequence[Integration] | None) -> None:
        if integrations is not None:
            self._flush_cursors()
            self._integrations = integrations
            self._matcher.configure(integrations, self._config.conditions, self._config.agents)
            self._changed = True
            self._reload_cursors()

    def _reload_cursors(self) -> None:
        """Read the cursors from Redis before the next step: they can be up to a second older than those in memory."""
        self._remembered |= {i: m.committed or m.cursor for i, m in (self._subscriptions or {}).items()}
        self._subscriptions = None

    def _redis_lost_cursors(self) -> bool:
        """Say whether Redis has lost a cursor. If so, everything is published again with the remembered cursors."""
        lost = any(not subscription.committed for subscription in (self._subscriptions or {}).values())
        if lost:
            self._reload_cursors()
        return lost

    def _assign_cursors(self) -> dict[str, Subscription]:
        for warning in self._ledger.check_server():
            _log.warning("%s", warning)
        subscriptions = assign_cursors(
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
        set_folders(subscriptions, self._config, self._ledger)
        left_out = {one.id for one in self._integrations} - subscriptions.keys()
        self._remembered = {i: cursor for i, cursor in self._remembered.items() if i in left_out}
        return subscriptions

    def _end_cursor(self) -> str:
        """Return the "end" for a new integration: the log's end when it was added, or when the command was started.

        It was added at the last change of the file, if that was after this producer started or the previous one saved.
        """
        if not self._start:
            return self._source.end()
        saved_at_s = self._cursor_backup.saved_at_s
        if self._changed or (saved_at_s is not None and self._config.changed_at_s > saved_at_s):
            return self._start.at(datetime.fromtimestamp(self._config.changed_at_s, UTC))
        return self._start.cursor

    def _by_cursor(self, now_s: float) -> dict[str, list[Subscription]]:
        grouped: defaultdict[str, list[Subscription]] = defaultdict(list)
        for subscription in (self._subscriptions or {}).values():
            if subscription.is_ready(self._ledger, now_s):
                grouped[subscription.cursor].append(subscription)
        return grouped

    def _flush_cursors(self) -> None:
        """Write the cursors that are not committed yet, so that the next start reads nothing again."""
        try:
            self._committer.flush_cursors((self._subscriptions or {}).values(), self._now())
            self._publish_status()
        except LedgerUnavailable as error:
            _log.warning("last cursors not written: %s; some alerts will be read again", error)

    def _heartbeat(self) -> None:
        """Once a second: reload a changed configuration, verify the cursors in Redis, and publish the status."""
        forced, self._reload_requested = self._reload_requested, False
        self._apply_config(self._config.reload(forced=forced))
        if (subscriptions := self._subscriptions) is None:
            return
        left_out = {one.id for one in self._integrations} - subscriptions.keys()
        cursors = self._ledger.cursors([*subscriptions, *left_out], self._node)
        for integration_id in cursors.keys() & subscriptions.keys():
            subscriptions[integration_id].verify_cursor(cursors[integration_id])
        if self._redis_lost_cursors():
            return
        if cursors.keys() & left_out:  # their keys in Redis were damaged, and are valid again
            self._reload_cursors()
            return
        self._silences.refresh(self._config, subscriptions.values())
        self._registry_repair.check(self._integrations)
        kept = {i: cursor for i, cursor in self._remembered.items() if i in left_out}
        self._cursor_backup.save(kept | {i: subscription.committed for i, subscription in subscriptions.items()})
        self._pause_intake(self._ledger.intake_block_reason())
        self._publish_status()

    def _pause_intake(self, why: str) -> None:
        """Pause reading while there is a reason for it; an empty `why` resumes it."""
        if why:  # a field, since it holds a size that changes every second
            self._intake_condition.set("intake paused; alerts stay in the alert log", extra={"reason": why})
        else:
            self._intake_condition.clear("intake resumed")
        self._intake_paused = why

    def _publish_status(self) -> None:
        subscriptions = (self._subscriptions or {}).values()
        for subscription in subscriptions:
            if subscription.forged:
                self._foreign.record(ForeignWrite.CURSOR, subscription.forged)
                subscription.forged = 0
            if subscription.excepted:
                self._matcher.counts[f"{EXCEPTED}{subscription.integration.id}"] += subscription.excepted
                subscription.excepted = 0
        self._status_reporter.publish(
            subscriptions, intake_paused=self._intake_paused, foreign_writes=self._foreign.recent()
        )
        if self._health:
            self._health.reported()
