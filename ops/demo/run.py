"""Runs the demo: prepares its folder, starts target and system, writes the alerts, waits, reports, stops everything."""

from __future__ import annotations

import os
import secrets
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from common.errors import CourierError
from common.integration import Kind
from ops.admin.terminal import one_line
from ops.demo import dead_letters
from ops.demo.alert_feed import SMALL_BYTES, Feed, bursts
from ops.demo.console import summary_row
from ops.demo.expect import NOT_FOUND, arrived, compare, expected
from ops.demo.preview import Preview, preview, replacements
from ops.demo.setup import ALERTS, queue_socket, set_stage
from ops.demo.system import System, running
from ops.demo.target import Target
from ops.standalone.embedded_redis import free_port
from ops.standalone.supervisor import Interrupted, interruptible

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from common.ledger import Status
    from ops.demo.console import Show
    from ops.demo.messages import Message

PAUSE_S: Final = 0.6
"""The delay between two bursts: the sample takes about ten seconds, slow enough to follow."""

QUIET_LIMIT_S: Final = 30.0
"""The demo stops waiting for deliveries when nothing has changed for this long."""

POLL_INTERVAL_S: Final = 0.05
STATUS_INTERVAL_S: Final = 0.5

USER: Final = "demo"
"""Who logs in to console and Flower; the password is another one each time."""

INTERRUPTED: Final = 130
"""A shell's exit status for SIGINT: 128 + 2."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The options: a user's files, None for the sample's; whether to keep running; the page's port, 0 for any."""

    alerts: Path | None = None
    config: Path | None = None
    keep: bool = False
    port: int = 0

    @property
    def is_sample(self) -> bool:
        """Whether log and configuration are the committed sample, for which the expected messages are known."""
        return self.alerts is None and self.config is None


def run(plan: Plan, show: Show) -> int:
    """Return the exit status: 0 if all expected messages arrived. Raises CourierError for unusable files."""
    complete: bool | None = None
    with interruptible():
        try:
            with ExitStack() as stack:
                demo = _Demo(plan, show, stack)
                demo.begin()
                complete = demo.play()
                if plan.keep:
                    demo.stay()
                show.say("stopping…", "dim")
        except Interrupted:
            show.say("stopped")
    return INTERRUPTED if complete is None else int(not complete)


class _Demo:
    """The parts of one demo. `stack` closes them, the system before the target."""

    def __init__(self, plan: Plan, show: Show, stack: ExitStack) -> None:
        self._plan, self._show = plan, show
        self._log = _readable(plan.alerts) if plan.alerts else ALERTS
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="courier-demo-")))
        self._target = _target(home, plan.port)
        stack.callback(self._target.stop)
        self._flower_port, self._console_port = free_port(), free_port()
        self._password = secrets.token_urlsafe(9)
        self._target.console = f"http://127.0.0.1:{self._console_port}/"
        found = preview(plan.config, self._log, os.environ) if plan.config else Preview()
        self._unusable = found.unusable
        for text in found.lines:
            show.say(one_line(text))
        self._stage = set_stage(
            home,
            plan.config,
            places=self._target.places,
            flower_port=self._flower_port,
            console_port=self._console_port,
            login=f"{USER}:{self._password}",
            unusable=found.unusable,
        )
        if not plan.is_sample:
            for text in replacements(self._stage.integrations, found):
                show.say(one_line(text), "dim")
        if plan.config:
            show.stand_ins = frozenset(one.id for one in self._stage.integrations if one.kind is Kind.SCRIPT)
        self._target.routes |= self._stage.routes()
        self._target.start()
        self._system: System = stack.enter_context(running(self._stage))
        self._feed = Feed(self._stage.alerts, time.time)
        self._shown = 0

    def begin(self) -> None:
        """Write the addresses and paths, and wait until the system is ready."""
        self._show.say("Courier's demo: this machine simulates every service; nothing leaves it.", "bold")
        self._show.places(
            {
                "page": f"{self._target.address}/",
                "console": self._target.console,
                "Flower": f"http://127.0.0.1:{self._flower_port}/",
                "login": f"user {USER}, password {self._password}: for console and Flower",
                "alerts": str(self._stage.alerts),
                "log": str(self._stage.log),
            }
        )
        self._show.say("starting server, producer, workers, console and Flower…", "dim")
        self._system.wait_until_ready(time.sleep)

    def play(self) -> bool:
        """Write the alerts, wait for the deliveries and report. Return whether all expected messages arrived."""
        began_s = time.time()
        self._write()
        read, statuses = self._wait()
        self._arrivals()
        messages = self._target.inbox.after(0)
        ended = {m.integration: m.at_s - began_s for m in messages}
        rows = [summary_row(name, read, status, ended.get(name)) for name, status in statuses.items()]
        self._show.summary(rows, read)
        complete = self._judge(messages, read, statuses)
        self._show.numbers(
            delivered=sum(status.totals.get("delivered", 0) for status in statuses.values()),
            on_page=len(self._target.inbox),
            refused=sum(not (m.accepted or m.status == NOT_FOUND) for m in messages),
        )
        return complete

    def stay(self) -> None:
        """Keep running until Ctrl-C, with some dead letters of the sample for the console."""
        if self._plan.is_sample:
            self._target.faults.add(dead_letters.SERVICE, dead_letters.REFUSAL, dead_letters.NUMBER)
            self._feed.append(b"".join(dead_letters.new_alerts(self._log.read_bytes(), time.time())))
            self._show.say(f"Slack refuses {dead_letters.NUMBER} more messages for good: look at these dead letters in")
            self._show.say("  the console, replay them there, and they arrive on the page")
        self._show.say(f"running until Ctrl-C; lines that you append to {self._stage.alerts} are delivered too")
        while True:
            self._watch(STATUS_INTERVAL_S)

    def _write(self) -> None:
        with self._log.open("rb") as log:
            size_bytes = os.fstat(log.fileno()).st_size
            for burst in bursts(log, size_bytes):
                self._feed.append(burst)
                self._watch(PAUSE_S if size_bytes <= SMALL_BYTES else 0.0)
        self._feed.finish()

    def _wait(self) -> tuple[int, dict[str, Status]]:
        """Wait until no delivery is pending, at most QUIET_LIMIT_S without a change. Return lines read and statuses."""
        changed_s, before = time.monotonic(), None
        while True:
            self._watch(STATUS_INTERVAL_S)
            read, statuses = self._system.read()
            pending = [status for name, status in statuses.items() if name not in self._unusable]
            if read >= self._feed.lines and not any(s.waiting or s.released or s.groups for s in pending):
                return read, statuses
            now = (read, {name: status.totals for name, status in statuses.items()})
            if now != before:
                changed_s, before = time.monotonic(), now
            elif time.monotonic() - changed_s > QUIET_LIMIT_S:
                self._show.say(f"nothing has changed for {QUIET_LIMIT_S:.0f} s; see {self._stage.log}", "bold red")
                return read, statuses

    def _watch(self, for_s: float) -> None:
        """Write the messages that arrive within `for_s` seconds; check for them at least once."""
        until = time.monotonic() + for_s
        while True:
            self._arrivals()
            self._system.check()
            if (left := until - time.monotonic()) <= 0:
                return
            time.sleep(min(left, POLL_INTERVAL_S))

    def _arrivals(self) -> None:
        for message in self._target.inbox.after(self._shown):
            self._show.arrival(message, self._feed.since_s(message.identity, message.at_s))
            self._shown = message.number

    def _judge(self, messages: Iterable[Message], read: int, statuses: Mapping[str, Status]) -> bool:
        if not self._plan.is_sample:
            return self._judge_totals(read, statuses)
        with self._log.open("rb") as log:
            must = expected(log, self._stage.integrations)
        comparison = compare(must, arrived(messages))
        self._show.differences(comparison)
        self._show.verdict(arrived=must.total() - len(comparison.missing), of=must.total(), noun="expected messages")
        return comparison.complete

    def _judge_totals(self, read: int, statuses: Mapping[str, Status]) -> bool:
        """Judge a user's files by totals: every match must be delivered or skipped."""
        totals = [status.totals for status in statuses.values()]
        matched, delivered, skipped = (sum(t.get(w, 0) for t in totals) for w in ("committed", "delivered", "skipped"))
        if not matched:
            self._show.say(f"no alert of the {read} lines that were read matched an integration", "bold red")
            return False
        self._show.verdict(arrived=delivered + skipped, of=matched, noun="deliveries")
        return matched == delivered + skipped and read >= self._feed.lines


def _target(home: Path, port: int) -> Target:
    try:
        return Target(socket_path=queue_socket(home), port=port)
    except OSError as error:
        raise CourierError(f"port {port}: {error.strerror or error}; choose another --port, or none") from None


def _readable(log: Path) -> Path:
    try:
        log.open("rb").close()
    except OSError as error:
        raise CourierError(f"{log}: cannot be read: {error.strerror or error}; choose a readable alert log") from None
    return log
