"""Each alert that the source still holds is committed exactly once to each matching integration, in every scenario.

The state machine makes the producer crash, restart and meet full backlogs. It runs with two sources: the alert log,
changed with `AlertFiles`, and a list of lines. Committed deliveries are settled and forgotten now and then, so that a
second commit is noticed.
"""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from cryptography.fernet import Fernet
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from common.ledger import CommitResult, Settlement, SettleOutcome
from common.registry.encryption import Cipher
from common.registry.published import PublishedRegistry
from common.settings.schema import Start
from producer.alertlog import AlertLog
from producer.config_file import ConfigFile
from producer.cursors.backup import CursorBackup
from producer.cursors.signatures import CursorSigner
from producer.loop import Producer
from producer.quarantine import Quarantine
from tests.support.alert_files import AlertFiles
from tests.support.fakes import Clock, CommitOnly, policy, settings_for
from tests.support.ledger import Ledger
from tests.support.sources import ListLog

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    import redis

    from common.integration import Integration
    from common.settings.schema import Policy
    from tests.support.sources import ListSource

NODE = "wazuh-1"
LEVELS = {"slack": 0, "shuffle": 7}
BACKLOGS = {"slack": 100_000, "shuffle": 4}
CONFIG = "<ossec_config>{}</ossec_config>".format(
    "".join(
        f"<integration><name>{name}</name><hook_url>https://h.example/{name}</hook_url><level>{level}</level>"
        "</integration>"
        for name, level in LEVELS.items()
    )
)


class Killed(BaseException):
    """Simulates SIGKILL: nothing in the producer may catch it."""


class CrashingLedger(Ledger):
    """A ledger that crashes its user at commit number `fatal`, counted from 0, before or after the commit."""

    fatal: int | None = None
    after = False

    def commit(self, *arguments: Any, **named: Any) -> CommitResult:
        with self._dying():
            return super().commit(*arguments, **named)

    def commit_all(self, *arguments: Any) -> tuple[dict[str, CommitResult], dict[str, list[list[str]]]]:
        with self._dying():
            return super().commit_all(*arguments)

    @contextmanager
    def _dying(self) -> Iterator[None]:
        fatal, self.fatal = self.fatal == 0, None if self.fatal is None else self.fatal - 1
        if fatal and not self.after:
            raise Killed
        yield
        if fatal:
            raise Killed


class Following(RuleBasedStateMachine):
    """A producer, and the expected and received alerts of each integration; subclasses add the source."""

    source: AlertLog | ListSource

    def __init__(self, client: redis.Redis) -> None:
        super().__init__()
        client.flushall()
        self.home = Path(mkdtemp())
        (self.home / "ossec.conf").write_text(CONFIG)
        self.client, self.monotonic = client, Clock()
        vault = Cipher(Fernet.generate_key())
        self.registry, self.signer = PublishedRegistry(client, vault), CursorSigner(vault, NODE)
        self.ledger = CrashingLedger(client)
        self.start_at = Start.END
        self.owed: dict[str, set[bytes]] = {name: set() for name in LEVELS}
        self.got: dict[str, list[bytes]] = {name: [] for name in LEVELS}

    def open_source(self) -> AlertLog | ListSource:
        """Return a source as a new process has it."""
        raise NotImplementedError

    def append(self, lines: int) -> None:
        """Write alerts to the source."""
        raise NotImplementedError

    def prepare(self) -> None:
        """Make the source ready for its first alert."""

    @initialize(lines=st.integers(0, 3), start_at=st.sampled_from([Start.END, Start.BEGINNING]))
    def begin(self, lines: int, start_at: Start) -> None:
        self.start_at = start_at
        self.prepare()
        self.append(lines)
        if start_at is Start.END:
            self.lose({line for owed in self.owed.values() for line in owed})
        self.start_producer()
        self.producer.run_once()

    def text(self, timestamp: str, number: int) -> bytes:
        level = 3 if number % 3 else 9
        return f'{{"timestamp":"{timestamp}","rule":{{"level":{level},"id":"1"}},"n":{number}}}'.encode()

    def owe(self, line: bytes) -> None:
        level = msgspec.json.decode(line)["rule"]["level"]
        for name, owed in self.owed.items():
            if level >= LEVELS[name]:
                owed.add(line)

    def lose(self, lines: Collection[bytes]) -> None:
        for owed in self.owed.values():
            owed.difference_update(lines)

    def policy(self, integration: Integration) -> Policy:
        return policy(max_backlog=BACKLOGS.get(integration.id, 1000), start_at=self.start_at)

    def start_producer(self) -> None:
        self.source = self.open_source()
        self.producer = Producer(
            node=NODE,
            source=self.source,
            config=ConfigFile(settings_for(self.home / "ossec.conf")),
            registry=self.registry,
            policy=self.policy,
            ledger=self.ledger,
            dispatcher=CommitOnly(self.ledger),  # type: ignore[arg-type]  # notes instead of releasing
            client=self.client,
            quarantine=Quarantine(self.home / "aside.jsonl", 100_000, self.monotonic),
            cursor_backup=CursorBackup(self.home / "places.json"),
            signer=self.signer,
            now=self.monotonic,
            commit_delay_s=0.05,
        )

    # What happens to the producer.

    @rule(steps=st.integers(1, 4), pause_s=st.sampled_from([0.0, 0.3, 1.0]))
    def run_it(self, steps: int, pause_s: float) -> None:
        for _ in range(steps):
            self.monotonic.now_s += pause_s
            self.producer.run_once()

    @rule()
    def restart_it(self) -> None:
        self.producer.run(self.no_pause, lambda: True)
        self.source.close()
        self.start_producer()

    @rule(commits=st.integers(0, 3), after=st.booleans(), at_once=st.booleans())
    def kill_it(self, commits: int, after: bool, at_once: bool) -> None:
        """Kill it at one of its next commits, or where it is if it makes none."""
        self.ledger.fatal, self.ledger.after = commits, after
        try:
            for _ in range(0 if at_once else 6):
                self.monotonic.now_s += 1
                self.producer.run_once()
        except Killed:
            pass
        self.ledger.fatal = None
        self.source.close()
        self.start_producer()

    @rule(name=st.sampled_from(sorted(LEVELS)))
    def deliver(self, name: str) -> None:
        """Deliver and forget all that waits."""
        for ids in self.ledger.release(name, max_in_flight=10_000, batch_max=100, lease_s=60, linger_s=0):
            for delivery in self.ledger.begin(name, ids, token="w", lease_s=60):
                self.got[name].append(delivery.alert)
                self.owed[name].discard(delivery.alert)
                self.ledger.settle(name, [Settlement(id=delivery.id, outcome=SettleOutcome.DELIVERED)], token="w")

    @invariant()
    def nothing_comes_twice(self) -> None:
        for got in self.got.values():
            assert len(set(got)) == len(got)

    def teardown(self) -> None:
        try:
            self.append(1)
            for _ in range(100):
                self.run_it(1, 1.0)
                for name in LEVELS:
                    self.deliver(name)
            self.nothing_comes_twice()
            assert self.owed == {name: set() for name in LEVELS}
            assert all(msgspec.json.decode(line)["rule"]["level"] >= LEVELS["shuffle"] for line in self.got["shuffle"])
        finally:
            self.source.close()
            shutil.rmtree(self.home)

    @staticmethod
    def no_pause(_seconds: float) -> None:
        raise AssertionError("a producer that ends does not pause")


class FollowingFiles(Following, AlertFiles):
    """The source is the alert log, whose files the manager and its operators change."""

    append = AlertFiles.append

    def prepare(self) -> None:
        self.new_file()

    def open_source(self) -> AlertLog:
        return AlertLog(self.current, max_line_bytes=300, now=self.now_s)

    def teardown(self) -> None:
        try:
            self.relink_current()
            super().teardown()
        finally:
            self.close_files()


class FollowingList(Following):
    """The source is a list."""

    def __init__(self, client: redis.Redis) -> None:
        super().__init__(client)
        self.log, self.count = ListLog(self.home), 0

    def open_source(self) -> ListSource:
        return self.log.open()

    def alert(self) -> bytes:
        self.count += 1
        line = self.text("2024-05-11T12:00:00.000+0000", self.count)
        self.owe(line)
        return line

    @rule(lines=st.integers(1, 4))
    def append(self, lines: int) -> None:
        self.log.append(*(self.alert() for _ in range(lines)))

    @rule(alerts=st.integers(2, 4))
    def append_to_one_line(self, alerts: int) -> None:
        """As a crash of the manager leaves them."""
        self.log.append(b"".join(self.alert() for _ in range(alerts)))


@pytest.mark.parametrize("machine", [FollowingFiles, FollowingList])
@pytest.mark.parametrize("examples", [5, pytest.param(50, marks=[pytest.mark.chaos, pytest.mark.timeout(900)])])
def test_existing_alerts_are_committed_exactly_once(
    client: redis.Redis, monkeypatch: pytest.MonkeyPatch, examples: int, machine: type[Following]
) -> None:
    monkeypatch.setattr("producer.read_ahead.BATCH_BYTES", 200)
    monkeypatch.setattr("producer.cursors.subscription.MAX_COMMIT_DELIVERIES", 2)
    run_state_machine_as_test(
        lambda: machine(client),  # type: ignore[arg-type]  # any factory will do
        settings=settings(deadline=None, max_examples=examples, stateful_step_count=40),
    )
