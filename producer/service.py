"""The producer's loop: read, match, commit, release; for all integrations that stand at one place at once."""

from __future__ import annotations

import logging
from collections import defaultdict
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from common.dispatch import LINGER_S, ReleaseTarget
from common.errors import LedgerUnavailable
from common.node import ForeignWrite
from producer.damaged import whole_alerts
from producer.filters import FilterIndex
from producer.foreign_writes import ForeignWrites
from producer.line import BadLine
from producer.start import take_places
from producer.tally import Tally
from producer.tidings import Tidings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from redis import Redis

    from common.dispatch import Dispatcher
    from common.integration import Integration
    from common.ledger import Ledger
    from common.registry import PublishedRegistry
    from common.settings_schema import Policy
    from producer.aside import Aside
    from producer.configuration import ConfigFile
    from producer.cursor_signatures import CursorSigner
    from producer.keepsake import Keepsake
    from producer.lines import Line
    from producer.members import Member
    from producer.metrics import ProducerMetrics
    from producer.source import Batch, Source

    Matches = defaultdict[str, list[Line]]

BATCH_BYTES: Final = 1024 * 1024
READS_AT_ONCE: Final = 4
ENOUGH_BYTES: Final = 64 * 1024
"""A commit costs a round trip, however little is in it. So up to so many batches are read before what they have for
each integration is committed, unless what they have is that much for each on average; of a batch only what matches is
kept meanwhile."""

REGISTRY_CHECK_S: Final = 5.0
"""How often it is made sure that the published integrations are still there. More often only costs; two producers with
different secret keys, which take each other's for damage, do not fill the logs."""

IDLE_WAIT_S: Final = 1.0
RETRY_PAUSE_S: Final = 1.0
HEARTBEAT_S: Final = 1.0
GATHER_FROM: Final = 4
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
        aside: Aside,
        keepsake: Keepsake,
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
        self._aside, self._now, self._metrics, self._signer = aside, now, metrics, signer
        self._members: dict[str, Member] | None = None
        self._start, self._changed = start, False
        self._keepsake, self._remembered = keepsake, keepsake.load()
        self._tally = Tally()
        self._foreign = ForeignWrites(self._tally.counts, now)
        self._tidings = Tidings(
            node=node,
            source=source,
            config=config,
            ledger=ledger,
            client=client,
            counts=self._tally.counts,
            metrics=metrics,
        )
        self._gathered: defaultdict[str, int] = defaultdict(int)
        self._gathers_since_s = now()
        self._choked = ""
        self._heartbeat_at_s = self._registry_checked_at_s = now()
        self._reload_asked = False
        self._configure(config.load())

    def run(
        self, wait: Callable[[float], object], pause: Callable[[float], object], stopped: Callable[[], bool]
    ) -> None:
        """Follow the log until `stopped`; `wait` returns after so many seconds or when the log has changed.

        `pause` returns after so many seconds, however much is written meanwhile.

        While Redis is away nothing is read: the alert log keeps what comes. Raises LedgerUnfit and SettingsError.
        """
        away = False
        while not stopped():
            try:
                busy = self.step()
                if self._metrics:
                    self._metrics.stepped()
                if away:
                    _log.info("Redis is back")
                    away = False
            except LedgerUnavailable as error:
                if not away:
                    _log.error("%s; waiting, the alert log keeps the alerts", error)
                away = True
                if self._metrics:
                    self._metrics.redis_away()
                self._forget_places()
                pause(RETRY_PAUSE_S)
            else:
                if not busy:
                    wait(IDLE_WAIT_S)
        self._leave()

    def step(self) -> bool:
        """Read on at every place where a member stands. Return whether there is more to read at once."""
        now_s = self._now()
        if self._members is not None and now_s - self._heartbeat_at_s >= HEARTBEAT_S:
            self._heartbeat_at_s = now_s
            self._heartbeat()
        if self._members is None:
            self._members = self._take_places()
        busy = False
        if due := now_s - self._gathers_since_s >= LINGER_S:
            self._gathers_since_s = now_s
        for cursor, members in self._places(now_s).items() if not self._choked else ():
            matches, after, at_end = self._read(cursor)
            busy = busy or not at_end
            self._advance(members, matches, after, now_s, due=due or at_end)
        return self._lost_in_redis() or busy

    def ask_reload(self) -> None:
        """Have the configuration read again at the next heartbeat, even if it looks unchanged; safe in a handler."""
        self._reload_asked = True

    def _configure(self, integrations: Sequence[Integration]) -> None:
        self._integrations = integrations
        self._index = FilterIndex(integrations)

    def _take_over(self, integrations: Sequence[Integration] | None) -> None:
        if integrations is not None:
            self._leave()
            self._configure(integrations)
            self._changed = True
            self._forget_places()

    def _forget_places(self) -> None:
        """Let the next step begin at the cursors that Redis holds: it may be a second younger than we remember."""
        self._remembered |= {i: m.committed or m.cursor for i, m in (self._members or {}).items()}
        self._members = None

    def _lost_in_redis(self) -> bool:
        """Say whether Redis has lost a cursor: it was emptied, so all is published anew, with the remembered places."""
        lost = any(not member.committed for member in (self._members or {}).values())
        if lost:
            self._forget_places()
        return lost

    def _take_places(self) -> dict[str, Member]:
        for warning in self._ledger.check_server():
            _log.warning("%s", warning)
        members = take_places(
            self._integrations,
            node=self._node,
            ledger=self._ledger,
            registry=self._registry,
            source=self._source,
            policy=self._policy,
            remembered=self._remembered,
            signer=self._signer,
            end=self._end,
            all_known=self._config.whole,
        )
        left_out = {one.id for one in self._integrations} - members.keys()
        self._remembered = {i: cursor for i, cursor in self._remembered.items() if i in left_out}
        return members

    def _end(self) -> str:
        """Return where "end" is for an integration that never ran: when it was added, or the command was started.

        It was added when the file changed last, if that was while this producer ran or after a former one ended.
        """
        if not self._start:
            return self._source.end()
        saved_at_s = self._keepsake.saved_at_s
        if self._changed or (saved_at_s is not None and self._config.changed_at_s > saved_at_s):
            return self._start.at(datetime.fromtimestamp(self._config.changed_at_s, UTC))
        return self._start.cursor

    def _places(self, now_s: float) -> dict[str, list[Member]]:
        places: defaultdict[str, list[Member]] = defaultdict(list)
        for member in (self._members or {}).values():
            if member.may_read(self._ledger, now_s):
                places[member.cursor].append(member)
        return places

    def _leave(self) -> None:
        """Write the cursors that were held back, so that the next start has nothing to read again."""
        try:
            for member in (self._members or {}).values():
                member.flush(self._ledger, self._node, self._now())
            self._tell()
        except LedgerUnavailable as error:
            _log.warning("the last cursors could not be written: %s; some alerts are read again", error)

    def _read(self, cursor: str) -> tuple[Matches, str, bool]:
        """Return what each integration gets of what comes next, the cursor behind it, and whether that is the end."""
        matches: Matches = defaultdict(list)
        size = 0
        for _ in range(READS_AT_ONCE):
            batch = self._source.read(cursor, BATCH_BYTES)
            size += self._match(batch, matches)
            cursor = batch.cursor
            if batch.at_end or size >= ENOUGH_BYTES * len(matches):
                break
        return matches, cursor, batch.at_end

    def _advance(self, members: Sequence[Member], matches: Matches, after: str, now_s: float, *, due: bool) -> None:
        for member in members:
            ours = matches.get(member.integration.id, [])
            stored = member.advance(self._ledger, self._node, ours, after, now_s)
            self._tally.counts["matched"] += stored
            self._gathered[member.integration.id] += stored
        self._dispatch(members, due=due)

    def _dispatch(self, members: Sequence[Member], *, due: bool) -> None:
        """Dispatch what was committed; if this ends before, the workers do it within a second."""
        outlets = []
        for member in members:
            number = self._gathered[member.integration.id]
            if number and (due or not GATHER_FROM <= number < member.policy.batch_max):
                del self._gathered[member.integration.id]
                target = self._registry.target(member.integration)
                outlets.append(ReleaseTarget(member.integration.id, member.policy, target))
        if outlets:
            self._dispatcher.dispatch_all(outlets)

    def _match(self, batch: Batch, matches: Matches) -> int:
        """Add what each integration gets, and count the lines. Return the bytes that were added, each line's once."""
        size = 0
        number, lines = self._index.sift(batch.lines)
        for line in lines:
            try:
                ids = self._index.match(line.raw)
            except BadLine as bad:
                size += self._match_damaged(line, bad, matches)
                continue
            if self._index.wrong_types:
                self._count_wrong_types(line)
            for integration_id in ids:
                matches[integration_id].append(line)
            size += len(line.raw) if ids else 0
        for passed in batch.passed:
            if not batch.lines or self._tally.is_new(batch.lines[-1]):
                self._passed_over(passed.loss, passed.detail, passed.sample)
        self._tally.count(batch.lines, number)
        return size

    def _match_damaged(self, line: Line, bad: BadLine, matches: Matches) -> int:
        """Add the whole alerts of a line that is none, and keep the line. Return the bytes that were added."""
        whole, size = whole_alerts(line), 0
        for part in whole:
            with suppress(BadLine):
                ids = self._index.match(part.raw)
                for integration_id in ids:
                    matches[integration_id].append(part)
                size += len(part.raw) if ids else 0
        self._index.wrong_types.clear()
        if self._tally.is_new(line):
            where = f"byte {line.start} of the log file with fingerprint {line.file}"
            read = f"; {len(whole)} whole alert(s) of it were read" if whole else ""
            self._passed_over(bad.reason, f"{bad}, at {where}{read}", line.raw)
        return size

    def _count_wrong_types(self, line: Line) -> None:
        if self._tally.is_new(line):
            self._tally.counts.update(f"wrong_type:{field}" for field in self._index.wrong_types)
        self._index.wrong_types.clear()

    def _passed_over(self, reason: str, detail: str, sample: bytes) -> None:
        self._tally.counts[f"bad:{reason}"] += 1
        self._aside.keep(reason, detail, sample)

    def _heartbeat(self) -> None:
        """Once a second: follow the configuration, make sure that the cursors are still ours, and tell how it goes."""
        forced, self._reload_asked = self._reload_asked, False
        self._take_over(self._config.reload(forced=forced))
        if (members := self._members) is None:
            return
        left_out = {one.id for one in self._integrations} - members.keys()
        cursors = self._ledger.cursors([*members, *left_out], self._node)
        for integration_id in cursors.keys() & members.keys():
            members[integration_id].check(cursors[integration_id])
        if self._lost_in_redis():
            return
        if cursors.keys() & left_out:  # they were damaged, and can be read again
            self._forget_places()
            return
        self._repair_registry()
        kept = {i: cursor for i, cursor in self._remembered.items() if i in left_out}
        self._keepsake.save(kept | {i: member.committed for i, member in members.items()})
        self._choke(self._ledger.intake_block_reason())
        self._tell()

    def _repair_registry(self) -> None:
        now_s = self._now()
        if now_s - self._registry_checked_at_s < REGISTRY_CHECK_S:
            return
        self._registry_checked_at_s = now_s
        if self._registry.repair(self._node, self._integrations):
            self._foreign.found(ForeignWrite.REGISTRY)
            _log.error("the published integrations were missing or changed by somebody else: published again")

    def _choke(self, why: str) -> None:
        """Stop reading while Redis should take nothing more; say so when it begins and when it ends."""
        if why and not self._choked:
            _log.error("%s; nothing is enqueued until then, the alert log keeps the alerts", why)
        elif self._choked and not why:
            _log.info("Redis can take alerts again")
        self._choked = why

    def _tell(self) -> None:
        members = (self._members or {}).values()
        for member in members:
            if member.forged:
                self._foreign.found(ForeignWrite.CURSOR, member.forged)
                member.forged = 0
        self._tidings.tell(members, choked=self._choked, foreign_writes=self._foreign.shown())
