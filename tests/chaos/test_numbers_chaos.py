"""Numbers add up while producers, workers and Redis are killed, and silences and windows begin and end.

One integration excludes alerts, one has silences from the command line and from courier.toml, one holds alerts in every
second minute, one has alerts that its target refuses: they become dead letters, and a fallback gets them, and one folds
alerts into digests. All statuses that are read meanwhile must add up.

`make chaos` runs it and shows its counts; SEED repeats a run's choices, ROUNDS is the number of kills.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections import Counter
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Any, Final

import pytest

from common.connection.errors import as_ledger_errors
from common.digest import count_in
from common.errors import LedgerUnavailable
from common.integration import MANAGER_ID
from common.ledger import HistoryEntry, HistoryOutcome, Ledger, Unaccounted, unaccounted
from common.ledger.status import read_statuses
from common.silences import fetch_counts, fetch_silences, read_silences
from ops.standalone.embedded_redis import EmbeddedServer
from tests.chaos.choices import ROUNDS, SEED
from tests.support.crashes import crash, pause
from tests.support.manager_log import HIGH_EVERY, ManagerLog
from tests.support.processes import Courier
from tests.support.recorder import Recorder, eventually, patience

if TYPE_CHECKING:
    from pathlib import Path

    from common.ledger import Status
    from common.silences import SilenceCounts

IDS = EXCEPTING, SILENCED, HOLDING, REFUSED, BACKUP, FOLDING = (
    *("excepting", "silenced", "holding", "refused", "backup"),
    "folding",
)
ADDS_UP: Final = Unaccounted(alerts=0, deliveries=0)

LEAST_S: Final = 125
"""A window is every second minute, so that in this time one begins and one ends."""
SERVER_KILL_EVERY: Final = 10
"""Every tenth kill is one of the server."""
ALERTS_PER_S: Final = 60
LONGEST_SILENCE_S: Final = 15

TOML: Final = """
[windows]
odd = [{spans}]

[integrations.default]
start_at = "beginning"

[integrations.excepting]
service = "slack"
hook_url = "{excepting}"
except = ["id = *7"]

[integrations.silenced]
service = "slack"
hook_url = "{silenced}"

[integrations.holding]
service = "slack"
hook_url = "{holding}"
hold = {{in = "odd", below = 12}}

[integrations.refused]
service = "slack"
hook_url = "{refused}"
fallback = "backup"

[integrations.backup]
service = "slack"
hook_url = "{backup}"
level = 16

[integrations.folding]
service = "webhook"
hook_url = "{folding}"

[integrations.folding.digest]
by = ["rule.level"]
first = 5
every = "1s"
min = 4
top = ["id"]
"""
SILENCE: Final = """
[[silences]]
match = ["id = *{digit}"]
integrations = ["silenced"]
until = {until:%Y-%m-%dT%H:%M:%SZ}
why = "chaos {number}"
announce = true
"""

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(1200)]


def is_excepted(number: int) -> bool:
    return number % 10 == 7


def is_refused(number: int) -> bool:
    return number % 40 == 0


def answer(body: bytes) -> int:
    """Refuse some alerts for good."""
    return 400 if is_refused(number_of(json.loads(body)["attachments"][0]["ts"])) else 200


def number_of(alert_id: str) -> int:
    return int(alert_id.partition(".")[2] or -1)


class System:
    """Redis, a producer and two workers, which are killed and restarted, and the target of each integration."""

    def __init__(self, stack: ExitStack, folder: Path, random: Random) -> None:
        self._folder, self._random = folder, random
        self.targets = {one: stack.enter_context(Recorder(answer) if one == REFUSED else Recorder()) for one in IDS}
        self.server = EmbeddedServer(folder / "redis")
        self.server.start()
        stack.callback(self.server.stop)
        self.log = ManagerLog(folder / "alerts", Random(SEED))
        stack.callback(self.log.close)
        self.log.append(1)
        (folder / "ossec.conf").write_text("<ossec_config></ossec_config>")
        self._toml = TOML.format(spans=odd_minutes(), **{one: target.url for one, target in self.targets.items()})
        self._write_toml()
        self.kills: Counter[str] = Counter()
        self.forgot = self.silences = 0
        self._processes: dict[str, Courier] = {}
        stack.callback(self._stop)
        for name in ("producer", "http-0", "http-1"):
            self._start(name)

    @property
    def producer_log(self) -> str:
        return self._processes["producer"].log

    def kill_one(self) -> None:
        """Kill and restart a process, or the server without its last writes."""
        if self.kills.total() % SERVER_KILL_EVERY == SERVER_KILL_EVERY - 1:
            self.forgot += crash(self.server, forgets_s=self._random.choice([0, 0.5, 1]))
            self.kills["server"] += 1
            self.server.start()
            return
        name = self._random.choice(sorted(self._processes))
        process = self._processes[name].process
        process.kill()
        process.wait()
        self.kills[name] += 1
        self._start(name)

    def revive(self) -> None:
        """Restart workers that have exited because of the server, as their supervisor would."""
        for name, one in self._processes.items():
            if one.process.poll() is not None:
                assert name != "producer", one.log
                self._start(name)

    def add_silence(self) -> None:
        """Add a silence of alerts with a random last digit, by a command or in courier.toml."""
        digit, lasts_s = self._random.randrange(10), self._random.randint(5, LONGEST_SILENCE_S)
        self.silences += 1
        if self.silences % 2:
            options = ("--match", f"id = *{digit}", "--integration", SILENCED, "--for", f"{lasts_s}s", "--announce")
            command = self._courier("silence", "add", *options, "--reason", f"chaos {self.silences}")
            assert command.process.wait(60 * patience()) == 0, command.log
            return
        until = datetime.now(UTC) + timedelta(seconds=lasts_s)
        self._toml += SILENCE.format(digit=digit, until=until, number=self.silences)
        self._write_toml()

    def statuses(self) -> dict[str, Status]:
        """Return the status of all integrations. Raises LedgerUnavailable."""
        with as_ledger_errors(), self.server.client() as client:
            return read_statuses(client, [*IDS, MANAGER_ID], round(time.time() * 1000))

    def delivered_digests(self) -> dict[str, int]:
        """Return the digests that were delivered, as far as the server knows: the number of alerts by id."""
        with self.server.client() as client:
            entries = [one for one in Ledger(client).history([FOLDING]) if isinstance(one, HistoryEntry)]
        assert {one.outcome for one in entries} == {HistoryOutcome.DELIVERED}
        counts = {one.delivery: count_in(one.delivery, one.facts.rule_description) for one in entries}
        return {one: count for one, count in counts.items() if count is not None}

    def silenced(self) -> dict[str, tuple[int, SilenceCounts]]:
        """Return the last digit of the alerts of each silence that kept some back, and what it kept back."""
        with self.server.client() as client:
            stored = read_silences(fetch_silences(client))
            counts = fetch_counts(client, [(SILENCED, one) for one in stored.silences])
        assert not stored.refused
        return {one: (int(stored.silences[one].match[0][-1]), found) for (_, one), found in counts.items()}

    def _write_toml(self) -> None:
        """Replace courier.toml as an editor does."""
        (self._folder / "courier.new").write_text(self._toml)
        (self._folder / "courier.new").rename(self._folder / "courier.toml")

    def _start(self, name: str) -> None:
        files = ("--config", str(self._folder / "ossec.conf"), "--alerts", str(self.log.current), "--node", "n")
        arguments = ("producer", *files) if name == "producer" else ("worker", "--http", "--name", name)
        self._processes[name] = self._courier(*arguments)

    def _courier(self, *arguments: str) -> Courier:
        return Courier(
            self._folder,
            *arguments,
            COURIER_REDIS_URL=self.server.url,
            COURIER_STATE_DIR=str(self._folder / "state"),
            COURIER_SETTINGS=str(self._folder / "courier.toml"),
        )

    def _stop(self) -> None:
        for one in self._processes.values():
            one.process.kill()
            one.process.wait()


def odd_minutes() -> str:
    """Return the spans of every second minute from now on, for as long as a run can last."""
    minute = datetime.now(UTC).replace(second=0, microsecond=0)
    begins = [minute + timedelta(minutes=n) for n in range(60) if (minute.minute + n) % 2]
    return ", ".join(f'{{from = "{one:%H:%M}", to = "{one + timedelta(minutes=1):%H:%M}"}}' for one in begins)


class LogWriter(threading.Thread):
    """The manager: writes alerts at a steady rate and rotates the log sometimes, until it is stopped."""

    def __init__(self, log: ManagerLog, random: Random) -> None:
        super().__init__(daemon=True)
        self._log, self._random, self._stopped = log, random, threading.Event()

    def run(self) -> None:
        while not self._stopped.is_set():
            number = self._random.randint(1, ALERTS_PER_S)
            self._log.append(number)
            if self._random.random() < 0.05:
                self._log.rotate()
            self._stopped.wait(number / ALERTS_PER_S)

    def stop(self) -> None:
        self._stopped.set()
        self.join()


class StatusReader(threading.Thread):
    """Reads statuses all the time, as an exporter does, and keeps those that do not add up."""

    def __init__(self, system: System) -> None:
        super().__init__(daemon=True)
        self._system, self._stopped = system, threading.Event()
        self.number, self.most_held = 0, 0
        self.wrong: list[tuple[str, Unaccounted | None, Status]] = []

    def run(self) -> None:
        while not self._stopped.wait(0.02):
            try:
                statuses = self._system.statuses()
            except LedgerUnavailable:
                continue
            self.number += 1
            self.most_held = max(self.most_held, sum(statuses[HOLDING].held.values()))
            self.wrong += [
                (one, found, status) for one, status in statuses.items() if (found := unaccounted(status)) != ADDS_UP
            ]

    def stop(self) -> None:
        self._stopped.set()
        self.join()


def test_numbers_add_up_while_processes_are_killed_and_silences_and_windows_end(tmp_path: Path) -> None:
    random = Random(SEED)
    with ExitStack() as stack:
        system = System(stack, tmp_path, random)
        eventually(lambda: "reading starts" in system.producer_log, limit_s=60)
        reader, writer = StatusReader(system), LogWriter(system.log, Random(SEED + 1))
        reader.start()
        stack.callback(reader.stop)
        writer.start()
        stack.callback(writer.stop)
        kill_at_random(system, random)
        writer.stop()
        wait_until_drained(system)
        reader.stop()
        check(system, reader)


def kill_at_random(system: System, random: Random) -> None:
    began_s = time.monotonic()
    while system.kills.total() < ROUNDS or time.monotonic() < began_s + LEAST_S:
        pause(random.uniform(0, 3))
        system.revive()
        if random.random() < 0.3:
            system.add_silence()
        system.kill_one()


def pending(system: System) -> list[str]:
    """Return what is not finished: alerts that are not read, deliveries, and silences that are not announced."""
    system.revive()
    statuses = {one: status for one, status in system.statuses().items() if one != MANAGER_ID}  # no worker serves it
    return [
        *(one for one, status in statuses.items() if status.totals.get("read") != system.log.written),
        *(f"deliveries of {one}" for one, status in statuses.items() if status.waiting + status.released),
        *(f"groups of {one}" for one, status in statuses.items() if status.in_groups),
        *(f"silence {one}" for one, (_, counts) in system.silenced().items() if not counts.closed_ms),
    ]


def wait_until_drained(system: System) -> None:
    left: list[str] = []

    def is_drained() -> bool:
        left[:] = pending(system)
        return not left

    try:
        eventually(is_drained, limit_s=90)
    except AssertionError:
        pytest.fail(f"not finished: {left}")


def check(system: System, reader: StatusReader) -> None:
    everything, statuses, silenced = set(range(system.log.written)), system.statuses(), system.silenced()
    totals: dict[str, Counter[str]] = {one: Counter(status.totals) for one, status in statuses.items()}
    arrived = {one: Counter(map(number_of, target.ids)) for one, target in system.targets.items() if one != FOLDING}
    messages = closing_messages(system.targets[SILENCED].bodies)
    for numbers in arrived.values():
        del numbers[-1]  # the closing messages
    got = {one: set(numbers) for one, numbers in arrived.items()}
    missing = everything - got[SILENCED]
    both = totals[SILENCED]["silenced"] - len(missing)
    figures = {
        "part": "numbers",
        "seed": SEED,
        "alerts": system.log.written,
        "rotations": system.log.rotations,
        "kills": system.kills,
        "server_kills_that_forgot": system.forgot,
        "silences_added": system.silences,
        "silences_that_kept_back": len(silenced),
        "silenced": totals[SILENCED]["silenced"],
        "delivered_forgotten_and_silenced": both,
        "held_at_once": reader.most_held,
        "dead": totals[REFUSED]["dead"],
        "repeats": {one: numbers.total() - len(numbers) for one, numbers in arrived.items()},
        "closing_messages_repeated": messages.total() - len(messages),
        "statuses": reader.number,
    }
    print(f"\n{json.dumps(figures)}")
    assert system.kills.total() >= ROUNDS
    assert reader.most_held > 0
    assert reader.number > 100
    assert reader.wrong == []
    assert {one: unaccounted(status) for one, status in statuses.items()} == dict.fromkeys(statuses, ADDS_UP)
    check_digests(system, totals[FOLDING])

    expected = {
        EXCEPTING: {n for n in everything if not is_excepted(n)},
        SILENCED: got[SILENCED],  # checked below
        HOLDING: everything,
        REFUSED: {n for n in everything if not is_refused(n)},
        BACKUP: {n for n in everything if is_refused(n)},
    }
    assert {one: got[one] ^ expected[one] for one in got} == {one: set() for one in got}
    assert {one: totals[one]["enqueued"] for one in got} == {
        EXCEPTING: len(expected[EXCEPTING]),
        SILENCED: len(got[SILENCED]) - both,
        HOLDING: len(everything),
        REFUSED: len(everything),
        BACKUP: 0,
    }
    assert (totals[EXCEPTING]["excepted"], totals[BACKUP]["not_matched"]) == (
        len(everything - expected[EXCEPTING]),
        len(everything),
    )
    assert statuses[REFUSED].dead == totals[BACKUP]["committed"] == len(expected[BACKUP])

    # A server that forgot a delivery has its alert read again, and a silence that began meanwhile counts it.
    assert len(missing) > 0
    assert both == 0 or (both > 0 and system.forgot)
    by_digit: Counter[int] = Counter()
    for digit, counts in silenced.values():
        by_digit[digit] += counts.number
    excess = by_digit - Counter(number % 10 for number in missing)
    assert by_digit.total() == totals[SILENCED]["silenced"]
    assert excess.total() == both
    assert totals[SILENCED]["committed"] - totals[SILENCED]["enqueued"] == len(silenced)
    assert messages.keys() >= {(one, counts.number) for one, (_, counts) in silenced.items()}


def check_digests(system: System, totals: Counter[str]) -> None:
    """Check the digests: a single producer reads the log in order, so each has all of its group from first to last."""
    alerts = [json.loads(body) for body in system.targets[FOLDING].bodies]
    singles = {number_of(one["id"]) for one in alerts if "courier" not in one}
    digests = [one["courier"]["digest"] for one in alerts if "courier" in one]
    sent = {one["id"]: one["count"] for one in digests}
    delivered = system.delivered_digests()
    missing = set(range(system.log.written)) - singles - {n for one in digests for n in members(one)}
    forgotten = totals["below_min"] - len(missing)
    figures = {
        "part": "digests",
        "seed": SEED,
        "one by one": totals["enqueued"],
        "folded": totals["folded"],
        "in digests": totals["digested"],
        "below min": totals["below_min"],
        "digests": len(delivered),
        "digests_repeated": len(digests) - len(sent),
        "digests_forgotten": len(sent.keys() - delivered.keys()),
        "in_a_forgotten_digest_then_below_min": forgotten,
    }
    print(json.dumps(figures))
    assert [one["count"] for one in digests] == [len(members(one)) for one in digests]
    assert totals["enqueued"] + totals["folded"] == system.log.written
    assert sum(delivered.values()) == totals["digested"] > 0
    assert len(delivered) == totals["digests"]
    assert delivered.items() <= sent.items()
    assert len(delivered) == len(sent) or system.forgot
    assert totals["below_min"] > 0
    assert forgotten == 0 or (forgotten > 0 and system.forgot)


def members(digest: dict[str, Any]) -> list[int]:
    """Return the numbers of the alerts of a digest's group from its first to its last one."""
    is_high = digest["group"]["rule.level"] == "12"
    numbers = range(number_of(digest["first_id"]), number_of(digest["last_id"]) + 1)
    return [number for number in numbers if (number % HIGH_EVERY == 0) is is_high]


def closing_messages(bodies: list[bytes]) -> Counter[tuple[str, int]]:
    """Return the closing messages that arrived: the id of the silence and the number that it says."""
    found: Any = (re.search(rb"Courier: silence (\w+) has ended; (\d+) alerts? not sent", body) for body in bodies)
    return Counter((one[1].decode(), int(one[2])) for one in found if one)
