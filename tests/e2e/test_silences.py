"""Silences from the command line to the closing message, with real processes, of which the producer is killed."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from common.ledger import Ledger, Unaccounted, unaccounted
from common.silences import MAX_SILENCES, Silence, write_silence
from tests.support.processes import Courier
from tests.support.recorder import eventually, patience

if TYPE_CHECKING:
    import redis

    from ops.standalone.embedded_redis import EmbeddedServer
    from tests.support.processes import Manager
    from tests.support.recorder import Recorder

SEEN_LIMIT_S = 2.0
KILLS = 5


class System:
    """The manager's files, and commands as processes."""

    def __init__(self, client: redis.Redis, server: EmbeddedServer, manager: Manager) -> None:
        self._client, self._manager = client, manager
        self._access = {
            "COURIER_REDIS_URL": server.url,
            "COURIER_STATE_DIR": str(manager.state),
            "COURIER_PRODUCER_NODE": "n",
        }

    def process(self, *arguments: str) -> Courier:
        return Courier(self._manager.folder, *arguments, **self._access)

    def producer(self) -> Courier:
        return self.process("producer", *self._manager.files())

    def command(self, *arguments: str, status: int = 0) -> str:
        """Run a command and return its output."""
        (self._manager.folder / f"{arguments[0]}.log").unlink(missing_ok=True)
        command = self.process(*arguments)
        assert command.process.wait(60 * patience()) == status, command.log
        return command.log

    def silence(self, *arguments: str) -> Any:
        return json.loads(self.command("silence", *arguments, "--json"))

    def totals(self) -> dict[str, int]:
        """Return the counters, which add up at any moment."""
        status = Ledger(self._client).status("slack")
        assert unaccounted(status) == Unaccounted(alerts=0, deliveries=0), status
        return status.totals


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_silence_is_seen_counted_ended_and_announced_once(
    client: redis.Redis, server: EmbeddedServer, manager: Manager, target: Recorder
) -> None:
    system = System(client, server, manager)
    with system.process("worker", "--http", "--state", str(manager.state)) as worker:
        producer = system.producer()
        eventually(lambda: "reading starts" in producer.log)
        eventually(lambda: "worker started" in worker.log)
        manager.append(3)
        eventually(lambda: len(set(target.ids)) == 3)

        options = ("--rule", "5712", "--agent", "web*", "--integration", "sla*", "--for", "1h", "--announce")
        name = system.command("silence", "add", *options, "--reason", "patching").split()[-1]
        began_s = time.monotonic()
        while not system.totals().get("silenced"):
            manager.append(1)
            assert time.monotonic() - began_s < SEEN_LIMIT_S * patience()
            time.sleep(0.05)  # a steady stream of alerts

        for _ in range(KILLS):
            for _ in range(20):
                manager.append(25)
                system.totals()
            producer.process.kill()
            producer.process.wait()
            producer = system.producer()
        eventually(lambda: system.totals()["read"] == manager.written)
        totals = system.totals()
        assert totals["silenced"] >= KILLS * 20 * 25
        eventually(lambda: len(set(target.ids)) == totals["enqueued"])

        shown = system.silence("show", name)
        assert (shown["state"], shown["count"], shown["why"]) == ("running", totals["silenced"], "patching")
        assert shown["silenced"]["slack"]["rules"] == {"5712": totals["silenced"]}
        assert [one["id"] for one in system.silence("list")["silences"]] == [name]
        report = json.loads(system.command("status", "--json"))
        assert report["integrations"]["slack"]["silenced"] == totals["silenced"]
        assert [one["id"] for one in report["silences"]] == [name]

        assert system.command("silence", "end", name) == f"{name} ended\n"
        eventually(lambda: closing(target))
        producer.process.kill()
        producer.process.wait()
        with system.producer():
            delivered = len(set(target.ids))
            manager.append(1)
            eventually(lambda: len(set(target.ids)) == delivered + 1)
            assert len(closing(target)) == 1
            assert f"{totals['silenced']} alerts not sent" in closing(target)[0]
            assert system.silence("list") == {"silences": []}
            assert system.silence("list", "--all")["silences"][0]["silenced"]["slack"]["announced_ms"]
            assert "had already ended" in system.command("silence", "end", name)
            assert system.totals()["read"] == manager.written


def closing(target: Recorder) -> list[str]:
    """Return the closing messages that arrived."""
    return [body.decode() for body in target.bodies if b"Courier: silence " in body]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--for", "2h", "--reason", "x"], "neither conditions nor integrations"),
        (["--rule", "1", "--reason", "x"], "Give the end with --for or with --until."),
        (["--rule", "1", "--for", "2", "--reason", "x"], "is not a whole number and a unit"),
        (["--rule", "1", "--until", "2h", "--reason", "x"], "is not a time"),
        (["--rule", "1", "--until", "2020-01-01T00:00:00Z", "--reason", "x"], "The end must be after the start."),
        (["--match", "rule.id == 1", "--for", "2h", "--reason", "x"], "--match, column 9"),
        (["--match", "@noisy", "--for", "2h", "--reason", "x"], "known only there"),
        (["--rule", "1", "--integration", "slakc", "--for", "2h", "--reason", "x"], "unknown integration 'slakc'"),
        (["--rule", "1", "--for", "2h", "--reason", ""], "--reason is empty"),
        (["--rule", "1", "--for", "9999999d", "--reason", "x"], "--for or --until is too late"),
        (["--rule", "1", "--for", "2h"], "Missing option '--reason'"),
    ],
)
def test_bad_input_is_one_line_and_no_silence(
    client: redis.Redis, server: EmbeddedServer, options: list[str], problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from click.testing import CliRunner  # noqa: PLC0415 — of this test alone

    from ops.cli.main import courier  # noqa: PLC0415 — as above

    monkeypatch.setenv("COURIER_REDIS_URL", server.url)
    result = CliRunner().invoke(courier, ["silence", "add", *options])
    assert result.exit_code != 0
    assert problem in f"{result.output}{result.exception}"
    assert not client.exists("courier:silences")


def test_a_silence_without_effect_is_shown_as_ignored_and_too_many_are_refused(
    client: redis.Redis, server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from click.testing import CliRunner  # noqa: PLC0415 — of this test alone

    from ops.cli.main import courier  # noqa: PLC0415 — as above

    monkeypatch.setenv("COURIER_REDIS_URL", server.url)
    now_ms = round(time.time() * 1000)
    fields: dict[str, Any] = {"start_ms": now_ms, "end_ms": now_ms + 3_600_000, "why": "x", "author": "anna"}
    write_silence(client, Silence(id="broken", match=("((",), **fields), is_new=True)
    listed = CliRunner().invoke(courier, ["silence", "list", "--json"])
    assert [one["state"] for one in json.loads(listed.stdout)["silences"]] == ["ignored"]
    assert "ignored: broken: silence broken: match[1], column 1" in listed.stderr
    assert "broken" not in CliRunner().invoke(courier, ["status"]).output
    for n in range(MAX_SILENCES - 1):
        write_silence(client, Silence(id=f"s{n}", match=("rule.id = 1",), **fields), is_new=True)
    result = CliRunner().invoke(courier, ["silence", "add", "--rule", "1", "--for", "2h", "--reason", "x"])
    assert "1,000 silences run or will run" in f"{result.output}{result.exception}"
    assert client.hlen("courier:silences") == MAX_SILENCES
    ended = CliRunner().invoke(courier, ["silence", "end", "broken"])
    assert ended.stdout == "broken ended\n"
