"""Producer and Redis are killed at random while the log grows and rotates: each alert is enqueued exactly once.

Silences begin and end meanwhile: what they keep back is counted, and the numbers add up.

`make chaos` runs it and shows its counts; SEED repeats a run's choices, ROUNDS is how often the producer is killed.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any, Self

import pytest

from common.ledger import Ledger, Unaccounted, unaccounted
from common.silences import Silence, write_silence
from ops.bench.memory import peak_kib
from ops.standalone.embedded_redis import EmbeddedServer
from tests.chaos.choices import ROUNDS, SEED
from tests.support.crashes import crash, pause
from tests.support.manager_log import HIGH_EVERY, ManagerLog, number_of
from tests.support.processes import Courier
from tests.support.recorder import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import redis

ALERTS = 200_000
ALERTS_PER_S = 2000
SERVER_KILLS = 5
NODE = "wazuh-1"
QUIET = "custom-quiet"
EXPECTED = {"slack": 1, "shuffle": HIGH_EVERY, QUIET: 1}
"""Each integration gets every n-th alert; silences keep some from QUIET."""
MOST_MEMORY_KIB = 100 * 1024
CONFIG = (
    "<ossec_config><integration><name>slack</name><hook_url>http://127.0.0.1:1/a</hook_url>"
    "<alert_format>json</alert_format></integration>"
    "<integration><name>shuffle</name><hook_url>http://127.0.0.1:1/b</hook_url><level>12</level>"
    "<alert_format>json</alert_format></integration>"
    "<integration><name>custom-quiet</name><hook_url>http://127.0.0.1:1/c</hook_url>"
    "<alert_format>json</alert_format></integration></ossec_config>"
)
SETTINGS = '[integrations.default]\nstart_at = "beginning"\n'

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(1200)]


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[EmbeddedServer]:
    server = EmbeddedServer(tmp_path / "redis")
    server.start()
    yield server
    server.stop()


class LogWriter(threading.Thread):
    """The manager: writes all alerts at a steady rate, and sometimes rotates or compresses a file."""

    def __init__(self, log: ManagerLog, random: Random) -> None:
        super().__init__(daemon=True)
        self._log, self._random = log, random

    def run(self) -> None:
        while self._log.written < ALERTS:
            count = min(self._random.randint(50, 500), ALERTS - self._log.written)
            self._log.append(count)
            chance = self._random.random()
            if chance < 0.1:
                self._log.rotate()
            elif chance < 0.14:
                self._log.compress()
            pause(count / ALERTS_PER_S)
        self._log.close()


class RestartingProducer:
    """The producer, which is restarted after each kill."""

    def __init__(self, folder: Path, server: EmbeddedServer, alerts: Path) -> None:
        (folder / "ossec.conf").write_text(CONFIG)
        (folder / "courier.toml").write_text(SETTINGS)
        self._folder = folder
        self._arguments = ("producer", "--config", str(folder / "ossec.conf"), "--alerts", str(alerts), "--node", NODE)
        self._environment = {
            "COURIER_REDIS_URL": server.url,
            "COURIER_STATE_DIR": str(folder / "state"),
            "COURIER_SETTINGS": str(folder / "courier.toml"),
        }
        self.kills = self.kills_at_work = self.peak_kib = 0
        self._said = 0
        self._start()

    def _start(self) -> None:
        self.courier = Courier(self._folder, *self._arguments, **self._environment)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.courier.__exit__(None, None, None)

    def is_at_work(self) -> bool:
        return "following the alert log" in self.courier.log[self._said :]

    def kill(self) -> None:
        assert self.courier.process.poll() is None, self.courier.log[self._said :]
        self.kills_at_work += self.is_at_work()
        self.peak_kib = max(self.peak_kib, peak_kib(self.courier.process.pid))
        self.courier.process.kill()
        self.courier.process.wait()
        self.kills += 1
        self._said = len(self.courier.log)
        self._start()


def test_random_kills_of_producer_and_redis_lose_and_repeat_nothing(own_server: EmbeddedServer, tmp_path: Path) -> None:
    random = Random(SEED)
    log = ManagerLog(tmp_path / "alerts", Random(SEED))
    log.append(1)
    writing = LogWriter(log, Random(SEED + 1))
    with RestartingProducer(tmp_path, own_server, log.current) as producing, own_server.client() as client:
        writing.start()
        crashes, forgot = kill_at_random(producing, own_server, writing, random)
        for name, step in EXPECTED.items():
            eventually(partial(all_stored, client, name, log, step), limit_s=120)
        eventually(lambda: producing.is_at_work() and is_fully_read(client))
    with own_server.client() as client:
        found = {name: count_errors(client, name, set(range(0, log.written, step))) for name, step in EXPECTED.items()}
        totals = {name: totals_of(client, name) for name in EXPECTED}
        differences = {name: unaccounted(status) for name, status in Ledger(client).statuses([*EXPECTED]).items()}
    figures = {
        "part": "producer",
        "seed": SEED,
        "alerts": log.written,
        "rotations": log.rotations,
        "compressions": log.compressions,
        "producer_kills": producing.kills,
        "of_them_at_work": producing.kills_at_work,
        "server_kills": crashes,
        "of_them_forgot_a_second": forgot,
        "producer_peak_mib": round(producing.peak_kib / 1024, 1),
        "silenced": totals[QUIET]["silenced"],
        **found,
    }
    print(f"\n{json.dumps(figures)}")
    assert (log.written, crashes) == (ALERTS, SERVER_KILLS)
    assert producing.kills >= ROUNDS
    assert found == {name: {"lost": 0, "enqueued_twice": 0, "out_of_place": 0} for name in EXPECTED}
    assert totals[QUIET]["silenced"] > 0
    assert {name: counted["read"] for name, counted in totals.items()} == dict.fromkeys(EXPECTED, log.written)
    assert differences == dict.fromkeys(EXPECTED, Unaccounted(alerts=0, deliveries=0))
    assert producing.peak_kib < MOST_MEMORY_KIB


def kill_at_random(
    producing: RestartingProducer, server: EmbeddedServer, writing: LogWriter, random: Random
) -> tuple[int, int]:
    """Kill both until all alerts are written. Return the number of server kills, and of those that lost data."""
    crashes = forgot = 0
    while producing.kills < ROUNDS or writing.is_alive():
        if random.random() < 0.8:
            eventually(producing.is_at_work)
        pause(random.uniform(0, 1.2))
        if crashes < SERVER_KILLS and producing.kills >= (crashes + 0.5) * ROUNDS / SERVER_KILLS:
            forgot += crash(server, forgets_s=1.0 if crashes % 2 == 0 else 0.0)
            crashes += 1
            server.start()
        with server.client() as client:
            now_ms = round(time.time() * 1000)
            lasts_ms = random.randint(1000, 30_000)  # a restart takes some of it
            silence = Silence(
                id=f"s{producing.kills}",
                match=(f"id = *{random.randrange(10)}",),
                integrations=(QUIET,),
                start_ms=now_ms,
                end_ms=now_ms + lasts_ms,
                why="chaos",
                author="test",
            )
            write_silence(client, silence, is_new=True)
        producing.kill()
    return crashes, forgot


def all_stored(client: redis.Redis, name: str, log: ManagerLog, step: int) -> bool:
    return count_records(client, name) + totals_of(client, name)["silenced"] >= len(range(0, log.written, step))


def totals_of(client: redis.Redis, name: str) -> Counter[str]:
    found: Any = client.hgetall(f"courier:{{{name}}}:totals")
    return Counter({field.decode(): int(value) for field, value in found.items()})


def count_records(client: redis.Redis, name: str) -> int:
    found: Any = client.hlen(f"courier:{{{name}}}:records")
    return int(found)


def is_fully_read(client: redis.Redis) -> bool:
    """Return whether both cursors are equal; an idle producer writes them within a second."""
    places: list[Any] = [client.hget(f"courier:{{{name}}}:cursor", NODE) for name in EXPECTED]
    return None not in places and len({place.partition(b" ")[0] for place in places}) == 1


def count_errors(client: redis.Redis, name: str, expected: set[int]) -> dict[str, int]:
    """Compare the ledger with the written alerts: by alert, by delivery id and by state."""
    keys = {part: f"courier:{{{name}}}:{part}" for part in ("records", "waiting", "released", "totals")}
    numbers = Counter(number_of(record) for _, record in client.hscan_iter(keys["records"], count=5000))
    records = count_records(client, name)
    states: Any = client.zcard(keys["waiting"]), client.zcard(keys["released"])
    total: Any = client.hget(keys["totals"], "committed")
    return {
        "lost": abs(len(expected - set(numbers)) - totals_of(client, name)["silenced"]),
        "enqueued_twice": sum(numbers.values()) - len(numbers) + len(set(numbers) - expected),
        "out_of_place": abs(records - sum(states)) + abs(records - int(total)),
    }
