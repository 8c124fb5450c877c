"""`courier preview` on a log with dated and compressed files, through the command line."""

from __future__ import annotations

import gzip
import json
import os
import pty
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from common.settings.load import load_settings
from ops.admin.preview import Facts, facts_of
from ops.cli.main import courier, main
from producer.configuration import read_configuration
from producer.filters.index import FilterIndex

if TYPE_CHECKING:
    from click.testing import Result

CONFIG = """<ossec_config>
<integration><name>slack</name><hook_url>https://h.example/s3cr3t</hook_url><level>7</level></integration>
<integration><name>shuffle</name><hook_url>https://s.example/s3cr3t</hook_url><rule_id>5710</rule_id></integration>
</ossec_config>"""
SETTINGS = """
[agents]
file = "agents"

[conditions]
noisy = ["rule.id = 31101"]

[integrations.slack]
except = ["agent.name = build-*"]
"""
HOSTILE = "\u202edb\x1b"
TODAY = datetime.now(UTC).replace(hour=12)
"""The days of the log are near the real time, because the default period is the last seven days."""


def line(ago_days: int, level: int, rule: str = "5710", agent: str = "web01", **more: object) -> str:
    moment = TODAY - timedelta(days=ago_days)
    alert = {
        "timestamp": f"{moment:%Y-%m-%dT%H:%M:%S}.000+0000",
        "rule": {"level": level, "id": rule, "description": f"rule {rule}", "groups": ["sshd"]},
        "agent": {"id": {"web01": "001", HOSTILE: "003"}.get(agent, "002"), "name": agent},
        "location": "x",
        **more,
    }
    return json.dumps(alert) + "\n"


def day(ago_days: int) -> str:
    return f"{TODAY - timedelta(days=ago_days):%Y-%m-%d}"


def archive(ago_days: int, content: str, *, zipped: bool) -> None:
    moment = TODAY - timedelta(days=ago_days)
    path = Path(f"{moment:%Y/%b}/ossec-alerts-{moment:%d}.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    if zipped:
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(content.encode()))
    else:
        path.write_text(content)


@pytest.fixture(autouse=True)
def _files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COURIER_PRODUCER_CONFIG", "ossec.conf")
    monkeypatch.setenv("COURIER_PRODUCER_ALERTS", "alerts.json")
    Path("ossec.conf").write_text(CONFIG)
    Path("courier.toml").write_text(SETTINGS)
    Path("agents").write_text("001 prod\n002 default\n")
    archive(9, line(9, 12), zipped=True)
    archive(3, line(3, 5) + line(3, 7) + line(3, 3) + line(3, 9, agent="build-1"), zipped=True)
    archive(2, line(2, 5) + line(2, 6, "31101") + line(2, 10, "31101", agent="web02"), zipped=False)
    Path("alerts.json").write_text(line(1, 5, agent=HOSTILE) + "nonsense\n" + line(1, 8) + '{"rule":{"level":9}}\n')


def run(*options: str) -> Result:
    result = CliRunner().invoke(courier, ["preview", *options], catch_exceptions=False)
    assert "s3cr3t" not in result.output
    return result


def document(*options: str) -> dict[str, Any]:
    result = run("--json", *options)
    assert result.exit_code == 0
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def numbers(found: dict[str, Any]) -> tuple[int, int, int, int]:
    return found["now"], found["then"], found["more"], found["fewer"]


def slack(*options: str) -> dict[str, Any]:
    found: dict[str, Any] = document("--integration", "slack", *options)["integrations"]["slack"]
    return found


def test_a_lower_level_by_day_rule_and_agent() -> None:
    result = run("--integration", "slack", "--level", "5")
    assert result.exit_code == 0
    first, *rest = result.stdout.splitlines()
    assert first.startswith("from ")
    assert rest == [
        "slack: 3 alerts now, 7 then: 4 more, 0 fewer",
        "",
        "Day\tNow\tThen\tMore\tFewer",
        f"{day(3)}\t1\t2\t1\t0",
        f"{day(2)}\t1\t3\t2\t0",
        f"{day(1)}\t1\t2\t1\t0",
        "",
        "Rule\tNow\tThen\tMore\tFewer\tDescription",
        "5710\t2\t5\t3\t0\trule 5710",
        "31101\t1\t2\t1\t0\trule 31101",
        "",
        "Agent\tNow\tThen\tMore\tFewer\tName",
        "001\t2\t5\t3\t0\tweb01",
        "003\t0\t1\t1\t0\t\\u202edb\\u001b",
        "002\t1\t1\t0\t0\tweb02",
    ]
    assert "skipped lines: 1 invalid_json" in result.stderr


def test_the_period_limits_what_counts() -> None:
    assert numbers(slack()) == (3, 3, 0, 0)
    assert numbers(slack("--since", "20d")) == (4, 4, 0, 0)
    assert numbers(slack("--until", f"{day(2)}T00:00:00Z")) == (1, 1, 0, 0)


def test_the_numbers_are_those_of_the_producer() -> None:
    settings = load_settings(file=None, environment=os.environ, cwd=Path.cwd())
    configuration = read_configuration(settings)
    index = FilterIndex(configuration.integrations, configuration.conditions, configuration.agents)
    matched = Counter[str]()
    for path in (*Path().glob("2*/*/*"), Path("alerts.json")):
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        for raw in content.splitlines():
            if b"timestamp" in raw:
                matched.update(index.match(raw))
    found = document("--all", "--since", "20d")["integrations"]
    assert {name: one["now"] for name, one in found.items()} == matched == {"slack": 4, "shuffle": 8}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--except", "@noisy"], (3, 2, 0, 1)),
        (["--only", "agent.groups = prod"], (3, 2, 0, 1)),
        (["--replace-conditions"], (3, 4, 1, 0)),
        (["--replace-conditions", "--except", "agent.name = web*"], (3, 1, 1, 3)),
        (["--rule-id", "31101,1"], (3, 1, 0, 2)),
        (["--rule-id", "31101", "--rule-id", "5710"], (3, 3, 0, 0)),
        (["--group", "sshd", "--level", "0"], (3, 8, 5, 0)),
        (["--group", "web"], (3, 0, 0, 3)),
        (["--event-location", "!x"], (3, 0, 0, 3)),
    ],
)
def test_what_the_options_change(options: list[str], expected: tuple[int, ...]) -> None:
    assert numbers(slack(*options)) == expected


def test_an_empty_value_removes_a_filter() -> None:
    found = document("--integration", "shuffle", "--rule-id", "")["integrations"]["shuffle"]
    assert numbers(found) == (7, 9, 2, 0)


def test_an_integration_is_an_argument_or_an_option_and_rule_is_short() -> None:
    short, long = document("slack", "--rule", "5710"), document("--integration", "slack", "--rule-id", "5710")
    assert short["integrations"] == long["integrations"]
    assert numbers(short["integrations"]["slack"])[1] > 0
    noted = run("slack", "--except", "srcip in 10.0.0.0/8")
    assert "note: alerts have no value in srcip; did you mean data.srcip?" in noted.stderr


def test_a_new_integration_and_several_ones() -> None:
    found = document("--group", "sshd", "--only", "rule.level >= 9")
    assert list(found["integrations"]) == ["new"]
    assert numbers(found["integrations"]["new"]) == (0, 2, 2, 0)
    assert found["integrations"]["new"]["agents"][0] == {
        "id": "002",
        "name": "build-1",
        "now": 0,
        "then": 2,
        "more": 2,
        "fewer": 0,
    }
    assert found["version"] == 1
    assert found["lines"] == 11
    assert found["skipped"] == {"invalid_json": 1}
    assert run("--level", "9").stdout.splitlines()[1] == "a new integration would match 2 alerts"
    several = document("--all", "--level", "12")["integrations"]
    assert {name: numbers(one) for name, one in several.items()} == {"slack": (3, 0, 0, 3), "shuffle": (7, 0, 0, 7)}


def test_text_of_alerts_is_escaped() -> None:
    Path("alerts.json").write_text(line(1, 9, agent=HOSTILE))
    output = run("--integration", "slack", "--until", "now").stdout
    assert "\\u202edb\\u001b" in output
    assert "\u202e" not in output


def test_alerts_of_another_form_count_too() -> None:
    odd = [
        line(1, 9, agent_id=1).replace('"5710"', "5710"),
        line(1, 9).replace('"web01"', "[1]"),
        line(1, 9).replace('{"id": "001"', '{"id": null'),
    ]
    Path("alerts.json").write_text("".join(odd))
    found = slack("--level", "9")
    assert found["then"] == 4
    assert {one["id"] for one in found["rules"]} == {"5710", "31101"}
    assert facts_of(b'{"rule": 7, "agent": [], "timestamp": 5}') == Facts("", "", "", "", "")


def test_no_more_agents_are_counted_apart_than_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ops.admin.preview.MAX_KEYS", 1)
    found = slack("--level", "5")
    assert [(one["id"], one["then"]) for one in found["agents"]] == [("001", 5), ("(others)", 2)]


@pytest.mark.parametrize(
    ("options", "code", "text"),
    [
        ([], 2, "give an integration or --all, or at least one filter or condition"),
        (["--integration", "slak"], 1, "did you mean 'slack'?"),
        (["--only", "rule.level == 3"], 2, '--only, column 12: there is no operator "=="'),
        (["--except", "@quiet"], 2, "--except, column 1"),
        (["--rule-id", "x"], 2, "Invalid value for --rule-id"),
        (["--group", "a", "--group", ""], 2, "Invalid value for --group"),
        (["--level", "17"], 2, "17 is not in the range"),
        (["--level", "3", "--event-location", "x" * 30_000], 1, "--event-location: "),
        (["--level", "3", "--since", "2d", "--until", "3d"], 1, "--since must be earlier than --until"),
    ],
)
def test_wrong_input(
    options: list[str], code: int, text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["courier"])
    with pytest.raises(SystemExit) as ended:
        main(["preview", *options])
    errors = capsys.readouterr().err
    assert (ended.value.code, text in errors, "Traceback" in errors) == (code, True, False)


def test_without_lines_it_says_so(tmp_path: Path) -> None:
    result = run("--integration", "slack", "--alerts", str(tmp_path / "none.json"), "--since", "1m")
    assert "neither it nor its archives have a line of this time" in result.stderr
    assert "slack: 0 alerts now, 0 then: 0 more, 0 fewer" in result.stdout


def test_a_terminal_gets_a_bar_and_tables_and_a_pipe_does_not() -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "ops.cli.main", "preview", "--integration", "slack", "--level", "5"]
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "100", "PYTHONPATH": str(Path(__file__).parents[3])}
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    shown = b""
    with suppress(OSError):  # the terminal closes when its process exits
        while more := os.read(ours, 65_536):
            shown += more
    os.close(ours)
    assert process.wait(20) == 0
    assert b"11 read" in shown
    assert b"100%" in shown
    assert b"5710     2     5     3      0  rule 5710" in shown
    assert "100%" not in run("--level", "9").stderr
