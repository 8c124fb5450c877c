"""Runs each answer of ops/docs/cookbook.md, taken from the page: settings with alerts, commands with processes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner

from common.settings.load import load_settings
from common.silences import compile_silence, silence_for
from common.windows import held_until
from ops.cli.main import courier
from producer.configuration import read_configuration
from producer.filters.decode import decode_alert
from producer.filters.index import FilterIndex
from tests.support.processes import UNLIMITED, Courier, Manager
from tests.support.recorder import Recorder, eventually, patience

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import redis

    from ops.standalone.embedded_redis import EmbeddedServer
    from producer.ossec_conf import Configuration

PAGE = Path(__file__).parents[2] / "ops/docs/cookbook.md"
SECTIONS = dict(re.findall(r"^## (.+)\n((?:(?!^## ).*\n)*)", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
BLOCK = "<integration><name>{}</name>{}<alert_format>json</alert_format></integration>"
BLOCKS = (
    BLOCK.format("slack", "<hook_url>https://h.example/a</hook_url>")
    + BLOCK.format("pagerduty", "<api_key>k</api_key>")
    + BLOCK.format("custom-ticket", "")
)
VARIABLE = "https://h.example/from-a-variable"
BERLIN = ZoneInfo("Europe/Berlin")


def of(heading: str, kind: str) -> list[str]:
    """Return the code blocks of one kind below a heading."""
    return re.findall(rf"^```{kind}\n(.*?)^```$", SECTIONS[heading], re.MULTILINE | re.DOTALL)


def alert(number: int = 1, **fields: Any) -> bytes:
    """Return a line of the alert log; `rule__level=3` sets a field."""
    content: dict[str, Any] = {
        "timestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000+0000"),
        "rule": {"level": 7, "id": "5710", "description": "d", "groups": ["syslog", "sshd"]},
        "agent": {"id": "001", "name": "web01"},
        "manager": {"name": "m"},
        "id": f"1769846400.{number}",
        "full_log": "x",
        "location": "/var/log/secure",
    }
    for name, value in fields.items():
        *path, last = name.split("__")
        place = content
        for one in path:
            place = place.setdefault(one, {})
        place[last] = value
    return json.dumps(content).encode() + b"\n"


class Answer(NamedTuple):
    """The settings of an answer, in files of a test."""

    folder: Path
    configuration: Configuration

    def takers(self, **fields: Any) -> set[str]:
        """Return the integrations that get an alert."""
        found = self.configuration
        return set(FilterIndex(found.integrations, found.conditions, found.agents).match(alert(**fields)))


@pytest.fixture
def answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Answer]:
    """Puts the settings of a section into files, and passes only if `courier check` has nothing against them."""
    places = {"/run/secrets": str(tmp_path), "/etc/courier": str(tmp_path)}
    for name in ("slack", "slack-linux", "slack-windows"):
        (tmp_path / name).write_text(f"https://h.example/{name}")
    export = [{"id": "001", "group": ["default", "linux"]}, {"id": "002", "group": ["windows"]}]
    (tmp_path / "agents.json").write_text(json.dumps({"data": {"affected_items": export}}))
    for name in ("SLACK_VULNERABILITIES", "SLACK_NTLM", "PAGERDUTY_KEY"):
        monkeypatch.setenv(name, VARIABLE)
    monkeypatch.setenv("COURIER_WORKER_WAZUH_HOME", str(tmp_path / "no-manager"))

    def read(heading: str) -> Answer:
        toml, xml = ("\n".join(of(heading, kind)) for kind in ("toml", "xml"))
        for place, here in places.items():
            toml, xml = toml.replace(place, here), xml.replace(place, here)
        settings_file, config = tmp_path / "courier.toml", tmp_path / "ossec.conf"
        settings_file.write_text(toml)
        config.write_text(f"<ossec_config>{xml or BLOCKS}</ossec_config>")
        options = ["--settings", str(settings_file), "check", "--json", "--config", str(config)]
        checked = json.loads(CliRunner().invoke(courier, options).stdout)
        findings = [*checked["findings"], *(one for each in checked["integrations"] for one in each["findings"])]
        about_files = [one for one in findings if re.search(r"courier\.toml|ossec\.conf", one["where"])]
        assert [one for one in about_files if "the script was not checked" not in one["text"]] == []
        assert checked["passed"], findings
        settings = load_settings(
            file=settings_file, environment={}, cwd=tmp_path, overrides={"producer.config": str(config)}
        )
        return Answer(tmp_path, read_configuration(settings))

    return read


Case = tuple[dict[str, Any], set[str]]
WINDOWS_LOGON = "data__win__system__eventID"
MATCHING: dict[str, list[Case]] = {
    "Only alerts of production servers": [
        ({"agent__name": "prod-web1"}, {"slack"}),
        ({"agent__name": "db-2"}, {"slack"}),
        ({"agent__name": "test-prod-1"}, set()),
    ],
    "Each team gets the alerts of its own agent group": [
        ({"agent__id": "001"}, {"slack-linux"}),
        ({"agent__id": "002"}, {"slack-windows"}),
        ({"agent__id": "003"}, set()),
        ({"agent__id": "003", "agent__groups": ["linux", "windows"]}, {"slack-linux", "slack-windows"}),
    ],
    "Nothing from the vulnerability scanner": [
        ({"rule__groups": ["vulnerability-detector"]}, set()),
        ({"data__srcip": "10.0.9.16"}, set()),
        ({"data__srcip": "10.0.9.17"}, {"slack"}),
        ({}, {"slack"}),
    ],
    "Two channels by severity": [
        ({"rule__level": 6}, set()),
        ({"rule__level": 7}, {"slack"}),
        ({"rule__level": 11}, {"slack"}),
        ({"rule__level": 12}, {"pagerduty"}),
    ],
    "The same service twice, with different hooks": [
        ({}, {"slack-soc", "slack-it"}),
        ({"rule__groups": ["web"]}, {"slack-soc"}),
    ],
    "One list of noisy rules for ten integrations": [
        ({"rule__level": 12}, set()),
        ({"rule__id": "31101", "rule__level": 12, "data__url": "/healthz"}, set()),
        ({"rule__id": "31101", "rule__level": 12, "data__url": "/"}, {"slack", "pagerduty"}),
        ({"rule__id": "1"}, {"slack"}),
    ],
    "Everything of one MITRE tactic": [
        ({"rule__mitre__tactic": ["Persistence", "Credential Access"]}, {"pagerduty"}),
        ({"rule__mitre__tactic": ["Persistence"]}, set()),
        ({}, set()),
    ],
    "Failed Windows logons, but only of admins": [
        ({WINDOWS_LOGON: "4625", "data__win__eventdata__targetUserName": "Administrator"}, {"slack"}),
        ({WINDOWS_LOGON: "4625", "data__win__eventdata__targetUserName": "ADM-anna"}, {"slack"}),
        ({WINDOWS_LOGON: "4625", "data__win__eventdata__targetUserName": "anna"}, set()),
        ({WINDOWS_LOGON: "4624", "data__win__eventdata__targetUserName": "adm-anna"}, set()),
    ],
    "Changed files, but only under /etc": [
        ({"rule__groups": ["ossec", "syscheck"], "syscheck__path": "/etc/ssh/sshd_config"}, {"slack"}),
        ({"rule__groups": ["ossec", "syscheck"], "syscheck__path": "/etc/ssh/.x.swp"}, set()),
        ({"rule__groups": ["ossec", "syscheck"], "syscheck__path": "/var/etc/x"}, set()),
        ({"rule__groups": ["sshd"], "syscheck__path": "/etc/x"}, set()),
    ],
    "Not from internal networks": [
        ({"rule__groups": ["authentication_failed"], "data__srcip": "10.1.2.3"}, set()),
        ({"rule__groups": ["attack"], "data__srcip": "fd00::1"}, set()),
        ({"rule__groups": ["attack"], "data__srcip": "203.0.113.9"}, {"slack"}),
        ({"rule__groups": ["attack"]}, {"slack"}),
    ],
    "Numbers that are written as texts": [
        ({"data__vulnerability__score__base": "9.8"}, {"slack-vulnerabilities"}),
        ({"data__vulnerability__score__base": "10.0"}, {"slack-vulnerabilities"}),
        ({"data__vulnerability__score__base": "8.800000"}, set()),
        ({"data__vulnerability__score__base": "-"}, set()),
        ({"data__win__eventdata__keyLength": "56"}, {"slack-ntlm"}),
        ({"data__win__eventdata__keyLength": "128"}, set()),
        ({"data__win__eventdata__keyLength": "0"}, set()),
    ],
}
"""Who gets what. Integrations that a section does not mention count only if they are in one of its results."""


@pytest.mark.parametrize("heading", MATCHING)
def test_alerts_go_where_the_answer_says(heading: str, answer: Callable[[str], Answer]) -> None:
    found = answer(heading)
    about = set[str]().union(*(takers for _, takers in MATCHING[heading]))
    for fields, takers in MATCHING[heading]:
        assert found.takers(**fields) & about == takers, fields


class HoldCase(NamedTuple):
    """An alert of a level at a time in Berlin, and when it is sent; '' if at once."""

    moment: str
    level: int
    until: str


HOLDS = {
    "At night only level 12 and higher": (
        "slack",
        HoldCase("2026-01-29 21:59", 3, ""),
        HoldCase("2026-01-29 22:00", 11, "2026-01-30 06:00"),
        HoldCase("2026-01-30 05:59", 11, "2026-01-30 06:00"),
        HoldCase("2026-01-30 02:00", 12, ""),
    ),
    "Over the weekend, alerts wait until Monday": (
        "custom-ticket",
        HoldCase("2026-01-30 17:59", 3, ""),
        HoldCase("2026-01-30 18:00", 9, "2026-02-02 08:00"),
        HoldCase("2026-02-01 12:00", 3, "2026-02-02 08:00"),
        HoldCase("2026-02-02 07:59", 3, "2026-02-02 08:00"),
        HoldCase("2026-01-31 12:00", 10, ""),
        HoldCase("2026-02-02 08:00", 3, ""),
    ),
}
"""29 January 2026 is a Thursday."""


@pytest.mark.parametrize("heading", HOLDS)
def test_alerts_are_held_as_the_answer_says(heading: str, answer: Callable[[str], Answer]) -> None:
    integration_id, *cases = HOLDS[heading]
    configuration = answer(heading).configuration
    (hold,) = (one.hold for one in configuration.integrations if one.id == integration_id)
    assert hold is not None
    for case in cases:
        assert isinstance(case, HoldCase)
        moment = datetime.fromisoformat(case.moment).replace(tzinfo=BERLIN)
        until = held_until(hold, configuration.windows[hold.window], moment) if hold.applies_to(case.level) else None
        assert (f"{until.astimezone(BERLIN):%Y-%m-%d %H:%M}" if until else "") == case.until, case


def test_one_rule_is_dropped_for_one_agent_until_a_date(answer: Callable[[str], Answer]) -> None:
    configuration = answer("Drop one rule for one agent until a date").configuration
    (table,) = configuration.silences
    before, after = (
        round(datetime.fromisoformat(f"2026-12-31T{time}:00+01:00").timestamp() * 1000) for time in ("17:59", "18:00")
    )
    silence = compile_silence(table.published("n", {}, before))

    def is_silent(moment_ms: int, **fields: Any) -> bool:
        decoded = decode_alert(alert(**fields))
        return silence_for(decoded, moment_ms, configuration.integrations[0], [silence]) is not None

    assert is_silent(before)
    assert not is_silent(after)
    assert not is_silent(before, rule__id="5712")
    assert not is_silent(before, agent__name="web02")


def test_secrets_come_from_a_file_and_a_variable(answer: Callable[[str], Answer]) -> None:
    slack, pagerduty = answer("No secret in a configuration file").configuration.integrations
    assert slack.hook_url is not None
    assert pagerduty.api_key is not None
    assert slack.hook_url.reveal() == "https://h.example/slack"
    assert pagerduty.api_key.reveal() == VARIABLE


def test_tables_of_a_name_and_of_an_id_apply_to_two_blocks(answer: Callable[[str], Answer]) -> None:
    soc, it = answer("The same service twice, with different hooks").configuration.integrations
    assert (soc.max_log, it.max_log) == (500, 500)
    assert (soc.group, it.group) == (None, "syslog,sshd")
    assert soc.hook_url != it.hook_url


class Desk:
    """An operator's shell beside a manager, in which commands run as they are on the page."""

    def __init__(self, manager: Manager, server: EmbeddedServer, toml: str = "") -> None:
        self.manager, self.settings = manager, manager.folder / "courier.toml"
        self.settings.write_text(toml)
        tool = manager.folder / "tools/courier"
        tool.parent.mkdir()
        tool.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m ops.cli.main "$@"\n')
        tool.chmod(0o755)
        self.access = {
            "COURIER_REDIS_URL": server.url,
            "COURIER_STATE_DIR": str(manager.state),
            "COURIER_PRODUCER_CONFIG": str(manager.config),
            "COURIER_PRODUCER_ALERTS": str(manager.alerts),
            "COURIER_PRODUCER_NODE": "manager-1",
            "COURIER_SETTINGS": str(self.settings),
        }
        self._path = f"{tool.parent}:{os.environ['PATH']}"
        self._written = 0

    def run(self, commands: str) -> str:
        """Run commands, each of which must succeed, and return what they print."""
        ours = {name: value for name, value in os.environ.items() if not name.startswith("COURIER_")} | UNLIMITED
        done = subprocess.run(
            ["/bin/sh", "-eu", "-c", commands],
            env=ours | self.access | {"PATH": self._path},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=120 * patience(),
        )
        assert done.returncode == 0, f"{commands}\n{done.stdout}"
        return done.stdout

    def process(self, *arguments: str, **more: str) -> Courier:
        """Start a process that runs until the end of a `with` block."""
        return Courier(self.manager.folder, *arguments, **self.access | more)

    def write(self, **fields: Any) -> str:
        """Write one alert and return its id."""
        self._written += 1
        with self.manager.alerts.open("ab") as log:
            log.write(alert(self._written, **fields))
        return f"1769846400.{self._written}"

    def integration(self, name: str = "slack") -> Any:
        return json.loads(self.run("courier status --json"))["integrations"][name]


@pytest.fixture
def desk(server: EmbeddedServer, client: redis.Redis, manager: Manager) -> Desk:
    del client  # empties the server
    return Desk(manager, server)


@pytest.fixture
def running(desk: Desk) -> Iterator[Desk]:
    with desk.process("producer") as producer, desk.process("worker", "--http") as worker:
        eventually(lambda: "reading starts" in producer.log)
        eventually(lambda: "worker started" in worker.log)
        yield desk


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_mute_while_patching_and_what_to_do_if_it_was_too_wide(running: Desk, target: Recorder) -> None:
    before = running.write(agent__name="db-1")
    eventually(lambda: before in target.ids)
    (mute,), (too_wide,) = of("Mute while patching", "sh"), of("A silence was too wide", "sh")
    shown = running.run(mute)
    silence = json.loads(running.run("courier silence list --json"))["silences"][0]
    assert silence["id"] in shown

    def silenced() -> int:
        running.write(agent__name="db-1")
        return int(running.integration()["silenced"])

    eventually(silenced)
    other = running.write()
    eventually(lambda: other in target.ids)
    lost = running.integration()["silenced"]
    *look, dry, replay = too_wide.replace("k3f9qa", silence["id"]).splitlines()
    shown = running.run("\n".join(look))
    assert f"silence {silence['id']}: until " in shown
    assert "match: agent.name = db-*" in shown
    assert f"rule 5710: {lost}" in shown
    assert shown.endswith(f"{silence['id']} ended\n")
    assert f"{running._written - 1} matched" in running.run(dry)
    eventually(lambda: f"silence-{silence['id']}" in target.ids)
    running.run(replay)
    every = {f"1769846400.{n}" for n in range(1, running._written + 1)}
    eventually(lambda: set(target.ids) >= every)
    assert target.ids.count(other) == 1


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_pause_loses_nothing_and_an_alert_is_explained_and_tested(running: Desk, target: Recorder) -> None:
    pause, status, resume = of("Send nothing for two hours, and lose nothing", "sh")[0].splitlines()
    assert "slack paused, until " in running.run(pause)
    waiting = running.write()
    eventually(lambda: running.integration()["waiting"] == 1)
    assert "the channel is being moved" in running.run(status)
    assert target.ids == []
    running.run(resume)
    eventually(lambda: target.ids == [waiting])

    (commands,) = of("Does this alert reach Slack, and why not?", "sh")
    commands = commands.replace("/var/ossec/logs/alerts/alerts.json", str(running.manager.alerts))
    eventually(lambda: running.integration()["history"])
    shown = running.run(commands)
    assert "delivered" in shown
    assert '"ts": "1769846400.1"' in shown or "1769846400.1" in shown
    eventually(lambda: len(target.bodies) == 2)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_what_the_weekend_holds_can_be_sent_now(
    server: EmbeddedServer, client: redis.Redis, manager: Manager, target: Recorder
) -> None:
    del client  # empties the server
    begin, end = (datetime.now(UTC) + timedelta(hours=hours) for hours in (-1, 8))
    desk = Desk(
        manager,
        server,
        f'[windows]\nweekend = {{from = "{begin:%H:%M}", to = "{end:%H:%M}"}}\n'
        '[integrations.custom-ticket]\nservice = "slack"\nhold = {in = "weekend"}\n',
    )
    manager.config.write_text(manager.config.read_text().replace("<name>slack<", "<name>custom-ticket<"))
    status, dry, release = of("The weekend's alerts are needed now", "sh")[0].splitlines()
    with desk.process("producer") as producer, desk.process("worker", "--http"):
        eventually(lambda: "reading starts" in producer.log)
        held = [desk.write(), desk.write()]
        eventually(lambda: desk.integration("custom-ticket")["held"] == 2)
        assert "2 held until " in desk.run(status)
        assert "2 held until " in desk.run(dry)
        assert target.ids == []
        assert desk.run(release).endswith("custom-ticket: 2 released\n")
        eventually(lambda: sorted(target.ids) == held)


def test_the_numbers_of_a_change_are_shown_before_it_is_made(desk: Desk) -> None:
    manager = desk.manager
    manager.config.write_text(manager.config.read_text().replace("</name>", "</name><level>7</level>"))
    for number in range(4):
        desk.write(rule__level=5 + number, agent__name=f"build-{number % 2}", data__srcip=f"{10 + number}.0.0.1")
    desk.write(agent__name="web01")
    lower, without, new = of("What would a change do?", "sh")[0].splitlines()
    assert "slack: 3 alerts now, 5 then: 2 more, 0 fewer" in desk.run(lower)
    assert "slack: 3 alerts now, 1 then: 0 more, 2 fewer" in desk.run(without)
    assert "a new integration would match 4 alerts" in desk.run(new)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_second_manager_uses_the_same_workers(running: Desk, server: EmbeddedServer, tmp_path: Path) -> None:
    *settings, check, producer = of("A second manager or node", "sh")[0].splitlines()
    key = tmp_path / "second/secret.key"
    key.parent.mkdir(mode=0o700)
    key.write_bytes((running.manager.state / "secret.key").read_bytes())
    key.chmod(0o600)
    exports = "\n".join(settings).replace("/etc/courier/secret.key", str(key))
    exports = exports.replace("redis://redis.example:6379/0", server.url)
    with Recorder() as target:
        second = Manager(key.parent, target)
        second.config.write_text(second.config.read_text().replace("<integration>", '<integration id="slack-lyon">'))
        files = {
            "COURIER_PRODUCER_CONFIG": str(second.config),
            "COURIER_PRODUCER_ALERTS": str(second.alerts),
            "COURIER_STATE_DIR": str(second.state),
        }
        running.access |= files
        assert "slack-lyon" in running.run(f"{exports}\n{check}")
        more = dict(re.findall(r"^export (\w+)=(\S+)", exports, re.MULTILINE))
        (word,) = re.findall(r"^courier (\w+)$", producer, re.MULTILINE)
        with Courier(second.folder, word, **running.access | more) as process:
            eventually(lambda: "reading starts" in process.log)
            second.append(2)
            eventually(lambda: set(target.ids) == second.ids)
            nodes = {"manager-1", "manager-2"}
            eventually(lambda: set(json.loads(running.run("courier status --json"))["nodes"]) == nodes)


BY_COMMANDS = {
    "The weekend's alerts are needed now",
    "Mute while patching",
    "A silence was too wide",
    "What would a change do?",
    "Does this alert reach Slack, and why not?",
    "Send nothing for two hours, and lose nothing",
    "A second manager or node",
}


def test_every_answer_is_run() -> None:
    others = {"Drop one rule for one agent until a date", "No secret in a configuration file"}
    assert {*MATCHING, *HOLDS, *others, *BY_COMMANDS} == set(SECTIONS)
    assert len(SECTIONS) >= 15
    assert {heading for heading in SECTIONS if of(heading, "sh")} == BY_COMMANDS
