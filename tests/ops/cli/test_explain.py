"""`courier explain` on a real ledger and a real log: each state of a delivery, and what cannot be known."""

from __future__ import annotations

import json
import re
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from cryptography.fernet import Fernet

from common.errors import CourierError
from common.integration import Integration
from common.ledger import Attempt, Breaker, Commit, Header, LastResponse, Limits, Settlement, SettleOutcome
from common.ledger.keys import silenced_key
from common.registry.encryption import Cipher
from common.registry.published import PublishedRegistry
from common.reports.producer import IntegrationLag, ProducerReport, publish_producer_report
from common.reports.worker import WorkerReport, publish_worker_report
from common.settings.rate_limit import parse_rate_limit
from common.silences import Silence, write_silence
from ops.cli.main import courier
from producer.alertlog import AlertLog
from tests.support.ledger import Ledger
from tests.support.processes import alert

if TYPE_CHECKING:
    from pathlib import Path

    import redis

    from ops.standalone.embedded_redis import EmbeddedServer
    from producer.source import Line

NODE = "wazuh-1"
HOSTILE = 'no\x1b[2J\u202e"\n'
CONFIG = """<ossec_config>
<integration><name>slack</name><hook_url>https://h.example/a</hook_url></integration>
<integration><name>shuffle</name><hook_url>https://s.example/a</hook_url><level>12</level><group>web,</group>
<rule_id>1,2</rule_id><event_location>^/var</event_location></integration>
</ossec_config>"""
SETTINGS = """[producer]
node = "wazuh-1"
[integrations.slack]
only = ["agent.name = web*"]
except = ["@noisy and rule.level < 7"]
max_in_flight = 2
[conditions]
noisy = ["rule.id = 1", "rule.id = 5712"]
"""
LEVEL = 10


class World:
    """A manager's files with three alerts in the log, and a ledger in which a producer has committed."""

    def __init__(self, folder: Path, client: redis.Redis) -> None:
        self.folder, self.client, self.ledger = folder, client, Ledger(client)
        self.alerts = folder / "alerts.json"
        self.alerts.write_bytes(b"".join(alert(n, LEVEL) for n in range(3)))
        (folder / "ossec.conf").write_text(CONFIG)
        (folder / "courier.toml").write_text(SETTINGS)
        self.lines = self.read()
        self._registry = PublishedRegistry(client, Cipher(Fernet.generate_key()))
        self.configure("slack", "shuffle")

    def configure(self, *ids: str) -> None:
        """Publish that these integrations are configured, and no others."""
        self._registry.publish(NODE, [Integration(id=one, name=one) for one in ids])

    def read(self) -> list[Line]:
        with closing(AlertLog(self.alerts, max_line_bytes=10**6)) as log:
            return log.last(100)

    def id(self, number: int = 0) -> str:
        return f"{NODE}:{self.lines[number].id}"

    def commit(
        self, *numbers: int, to: str = "slack", cursor: str = "", ids: tuple[str, ...] = (), held_until_ms: int = 0
    ) -> None:
        """Commit these lines, with the cursor behind the last one unless another is given."""
        lines = [self.lines[n] for n in numbers]
        commit = Commit(
            node=NODE,
            expected=self.ledger.cursor(to, NODE),
            cursor=f"{cursor or lines[-1].next_cursor} signature",
            deliveries=[(one, line.raw) for one, line in zip(ids or map(self.id, numbers), lines, strict=True)],
            max_backlog=100,
            max_backlog_bytes=10**6,
            held_until_ms=dict.fromkeys(map(self.id, numbers), held_until_ms) if held_until_ms else {},
        )
        assert self.ledger.commit_all({to: commit}, {})

    def release(self, *, lease_s: float = 60, limits: Limits = Limits()) -> list[str]:  # noqa: B008 — immutable
        tasks = self.ledger.release(
            "slack", max_in_flight=10, batch_max=10, lease_s=lease_s, linger_s=0, limits=limits, ids_per_task=10
        )
        return [one for task in tasks for one in task]

    def begin(self, *ids: str, holder: str = "w") -> None:
        assert len(self.ledger.begin("slack", ids or [self.id()], token=holder, lease_s=60)) == len(ids or [1])

    def settle(self, outcome: SettleOutcome, delivery: str = "", **more: Any) -> None:
        header = Header(
            committed_ms=self.ledger.now_ms() - 5000,
            attempts=3,
            history=(
                Attempt(1_700_000_000_000, "http_5xx", "HTTP 503"),
                Attempt(1_700_000_001_000, "http_4xx", HOSTILE),
            ),
            response=LastResponse(1_700_000_001_000, 400, HOSTILE, truncated=True),
        )
        reason, limits = more.pop("reason", "http_4xx"), more.pop("limits", Limits())
        settlement = Settlement(id=delivery or self.id(), outcome=outcome, reason=reason, header=header, **more)
        assert self.ledger.settle("slack", [settlement], token="w", limits=limits).count == 1

    def kill(self, number: int = 0) -> None:
        """Make a dead letter of an alert."""
        self.commit(number)
        self.release()
        self.begin(self.id(number))
        self.settle(SettleOutcome.DEAD, self.id(number))

    def worker(self, process: str = "w") -> None:
        report = WorkerReport(seen_ms=self.ledger.now_ms(), begun=1, running=1, idle_since_ms=0)
        publish_worker_report(self.client, "http-1@host", process, report)

    def publish(self, **more: Any) -> None:
        publish_producer_report(self.client, NODE, ProducerReport(seen_ms=self.ledger.now_ms(), **more), added={})


@pytest.fixture
def world(tmp_path: Path, server: EmbeddedServer, client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COURIER_REDIS_URL", server.url)
    monkeypatch.setenv("COURIER_PRODUCER_CONFIG", str(tmp_path / "ossec.conf"))
    monkeypatch.setenv("COURIER_PRODUCER_ALERTS", str(tmp_path / "alerts.json"))
    return World(tmp_path, client)


def run(*arguments: str, given: bytes = b"") -> str:
    result = CliRunner().invoke(courier, ["explain", *arguments], input=given, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def refusal(*arguments: str) -> str:
    result = CliRunner().invoke(courier, ["explain", *arguments])
    assert isinstance(result.exception, CourierError)
    return str(result.exception)


def slack(wanted: str = "1769846400.0", one: str = "slack") -> dict[str, Any]:
    """Return the report about one integration; its text and JSON output must agree."""
    text, document = run(wanted), json.loads(run(wanted, "--json"))
    found: dict[str, Any] = next(each for each in document["integrations"] if each["id"] == one)
    assert f"\n{one}{'' if found['configured'] else ' (not configured on this node)'}: " in text
    return found


def test_filters_and_conditions_say_what_they_saw(world: World) -> None:
    del world
    shuffle = slack(one="shuffle")
    assert (shuffle["state"], shuffle["matches"]) == ("no_match", False)
    assert [(step["element"], step["requires"], step["has"], step["passes"]) for step in shuffle["filters"]] == [
        ("level", "12 or more", "10", False),
        ("rule_id", "1 or 2", "5712", False),
        ("group", "'web'", "sshd", False),
        ("event_location", "'^/var'", "/var/log/secure", True),
    ]
    assert shuffle["text"] == (
        "does not match: <level> requires 12 or more, the alert has 10; <rule_id> requires 1 or 2, the alert has 5712; "
        "<group> requires 'web', the alert has sshd"
    )
    only, without = slack()["conditions"]
    assert (only["kind"], only["text"], only["passes"]) == ("only", "agent.name = web*", True)
    assert only["explanation"]["steps"][0]["saw"] == 'saw "web01"'
    assert without["passes"]
    text = run("1769846400.0", "--integration", "shuffle")
    assert "  level: requires 12 or more, the alert has 10: NO\n" in text
    assert "slack" not in text


def test_excluding_condition_is_named(world: World) -> None:
    world.alerts.write_bytes(alert(0, 5))
    found = slack()
    assert found["state"] == "no_match"
    assert "except excludes @noisy and rule.level < 7: string 2 of 2 holds; saw 5" in found["text"]
    assert "  except[1] @noisy and rule.level < 7: excludes the alert\n" in run("1769846400.0")


def test_groups_of_agents_are_those_of_the_file(world: World) -> None:
    (world.folder / "agents").write_text("001 prod,web\n")
    with (world.folder / "courier.toml").open("a") as settings:
        settings.write(
            f'[agents]\nfile = "{world.folder}/agents"\n[integrations.shuffle]\nonly = ["agent.groups = prod"]\n'
        )
    (condition,) = slack(one="shuffle")["conditions"]
    assert condition["passes"]
    assert condition["explanation"]["steps"][0]["saw"] == 'saw "prod", "web"'


# -- waiting


def test_waiting_delivery_without_a_worker(world: World) -> None:
    world.commit(0, 1)
    found = slack()
    assert found["state"] == "waiting"
    assert found["deliveries"][0]["reasons"] == ["no worker is running: none has reported in the last five minutes"]
    second = slack("1769846400.1")
    assert "1 delivery of the integration is due earlier" in second["text"]


def test_waiting_delivery_that_nothing_holds_back(world: World) -> None:
    world.worker()
    world.commit(0)
    assert "nothing holds it back: it is released within a second" in slack()["text"]


def test_waiting_for_the_operator(world: World) -> None:
    world.commit(0)
    world.ledger.pause("slack", f"moved {HOSTILE}")
    found = slack()
    assert re.search(r"paused \S+ ago: moved no\\u001b\[2J", found["text"])
    assert found["commands"] == ["courier resume slack"]
    assert "  run: courier resume slack\n" in run("1769846400.0")


def test_waiting_for_a_retry(world: World) -> None:
    world.worker()
    world.commit(0)
    world.release()
    world.begin()
    world.settle(SettleOutcome.RETRY, delay_ms=3_600_000)
    found = slack()
    (delivery,) = found["deliveries"]
    assert found["state"] == "waiting"
    assert "its retry is due " in found["text"]
    assert "after 3 failed attempts, the last one http_4xx" in found["text"]
    assert delivery["due_ms"] > world.ledger.now_ms() + 3_000_000
    assert [one["reason"] for one in delivery["history"]] == ["http_5xx", "http_4xx"]


def test_waiting_for_a_replay(world: World) -> None:
    world.worker()
    world.kill()
    world.ledger.replay("slack", [world.id()], after_s=3600)
    found = slack()
    assert found["text"].startswith("replayed once: waiting, queued ")
    assert "it was replayed and is due " in found["text"]


def test_waiting_for_the_end_of_a_window(world: World) -> None:
    world.worker()
    with (world.folder / "courier.toml").open("a") as settings:
        settings.write(
            '[integrations.slack.hold]\nin = "night"\n[windows.night]\nfrom = "22:00"\nto = "06:00"\nzone = "UTC"\n'
        )
    world.commit(0, held_until_ms=world.ledger.now_ms() + 3_000_000)
    found = slack()
    (reason,) = found["deliveries"][0]["reasons"]
    assert reason.startswith("held until ")
    assert reason.endswith(" (in 50m) (hold, window night)")
    assert found["commands"] == ["courier release slack"]
    world.ledger.let_go("slack")
    assert slack()["commands"] == []


def test_waiting_for_the_target(world: World) -> None:
    world.commit(0, 1)
    world.release()
    world.begin()
    world.settle(SettleOutcome.RETRY, pause_ms=3_000_000)
    assert "target requested a pause, 50m left" in slack()["text"]


def test_waiting_for_the_breaker(world: World) -> None:
    world.commit(0, 1)
    limits = Limits(breaker=Breaker(failures=1, pause_s=3000, pause_max_s=3000))
    world.release(limits=limits)
    world.begin()
    world.settle(SettleOutcome.RETRY, reason="timeout", limits=limits)
    assert "breaker open, next try in 50m (timeout: 1 failed" in slack()["text"]


def test_waiting_for_a_rate_limit(world: World) -> None:
    world.worker()
    world.commit(0, 1)
    assert len(world.release(limits=Limits(rate_limits=(parse_rate_limit("1/h"),)))) == 1
    assert "rate limit 1/h reached" in slack("1769846400.1")["text"]


def test_waiting_for_others_in_flight(world: World) -> None:
    world.worker()
    world.commit(0, 1)
    assert len(world.release()) == 2
    world.commit(2)
    found = slack("1769846400.2")
    assert "2 deliveries are released or in flight, as many as max_in_flight allows" in found["text"]


# -- released


def test_released_and_in_flight(world: World) -> None:
    world.commit(0)
    world.release()
    found = slack()
    assert (found["state"], found["text"]) == (
        "released",
        "released to the queue courier.slack; no worker has begun it yet",
    )
    world.begin(holder="boot-1-2-3:x")
    unknown = slack()
    assert unknown["state"] == "in_flight"
    assert "in flight: a worker that does not report (boot-1-2-3) began it" in unknown["text"]
    world.worker("boot-1-2-3")
    known = slack()
    assert "in flight: http-1@host began it" in known["text"]
    assert known["deliveries"][0]["worker"] == "http-1@host"


# -- dead


def test_dead_letter_has_attempts_response_and_the_command_that_replays_it(world: World) -> None:
    world.kill()
    found = slack()
    (delivery,) = found["deliveries"]
    assert found["state"] == "dead"
    assert "http_4xx, after 3 attempts: no" in found["text"]
    assert delivery["response"] == {
        "at_ms": 1_700_000_001_000,
        "status": 400,
        "text": HOSTILE,
        "truncated": True,
    }
    text = run("1769846400.0")
    assert "  attempt 2023-11-14T22:13:20Z: http_5xx: HTTP 503\n" in text
    assert "status 400: no\\u001b[2J\\u202e" in text
    assert "\x1b" not in text
    command = next(line for line in text.splitlines() if "dead replay" in line).removeprefix("  run: courier ")
    replayed = CliRunner().invoke(courier, [*command.split(), "--yes"], catch_exceptions=False)
    assert "1 dead letter queued" in replayed.output
    assert slack()["state"] == "waiting"


def test_unreadable_dead_letter_is_not_replayed(world: World) -> None:
    world.kill()
    world.client.hset("courier:{slack}:records", world.id(), "garbage\x1b")
    found = slack()
    assert found["state"] == "dead"
    assert "cannot be read" in found["text"]
    assert [command.split()[2] for command in found["commands"]] == ["show"]


def test_dead_letter_of_a_removed_integration(world: World) -> None:
    world.kill()
    (world.folder / "ossec.conf").write_text("<ossec_config></ossec_config>")
    (world.folder / "courier.toml").write_text('[producer]\nnode = "wazuh-1"\n')
    world.configure("shuffle")
    found = slack()
    assert (found["configured"], found["matches"], found["state"]) == (False, None, "dead")
    assert found["commands"][0].endswith(" --integration slack --removed")
    assert [one["id"] for one in json.loads(run("1769846400.0", "--json"))["integrations"]] == ["slack"]
    assert "slack (not configured on this node): dead letter" in run("1769846400.0", "--integration", "slack")


# -- other deliveries of the same alert


def test_fallback_delivery_belongs_to_the_alert(world: World) -> None:
    world.kill()
    line = world.lines[0]
    fallback = f"{world.id()}+fallback:slack"
    world.commit(0, to="shuffle", ids=(fallback,))
    record = b'{"committed_ms":1700000000000,"fallback_of":["slack","http_4xx"]}\n' + line.raw
    world.client.hset("courier:{shuffle}:records", fallback, record)
    for wanted in ("1769846400.0", world.id(), fallback):
        found = slack(wanted, "shuffle")
        (delivery,) = found["deliveries"]
        assert (found["state"], delivery["id"], delivery["fallback_of"]) == ("waiting", fallback, "slack")
        assert found["text"].startswith("as the fallback of slack: waiting")
        assert "does not match" in found["notes"][0]
        assert slack(wanted)["state"] == "dead"


def test_moved_dead_letter_is_shown_where_it_is(world: World) -> None:
    world.kill()
    world.ledger.move("slack", [world.id()], to="shuffle")
    assert slack(one="shuffle")["deliveries"][0]["id"] == world.id()
    assert slack()["state"] == "ended"


# -- not in the ledger


def test_delivered_alert_without_history(world: World) -> None:
    world.commit(0)
    world.release()
    world.begin()
    world.settle(SettleOutcome.DELIVERED)
    found = slack()
    assert (found["state"], found["text"]) == ("ended", "delivered, skipped or deleted: there is no history of it")
    assert "was changed" in found["notes"][0]
    assert found["commands"] == [
        "courier replay-log --integration slack --from 2026-01-31T08:00:00Z --to 2026-01-31T08:00:01Z"
    ]


def test_alert_that_was_never_enqueued(world: World) -> None:
    world.commit(2)
    found = slack()
    assert found["state"] == "not_enqueued"
    assert found["text"].startswith("matches now, but was not enqueued")


def test_silenced_alert_names_the_silence(world: World) -> None:
    world.commit(2)
    at_ms = 1_769_846_400_000
    silence = Silence(
        id="abc234", match=("rule.id = 5712",), start_ms=at_ms - 1000, end_ms=at_ms + 1000, why=HOSTILE, author="me"
    )
    write_silence(world.client, silence, is_new=True)
    assert slack()["state"] == "not_enqueued", "it has kept nothing back"
    world.client.hset(silenced_key("slack", "abc234"), mapping={"number": 3, "rule:5712": 2})
    found = slack()
    assert found["state"] == "silenced"
    assert found["text"].startswith("silenced by abc234 (no")
    assert found["notes"] == ["that silence kept 3 alerts from this integration, 2 of rule 5712"]
    write_silence(world.client, silence.ended(at_ms), is_new=False)
    assert slack()["state"] == "not_enqueued", "it had ended"


def test_alert_that_was_read_late_names_the_silence_that_began_meanwhile(world: World) -> None:
    world.commit(2)
    at_ms = 1_769_846_400_000
    silence = Silence(
        id="abc234", match=("rule.id = 5712",), start_ms=at_ms + 1000, end_ms=at_ms + 9000, why="patching", author="me"
    )
    write_silence(world.client, silence, is_new=True)
    world.client.hset(silenced_key("slack", "abc234"), mapping={"number": 3, "rule:5712": 2})
    found = slack()
    assert found["state"] == "silenced"
    assert found["text"].startswith("probably silenced by abc234 (patching")
    world.client.hdel(silenced_key("slack", "abc234"), "rule:5712")
    assert slack()["state"] == "not_enqueued", "it kept no alert of this rule back"


def test_alert_that_is_not_read_yet(world: World) -> None:
    world.publish(lags={"slack": IntegrationLag(backpressured=True, max_backlog=7)}, intake_paused="Redis is full")
    world.commit(0)
    found = slack("1769846400.1")
    assert found["state"] == "not_read"
    assert "intake is paused: Redis is full; its backlog is full (max_backlog 7)" in found["text"]


def test_alert_before_a_producer_has_reported(world: World) -> None:
    assert "Redis has no read position of wazuh-1 for it" in slack()["text"]
    world.commit(0)
    assert "not read yet: its producer has never reported" in slack("1769846400.1")["text"]


def test_damaged_integration_does_not_stop_the_others(world: World) -> None:
    world.client.set("courier:{slack}:records", "x")
    found = slack()
    assert (found["state"], slack(one="shuffle")["state"]) == ("unknown", "no_match")
    assert "courier:{slack}:records" in found["text"]


def test_foreign_values_in_redis_cost_only_themselves(world: World) -> None:
    world.commit(0, 1)
    world.client.zadd("courier:{slack}:waiting", {world.id(): float("inf")})
    world.client.hset("courier:{slack}:records", world.id(1), b'{"committed_ms":1,"history":[[1,"\xff"]]}\n{}')
    assert slack()["state"] == "waiting"
    assert slack("1769846400.1")["state"] == "waiting"


def test_id_that_is_not_text_is_shown(world: World) -> None:
    world.client.hset("courier:{slack}:records", b"x\xff\x1b", b'{"committed_ms":1}\n' + world.lines[0].raw)
    world.client.zadd("courier:{slack}:waiting", {b"x\xff\x1b": 1})
    document = json.loads(run("x\udcff\x1b", "--json"))
    assert (document["delivery"], document["integrations"][0]["state"]) == ("x?\x1b", "waiting")
    assert "delivery x?\\u001b\n" in run("x\udcff\x1b")


# -- without Redis


def test_without_redis_only_filters_are_explained(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    del world
    monkeypatch.setenv("COURIER_REDIS_URL", "redis://127.0.0.1:1/0")
    assert slack(one="shuffle")["state"] == "no_match"
    found = slack()
    assert (found["state"], found["matches"]) == ("filters_only", True)
    assert "note: Redis does not answer" in run("1769846400.0")
    document = json.loads(run("1769846400.0", "--json"))
    assert document["time_ms"] is None
    assert "127.0.0.1:1" in document["redis_error"]
    assert "Redis does not answer" in refusal("wazuh-2:" + "0" * 20 + ":0000000000:00000000")


# -- which alert


def test_delivery_id_reads_its_line_directly(world: World) -> None:
    for number in range(3):
        assert json.loads(run(world.id(number), "--json"))["alert"]["id"] == f"1769846400.{number}"


def test_delivery_whose_line_is_gone_is_read_from_the_ledger(world: World) -> None:
    world.commit(0)
    world.alerts.write_bytes(b"")
    document = json.loads(run(world.id(), "--json"))
    assert document["source"] == "the ledger, integration slack"
    assert document["integrations"][0]["state"] == "waiting"
    assert json.loads(run("1769846400.0", "--json"))["delivery"] == world.id(), "the alert's own id is enough"
    assert "has that line any more" in refusal(world.id(1))
    assert "there is no line from" in refusal("1769846400.1")


def test_delivery_of_another_node(world: World) -> None:
    other = world.id().replace("wazuh-1", "wazuh-2")
    assert "it is of the node wazuh-2" in refusal(other)
    world.commit(0, ids=(other,))
    document = json.loads(run(other, "--json"))
    assert document["node"] == "wazuh-2"
    assert "the alert is of wazuh-2; filters are those of wazuh-1" in document["notes"]
    assert document["integrations"][0]["state"] == "waiting"


@pytest.mark.parametrize("wanted", ["x", "", "1769846400", f"a\x1b{HOSTILE}"])
def test_other_texts_are_refused_with_the_forms(world: World, wanted: str) -> None:
    del world
    assert "neither the id of an alert" in refusal(wanted)


def test_missing_alert_says_where_it_was_searched(world: World) -> None:
    assert "it is not among the 3 lines from 2026-01-31T07:59:00Z" in refusal("1769846400.7")
    assert str(world.alerts) in refusal("1769846400.7")


def test_alert_from_a_file(world: World) -> None:
    world.commit(0)
    in_log = json.loads(run("--alert", "-", "--json", given=alert(0, LEVEL)))
    assert (in_log["delivery"], in_log["integrations"][0]["state"]) == (world.id(), "waiting")
    other = json.loads(run("--alert", "-", "--json", given=alert(0, 12)))
    assert (other["delivery"], other["integrations"][0]["state"]) == ("", "filters_only")
    assert "not from the log" in other["integrations"][0]["text"]
    none = json.loads(run("--alert", "-", "--json", given=b'{"id":"1.1"}'))
    assert none["integrations"][0]["state"] == "not_an_alert"


def test_last_alerts_are_listed_briefly(world: World) -> None:
    world.commit(0, 1, 2)
    text = run("--last", "2", "--integration", "slack")
    assert [line.split(",")[0] for line in text.splitlines() if line.startswith("alert")] == [
        "alert 1769846400.1",
        "alert 1769846400.2",
    ]
    assert text.count("  slack: waiting") == 2
    assert len(run("--last", "100", "--json").splitlines()) == 3


@pytest.mark.parametrize("arguments", [[], ["1.1", "--last", "1"], ["--last", "0"], ["--last", "101"]])
def test_exactly_one_way_to_name_the_alert(world: World, arguments: list[str]) -> None:
    del world
    assert CliRunner().invoke(courier, ["explain", *arguments]).exit_code == 2


def test_unknown_integration_is_refused(world: World) -> None:
    del world
    assert "unknown integration 'slak'" in refusal("1769846400.0", "--integration", "slak")


def test_hostile_alert_is_escaped(world: World) -> None:
    fields = json.loads(alert(0)) | {"agent": {"id": HOSTILE, "name": f"web{HOSTILE}"}, "location": HOSTILE}
    fields["rule"] |= {"description": HOSTILE * 1000, "id": "\ud800"}
    world.alerts.write_bytes(json.dumps(fields).encode() + b"\n")
    text, document = run("1769846400.0"), run("1769846400.0", "--json")
    assert "\x1b" not in text + document
    assert "\u202e" not in text + document
    assert json.loads(document)["alert"]["agent_id"] == HOSTILE
    assert len(text) < 5000


def test_refused_blocks_are_noted(world: World) -> None:
    (world.folder / "ossec.conf").write_text(CONFIG.replace("<rule_id>1,2<", "<rule_id>x<"))
    world.publish(config_error="line 3: x")
    text = run("1769846400.0")
    assert "note: some integrations are refused and not explained; see `courier check`" in text
    assert "note: the producer of wazuh-1 does not use the current files: line 3: x" in text
