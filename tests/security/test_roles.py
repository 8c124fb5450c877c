"""Each Redis role can do its own work, and nothing else (SECURITY.md, Redis)."""

from __future__ import annotations

import hashlib
import re
import time
from contextlib import contextmanager
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
import redis

from common.broker.celery_app import make_app
from common.connection.errors import as_ledger_errors
from common.errors import LedgerMisconfigured
from common.ledger import (
    Attempt,
    Commit,
    DeadLetter,
    Delivery,
    Header,
    HistoryEntry,
    Settlement,
    SettleOutcome,
    SilenceCount,
    scripts,
)
from common.silences import Silence, delete_silences, fetch_counts, fetch_silences, read_silences, write_silence
from ops.admin.delivery_test.queued import QueuedTests
from ops.admin.redis_roles import ROLES, acl_lines
from ops.admin.session import LedgerSession
from ops.console import delivery_tests
from ops.standalone.embedded_redis import free_port
from tests.e2e.test_metrics import Scrape
from tests.support.console import LOGIN, ConsoleServer
from tests.support.fakes import SIGNATURES
from tests.support.ledger import Ledger
from tests.support.processes import Courier, Manager
from tests.support.recorder import Recorder, eventually
from workers.celery_worker.small_tasks import SmallTasks
from workers.delivery import test_report
from workers.delivery.lookup_store import LookupStore
from workers.delivery.test_report import DeliveryTestReport

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ops.standalone.embedded_redis import EmbeddedServer

PASSWORDS = {role.name: f"of-the-{role.name}" for role in ROLES}
NAMES = tuple(PASSWORDS)
CONSOLE_PATHS = ("/dead/letter?letter=slack+d-0", "/integration/slack")
BROKEN = b'"1769846400.3"'


def execute(client: redis.Redis, *words: str) -> None:
    client.execute_command(*words)  # type: ignore[no-untyped-call]  # redis-py left it untyped


@pytest.fixture(autouse=True)
def users(client: redis.Redis) -> Iterator[None]:
    """Create the users of every role on the real server."""
    for line in acl_lines(PASSWORDS, "of-the-administrator"):
        _, name, *rules = line.split()
        if name in NAMES:
            execute(client, "ACL", "SETUSER", name, *rules)
    execute(client, "ACL", "LOG", "RESET")
    yield
    execute(client, "ACL", "DELUSER", *NAMES)


@contextmanager
def login(server: EmbeddedServer, name: str) -> Iterator[redis.Redis]:
    with redis.Redis(port=server.port, username=name, password=PASSWORDS[name]) as connection:
        yield connection


def refused(client: redis.Redis) -> list[str]:
    """Return the commands that Redis has refused so far, with their users."""
    return [f"{one['username']}: {one['reason']} {one['object']}" for one in client.acl_log()]


class System:
    """Starts each process of one manager as the user of its role."""

    def __init__(self, folder: Path, server: EmbeddedServer, manager: Manager) -> None:
        self._folder, self._server, self.manager = folder, server, manager

    def process(self, role: str, *arguments: str, **more: str) -> Courier:
        password = self._folder / f"{role}.password"
        password.write_text(PASSWORDS[role])
        environment = {
            "COURIER_REDIS_URL": f"redis://{role}@127.0.0.1:{self._server.port}/0",
            "COURIER_REDIS_PASSWORD_FILE": str(password),
            "COURIER_PRODUCER_NODE": "n",
        }
        return Courier(self._folder, *arguments, **environment | more)

    def run(self, role: str, *arguments: str) -> int:
        return self.process(role, *arguments).process.wait(60)


@pytest.mark.slow
@pytest.mark.timeout(500)  # fifteen processes are started one after another
def test_every_process_works_as_the_user_of_its_role(
    client: redis.Redis, server: EmbeddedServer, tmp_path: Path
) -> None:
    port = free_port()

    def status(body: bytes) -> int:
        return 400 if BROKEN in body and not client.exists("mended") else 200

    with Recorder(status) as target:
        manager = Manager(tmp_path, target)
        system = System(tmp_path, server, manager)
        with (
            system.process("producer", "producer", *manager.files()) as producer,
            system.process("worker", "worker", "--http", "--name", "w", "--state", str(manager.state)),
            system.process("flower", "flower", "--flower-port", "0") as flower,
            system.process("exporter", "exporter", COURIER_METRICS_PORT=str(port)),
        ):
            eventually(lambda: "new integration; reading starts" in producer.log)
            found = eventually(lambda: re.search(r"Flower is at http://[^\"]*:(\d+)/", flower.log))
            manager.append(200)
            eventually(lambda: len(set(target.ids)) >= 199)
            assert system.run("operator", "pause", "slack") == 0
            assert system.run("operator", "resume", "slack") == 0
            silence = ("--integration", "slack", "--match", "rule.id = 0", "--for", "2s", "--reason", "x")
            assert system.run("operator", "silence", "add", *silence) == 0
            assert system.run("operator", "silence", "list", "--all") == 0
            ids: Any = client.hkeys("courier:silences")
            assert system.run("operator", "silence", "show", ids[0].decode()) == 0
            assert system.run("operator", "silence", "end", ids[0].decode()) == 0
            eventually(lambda: client.zcard("courier:{slack}:dead") == 1)
            assert system.run("operator", "dead", "list") == 0
            assert system.run("operator", "explain", "1769846400.3", *manager.files()[:4]) == 0
            client.set("mended", 1)
            assert system.run("operator", "dead", "replay", "--integration", "slack", "--yes") == 0
            eventually(lambda: set(target.ids) == manager.ids)
            delivered = {"integration": "slack", "outcome": "delivered", "reason": ""}
            scrape = Scrape(port)
            eventually(lambda: scrape.value("courier_deliveries_total", **delivered) == len(manager.ids))
            eventually(lambda: scrape.value("courier_lines_total", node="n") == len(manager.ids))
            again = ("--from", "2026-01-31T00:00:00Z", "--to", "2026-02-01T00:00:00Z", *manager.files()[:4])
            assert system.run("operator", "replay-log", "--integration", "slack", "--rate", "1000", *again) == 0
            eventually(lambda: all(target.ids.count(one) >= 2 for one in manager.ids))
            assert system.run("operator", "test", "slack", "--timeout", "2m") == 0
            assert system.run("operator", "history", "slack", "--last", "5") == 0
            assert system.run("operator", "release", "slack", "--yes") == 0
            for role in ("operator", "exporter"):
                assert system.run(role, "status") == 0
            assert system.run("producer", "health", "producer", "--node", "n", *manager.files()[2:4]) == 0
            assert system.run("worker", "health", "worker", "--name", "w") == 0
            assert system.run("flower", "health", "flower", "--flower-port", found[1]) == 0
    assert refused(client) == []


def test_flower_can_read_queues_and_query_workers(client: redis.Redis, server: EmbeddedServer, tmp_path: Path) -> None:
    """A worker responds to the requests of Flower's pages, and both stop without an error."""
    with Recorder() as target:
        manager = Manager(tmp_path, target)
        system = System(tmp_path, server, manager)
        with (
            system.process("producer", "producer", *manager.files()) as producer,
            system.process("worker", "worker", "--http", "--name", "w", "--state", str(manager.state)),
        ):
            eventually(lambda: "new integration; reading starts" in producer.log)
            app = make_app(f"redis://flower:{PASSWORDS['flower']}@127.0.0.1:{server.port}/0")
            eventually(lambda: app.control.ping(timeout=1))
            inspect = app.control.inspect(timeout=2)
            assert inspect.active_queues()
            assert inspect.stats()
            with login(server, "flower") as connection:
                assert connection.llen("courier.slack") == 0
            app.close()
    assert refused(client) == []


def test_each_command_of_an_operator_works(client: redis.Redis, server: EmbeddedServer) -> None:
    header = Header(committed_ms=1, attempts=1, history=(Attempt(1, "unauthorized"),))
    letters = [DeadLetter(Delivery(f"id-{n}", header, b"{}"), 1) for n in range(4)]
    with login(server, "operator") as connection:
        ledger = Ledger(connection)
        assert ledger.import_dead("slack", letters) == 4
        assert ledger.replay("slack", ["id-0"]) == 1
        assert ledger.bury("slack", reason="buried") == 1
        assert ledger.move("slack", ["id-1"], to="shuffle") == 1
        assert ledger.discard("slack", ["id-2"]) == 1
        assert [one.place for one in ledger.locate({"slack": ["id-0", "id-2", "id-3"]})["slack"]] == ["dead", "dead"]
        assert len(list(ledger.dead_letters("slack"))) == 2
        assert ledger.intake_block_reason() == ledger.disk_error() == ""
        entries = [one for one in ledger.history(["slack"]) if isinstance(one, HistoryEntry)]
        assert [one.outcome for one in entries] == ["dead", "moved", "discarded"]
        assert ledger.wait_for_history({"slack": "0-0"}, timeout_s=1) == {"slack": entries}
    with login(server, "exporter") as connection:
        assert Ledger(connection).last_history(["slack"], 1) == {"slack": entries[-1:]}
    assert refused(client) == []


def test_worker_without_rights_to_the_history_delivers_and_keeps_none(
    client: redis.Redis, server: EmbeddedServer
) -> None:
    """The users of a redis.acl of an older version have none."""
    (worker,) = [role for role in ROLES if role.name == "worker"]
    older = worker._replace(keys=tuple(key for key in worker.keys if "history" not in key))
    _, _, *rules = older.acl_line(hashlib.sha256(b"old").hexdigest()).split()
    with server.client() as administrator:
        administrator.execute_command("ACL", "SETUSER", "older", *(rule for rule in rules if rule != "+xadd"))
    deliveries = [("a", b"{}"), ("b", b"{}")]
    Ledger(client).commit(
        "slack", node="n", expected="", cursor="c", deliveries=deliveries, max_backlog=9, max_backlog_bytes=999
    )
    Ledger(client).release("slack", max_in_flight=9, batch_max=9, lease_s=60, linger_s=0)
    try:
        with redis.Redis(port=server.port, username="older", password="old") as connection:
            ledger = Ledger(connection)
            ledger.trim_history("slack", max_entries=100, max_age_s=60)
            ledger.begin("slack", ["a", "b"], token="w", lease_s=60)
            dead = Settlement(id="a", outcome=SettleOutcome.DEAD, header=Header(committed_ms=1), facts=b"[]")
            delivered = Settlement(id="b", outcome=SettleOutcome.DELIVERED, facts=b"[]")
            assert ledger.settle("slack", [dead, delivered], token="w").count == 2
    finally:
        client.acl_deluser("older")
    assert Ledger(client).status("slack").totals["delivered"] == 1
    assert list(Ledger(client).history(["slack"])) == []


def test_a_producer_can_count_for_silences_and_announce_and_delete_them(
    client: redis.Redis, server: EmbeddedServer
) -> None:
    now_ms = round(time.time() * 1000)
    silence = Silence(id="s", match=("x",), start_ms=0, end_ms=now_ms, why="w", author="a")
    count = SilenceCount("s", now_ms + 1000, {"5710": 3})
    terms = Commit(
        node="n", expected="", cursor="c", deliveries=[], max_backlog=9, max_backlog_bytes=99, silenced=(count,)
    )
    with login(server, "producer") as connection:
        ledger = Ledger(connection)
        ledger.commit_all({"slack": terms}, {})
        assert ledger.close_silence("slack", "s", 3, "id", b"{}")
        write_silence(connection, silence, is_new=True)
        assert fetch_silences(connection)
    with login(server, "operator") as connection:
        write_silence(connection, silence, is_new=False)
        assert fetch_counts(connection, [("slack", "s")])["slack", "s"].number == 3
    with login(server, "producer") as connection:
        delete_silences(connection, ["s"])
    assert refused(client) == []


def test_an_operator_can_test_an_integration_and_read_what_the_worker_reports(
    client: redis.Redis, server: EmbeddedServer
) -> None:
    client.hset("courier:integrations", mapping={"slack": "sealed", "version": 1})
    client.hset("courier:catalogue", "slack", "slack")
    with login(server, "operator") as operator, login(server, "worker") as worker:
        session = LedgerSession(operator, Ledger(operator), {})

        def sleep(_seconds: float) -> None:
            waiting: Any = client.zrange("courier:{slack}:waiting", 0, 0)
            (delivery_id,) = waiting
            test_report.publish(worker, "slack", delivery_id.decode(), DeliveryTestReport(outcome="delivered"))

        tests = QueuedTests(session, timeout_s=1.5, random=Random(1), sleep=sleep)
        (result,) = tests.run(["slack"], b"{}")
        assert (result.outcome, result.why) == ("not_sent", "no worker is running")
        report = test_report.fetch(operator, "slack", result.delivery)
        assert report is not None
        assert report.outcome == "delivered"
    assert refused(client) == []


def test_a_worker_can_cache_lookups_and_expire_dead_letters(client: redis.Redis, server: EmbeddedServer) -> None:
    with login(server, "worker") as connection:
        lookups = LookupStore(connection, "virustotal-v3", SIGNATURES)
        assert lookups.acquire("x")
        lookups.put("x", b"known", 60)
        assert lookups.get("x") == b"known"
        assert Ledger(connection).retain("slack", max_age_s=1, max_bytes=None) == 0
        Ledger(connection).trim_history("slack", max_entries=10, max_age_s=60)
        assert Ledger(connection).reap("slack", queued=(), lease_s=1).lost == 0
    assert refused(client) == []


def test_a_worker_can_take_small_tasks(client: redis.Redis, server: EmbeddedServer) -> None:
    client.lpush("courier.jira", "a task")
    with login(server, "worker") as worker:
        tasks = SmallTasks(worker, lambda: ["courier.slack", "courier.jira"])
        assert tasks.take_beside(b"courier.slack", b"another") == [(b"courier.jira", b"a task")]
    assert refused(client) == []


@pytest.mark.parametrize("role", ["producer", "worker"])
def test_every_role_that_releases_can_bury_an_unreadable_delivery(
    client: redis.Redis, server: EmbeddedServer, role: str
) -> None:
    client.hset("courier:{slack}:records", b"\xed\xa0\x80", b"junk")
    client.zadd("courier:{slack}:waiting", {b"\xed\xa0\x80": 1})
    with login(server, role) as connection:
        Ledger(connection).release("slack", max_in_flight=10, batch_max=10, lease_s=60, linger_s=0)
    assert client.zcard("courier:{slack}:dead") == 1
    assert refused(client) == []


@pytest.mark.parametrize("role", NAMES)
@pytest.mark.parametrize(
    "command",
    [
        "FLUSHALL",
        "FLUSHDB",
        "CONFIG GET *",
        "CONFIG SET maxmemory-policy allkeys-lru",
        "KEYS *",
        "ACL LIST",
        "ACL SETUSER x",
        "SHUTDOWN NOSAVE",
        "REPLICAOF NO ONE",
        "MONITOR",
        "CLIENT LIST",
        "CLIENT KILL TYPE normal",
        "EVAL return{} 0",
        "SCRIPT FLUSH",
        "FUNCTION LIST",
        "MODULE LIST",
        "SAVE",
        "BGREWRITEAOF",
        "RENAME courier:integrations courier:{x}:records",
        "COPY courier:integrations courier:{x}:records",
        "SORT courier:{slack}:waiting",
        "RESTORE courier:{slack}:records 0 x",
        "MIGRATE 127.0.0.1 1 courier:{slack}:records 0 1",
        "GET somebody-elses",
        "SET somebody-elses x",
        "HSET courier:{slack}:unknown a b",
        "DEL courier:integrations.other",
    ],
)
def test_no_role_administers_redis_or_touches_other_keys(server: EmbeddedServer, role: str, command: str) -> None:
    with login(server, role) as connection, pytest.raises(redis.exceptions.NoPermissionError):
        execute(connection, *command.split())


def test_info_is_the_only_dangerous_command_of_any_role(client: redis.Redis) -> None:
    dangerous = {*client.acl_cat("dangerous"), *client.acl_cat("admin")}
    for role in ROLES:
        assert role.allowed & dangerous == {"info"}, role.name


@pytest.mark.parametrize(
    ("role", "command"),
    [
        ("producer", "RPOP courier.slack"),
        ("producer", "LRANGE courier.slack 0 -1"),
        ("producer", "BRPOP courier.slack 1"),
        ("producer", "BRPOP unacked 1"),
        ("producer", "PUBLISH /0.celery.pidbox x"),
        ("producer", "PSUBSCRIBE /0.celeryev/*"),
        ("producer", "HGETALL courier:worker:w"),
        ("producer", "GET courier:lookups:{virustotal}:x"),
        ("producer", "SET courier:lookups:{virustotal}:x x"),
        ("producer", "SCAN 0"),
        ("worker", "HSET courier:integrations slack forged"),
        ("worker", "GET courier:test:{slack}:0"),
        ("operator", "SET courier:test:{slack}:0 forged"),
        ("exporter", "GETRANGE courier:test:{slack}:0 0 1"),
        ("worker", "DEL courier:integrations"),
        ("worker", "HSET courier:catalogue slack forged"),
        ("worker", "HSET courier:node:n seen_ms 1"),
        ("worker", "HGETALL courier:{slack}:cursor"),
        ("worker", "HSET courier:{slack}:cursor n 0"),
        ("worker", "DEL courier:{slack}:cursor"),
        ("worker", "HGETALL courier:silences"),
        ("worker", "HSET courier:silences x y"),
        ("worker", "HGETALL courier:{slack}:silenced:x"),
        ("worker", "LPUSH unacked x"),
        ("worker", "PUBLISH elsewhere x"),
        ("worker", "SCAN 0"),
        ("flower", "HGETALL courier:{slack}:records"),
        ("flower", "HGETALL courier:integrations"),
        ("flower", "LPUSH courier.slack x"),
        ("flower", "BRPOP courier.slack 1"),
        ("flower", "DEL courier.slack"),
        ("flower", "DEL courier:{slack}:records"),
        ("flower", "HSET courier:{slack}:cursor n 0"),
        ("flower", "SADD _kombu.binding.courier x"),
        ("flower", "SCAN 0"),
        ("exporter", "HSET courier:{slack}:totals delivered 9"),
        ("exporter", "HSET courier:silences x y"),
        ("exporter", "ZREM courier:{slack}:waiting x"),
        ("exporter", "DEL courier:{slack}:records"),
        ("exporter", "EVALSHA 0000000000000000000000000000000000000000 0"),
        ("exporter", "SCRIPT LOAD x"),
        ("exporter", "PUBLISH /0.celery.pidbox x"),
        ("exporter", "HGETALL courier:lookups:x"),
        ("exporter", "LRANGE courier.slack 0 -1"),
        ("console", "HSET courier:integrations slack forged"),
        ("console", "HSET courier:{slack}:silenced:x number 0"),
        ("console", "LPUSH courier.slack x"),
        ("console", "SET courier:test:{slack}:0 forged"),
        ("operator", "HSET courier:integrations slack forged"),
        ("operator", "HSET courier:node:n seen_ms 1"),
        ("operator", "HSET courier:{slack}:silenced:x number 0"),
        ("operator", "LPUSH courier.slack x"),
        ("operator", "PUBLISH /0.celery.pidbox x"),
        ("operator", "HSET courier:limits:{x} pause_until_ms 9"),
        ("operator", "SET courier:lookups:{virustotal}:x x"),
    ],
)
def test_a_role_cannot_do_the_work_of_another(server: EmbeddedServer, role: str, command: str) -> None:
    with login(server, role) as connection, pytest.raises(redis.exceptions.NoPermissionError):
        execute(connection, *command.split())


@pytest.mark.parametrize(
    ("role", "script"),
    [
        ("worker", "return redis.call('HGETALL', 'courier:{slack}:cursor')"),
        ("worker", "return redis.call('HSET', 'courier:integrations', 'slack', 'forged')"),
        ("worker", "return redis.call('FLUSHALL')"),
        ("flower", "return redis.call('HGETALL', 'courier:{slack}:records')"),
        ("operator", "return redis.call('LPUSH', 'courier.slack', 'x')"),
    ],
)
def test_a_lua_script_has_only_the_rights_of_its_user(server: EmbeddedServer, role: str, script: str) -> None:
    with login(server, role) as connection:
        digest = connection.script_load(script)
        with pytest.raises(redis.exceptions.RedisError, match=r"(?i)permission|NOPERM|ACL failure"):
            connection.evalsha(digest, 0)


def test_a_permission_error_names_the_right_user_and_shows_no_alert(server: EmbeddedServer) -> None:
    with login(server, "exporter") as connection:
        with pytest.raises(LedgerMisconfigured, match="`operator` for commands") as refusal:
            Ledger(connection).pause("slack")
        assert "no permissions" in str(refusal.value).lower()
        pipe = connection.pipeline(transaction=False)
        pipe.hset("courier:{slack}:records", "id", "words of an alert")
        with pytest.raises(LedgerMisconfigured) as refusal, as_ledger_errors():
            pipe.execute()
        assert "words of an alert" not in str(refusal.value)


def test_a_client_without_login_can_read_nothing(server: EmbeddedServer) -> None:
    wrong = redis.Redis(port=server.port, username="worker", password=PASSWORDS["producer"])
    with wrong as connection, pytest.raises(redis.exceptions.AuthenticationError):
        connection.ping()


def test_every_ledger_script_belongs_to_a_role() -> None:
    assert {name for role in ROLES for name in role.scripts} == set(scripts.INCLUDES)


def test_the_acl_lines_contain_no_plain_password() -> None:
    text = "\n".join(acl_lines(PASSWORDS, "of-the-administrator"))
    for password in (*PASSWORDS.values(), "of-the-administrator"):
        assert password not in text
        assert hashlib.sha256(password.encode()).hexdigest() in text


def test_the_console_reads_everything_that_it_shows_and_makes_every_change(
    client: redis.Redis, server: EmbeddedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery_tests, "TIMEOUT_S", 1.5)
    client.hset("courier:integrations", mapping={"slack": "sealed", "version": 1})
    header = Header(committed_ms=1, attempts=1, history=(Attempt(1, "unauthorized"),))
    Ledger(client).import_dead("slack", [DeadLetter(Delivery(f"d-{n}", header, b"{}"), 1) for n in range(3)])
    acting = [("reason", "x"), ("action", "replay"), ("letter", "slack d-0")]
    for role, status, left in (("exporter", 502, 3), ("console", 303, 2)):
        url = f"redis://{role}:{PASSWORDS[role]}@127.0.0.1:{server.port}/0"
        with ConsoleServer(tmp_path, url, **{"flower.basic_auth": LOGIN}) as console:
            visitor = console.visitor()
            own = [*CONSOLE_PATHS, "/alert/d-0"] if role == "console" else []
            for path in ("/", "/search", "/dead", "/health", "/silences", *own):
                assert visitor.get(path).status == 200, path
            if own:
                assert visitor.get("/alert/1.1").status == 404
            assert refused(client) == []
            assert visitor.post("/dead/act", acting).status == status
            execute(client, "ACL", "LOG", "RESET")
        assert len(list(Ledger(client).dead_letters("slack"))) == left
    url = f"redis://console:{PASSWORDS['console']}@127.0.0.1:{server.port}/0"
    with ConsoleServer(tmp_path, url, **{"flower.basic_auth": LOGIN}) as console:
        visitor, slack = console.visitor(), ("integration", "slack")
        why, hour = ("reason", "x"), ("for", "1h")
        assert visitor.post("/silences/add", [("rule", "1"), hour, why]).status == 303
        (silence_id,) = read_silences(fetch_silences(client)).silences
        for path, fields in (
            ("/silences/end", [("silence", silence_id), why]),
            ("/silences/pause", [slack, hour, why]),
            ("/silences/resume", [slack, why]),
            ("/silences/pause", [slack, why]),
            ("/silences/release", [slack, why]),
            ("/integration/slack/test", [why]),
        ):
            assert visitor.post(path, fields).status == 303, path
        assert "test:" in visitor.get("/integration/slack").text
        assert "not sent" in visitor.get("/integration/slack").text
    with login(server, "console") as connection:
        assert Ledger(connection).discard("slack", ["d-1"]) == 1
        assert test_report.fetch(connection, "slack", f"test:{'0' * 32}") is None
    assert refused(client) == []
