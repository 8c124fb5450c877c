"""The file of agents: both forms, what is refused, and that a producer follows it."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from common.errors import ConfigError
from ops.cli.main import courier
from producer.agents_file import read_agents
from producer.filters.agents import NO_AGENTS, AgentGroups
from producer.filters.decode import decode_alert
from producer.filters.index import FilterIndex
from tests.support.fakes import SLACK
from tests.support.world import World

if TYPE_CHECKING:
    from pathlib import Path

    import redis
    from _pytest.tmpdir import TempPathFactory

EXPORT = {
    "data": {
        "affected_items": [
            {"id": "000", "name": "manager"},
            {"id": "001", "name": "web01", "group": ["default", "prod"]},
            {"id": "002", "name": "build-1", "group": ["default"]},
        ],
        "total_affected_items": 3,
        "total_failed_items": 0,
        "failed_items": [],
    },
    "message": "All selected agents information was returned",
    "error": 0,
}
TEXT = "# id groups\n001 default,prod\n\n002\tdefault\r\n003\n"


def groups(agents: AgentGroups, agent_id: object) -> object:
    alert = {"agent": {"id": agent_id}}
    agents.add_to(alert)
    return alert["agent"].get("groups")


def written(folder: Path, content: str | bytes) -> Path:
    path = folder / "agents"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def problem(folder: Path, content: str | bytes) -> str:
    with pytest.raises(ConfigError) as caught:
        read_agents(written(folder, content))
    return str(caught.value).removeprefix(f"{folder}/agents")


@pytest.mark.parametrize("content", [json.dumps(EXPORT), f"\n {json.dumps(EXPORT, indent=2)}", TEXT, f"\ufeff{TEXT}"])
def test_reads_what_the_api_returns_and_lines_of_text(tmp_path: Path, content: str) -> None:
    agents = read_agents(written(tmp_path, content))
    assert groups(agents, "001") == ["default", "prod"]
    assert groups(agents, "002") == ["default"]
    assert [groups(agents, unknown) for unknown in ("000", "003", "9", 1, None, ["001"])] == [None] * 6
    assert len(agents) == 3


def test_groups_of_the_alert_itself_stay() -> None:
    agents = AgentGroups({"001": ("prod",)})
    own = {"agent": {"id": "001", "groups": ["own"]}}
    agents.add_to(own)
    assert own["agent"]["groups"] == ["own"]
    anything: tuple[object, ...] = (None, [], "001")
    for strange in anything:
        alert: dict[str, object] = {"agent": strange}
        agents.add_to(alert)
        assert alert == {"agent": strange}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("001 a\n001 b\n", ":2: agent '001' is listed twice: keep one of them"),
        ("001 a,,b\n", ":1: '' is not the id of an agent or the name of a group"),
        ("x\n001 a b\n", ":2: 'a b' is not the id of an agent or the name of a group"),
        (b"001 a\n002 \xff\n", ":2: the line is not UTF-8 text"),
        ('{"data": ', ": is not what the API returns for `GET /agents?select=id,name,group`: Input data was truncated"),
        (b'{"data": "\xff"}', ": is not what the API returns for `GET /agents?select=id,name,group`: "),
        ('{"data": {"affected_items": [{"id": 1}]}}', ": is not what the API returns"),
        (
            '{"data": {"affected_items": [{"id": "001"}], "total_affected_items": 700}}',
            ": has 1 of 700 agents, one page: export all, with `limit=100000` in the request",
        ),
        (
            '{"data": {"affected_items": [{"id": "001", "group": ["a b"]}]}}',
            ": data.affected_items[0]: 'a b' is not the id of an agent or the name of a group",
        ),
    ],
)
def test_what_is_wrong_is_refused_with_its_place(tmp_path: Path, content: str | bytes, expected: str) -> None:
    assert problem(tmp_path, content).startswith(expected)


def test_a_file_that_is_missing_too_large_or_that_others_can_write_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "agents"
    with pytest.raises(ConfigError, match=r"agents: agents\.file cannot be read: No such file or directory"):
        read_agents(path)
    with path.open("wb") as file:
        file.truncate(64 * 1024 * 1024 + 1)
    with pytest.raises(ConfigError, match="export only id, name and group"):
        read_agents(path)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(ConfigError, match="is a device or a pipe"):
        read_agents(path)
    path.unlink()
    path.write_text(TEXT)
    path.chmod(0o666)
    with pytest.raises(ConfigError, match="other users can write"):
        read_agents(path)


@given(st.binary(max_size=60) | st.binary(max_size=60).map(lambda text: b'{"data": ' + text))
def test_any_content_is_read_or_refused(tmp_path_factory: TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any-agents"
    path.write_bytes(content)
    path.chmod(0o600)
    try:
        agents = read_agents(path)
    except ConfigError:
        return
    assert len(agents) >= 0


_IDS = st.from_regex(r"[0-9]{1,4}", fullmatch=True)
_GROUPS = st.lists(st.from_regex(r"[a-z.-]{1,9}", fullmatch=True), min_size=1)


@given(st.dictionaries(_IDS, _GROUPS))
def test_both_forms_say_the_same(tmp_path_factory: TempPathFactory, by_id: dict[str, list[str]]) -> None:
    folder = tmp_path_factory.getbasetemp()
    items = [{"id": agent_id, "group": names} for agent_id, names in by_id.items()]
    forms = (
        json.dumps({"data": {"affected_items": items, "total_affected_items": len(items)}}),
        "\n".join(f"{agent_id} {','.join(names)}" for agent_id, names in by_id.items()),
    )
    for form in forms:
        agents = read_agents(written(folder, form))
        assert {agent_id: groups(agents, agent_id) for agent_id in by_id} == by_id


def test_only_conditions_on_groups_use_it() -> None:
    agents = AgentGroups({"001": ("prod",)})
    raw = b'{"rule":{"level":9,"id":"1"},"agent":{"id":"001"}}'
    block = replace(SLACK, level=0, only=("agent.groups = prod",))
    assert FilterIndex([block], agents=agents).match(raw) == (block.id,)
    assert FilterIndex([block], agents=NO_AGENTS).match(raw) == ()
    other = FilterIndex([replace(block, only=("agent.id = 001",))], agents=agents)
    assert other.match(raw) == (block.id,)
    assert other._decode_alert is decode_alert


BLOCK = "<integration><name>slack</name><hook_url>https://h.example/a</hook_url></integration>"
SETTINGS = """
[agents]
file = "agents"

[integrations.slack]
only = ["agent.groups = prod"]
"""
OF_DIGEST = """
[agents]
file = "agents"

[integrations.slack.digest]
first = 1
match = ["agent.groups = prod"]
"""


def alert(number: int, agent: str) -> bytes:
    rule = {"level": 9, "id": "1"}
    return json.dumps({"id": str(number), "rule": rule, "agent": {"id": agent}, "location": "x"}).encode()


def change(path: Path, content: str, second: int) -> None:
    """Write a file that is not new."""
    path.write_text(content)
    os.utime(path, (second, second))


def test_a_producer_follows_it_and_keeps_the_former_one(
    client: redis.Redis, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "courier.toml").write_text(SETTINGS)
    agents = tmp_path / "agents"
    change(agents, "001 prod\n002 default\n", 1)
    world = World(client, tmp_path, BLOCK)
    producer = world.producer()
    world.settle(producer)
    world.append(alert(0, "001"), alert(1, "002"))
    world.settle(producer)
    assert world.waiting("slack") == world.ids(0)

    change(agents, "001 prod\n002 default,prod\n", 2)
    world.settle(producer)
    world.append(alert(2, "001"), alert(3, "002"))
    world.settle(producer)
    assert world.waiting("slack") == world.ids(0, 2, 3)

    change(agents, "001 default\n001 prod\n", 3)
    world.settle(producer)
    assert f"{agents}:2: agent '001' is listed twice" in caplog.text
    world.append(alert(4, "001"))
    world.settle(producer)
    assert world.waiting("slack") == world.ids(0, 2, 3, 4)
    world.close()


@pytest.mark.parametrize("settings", [SETTINGS, OF_DIGEST])
def test_without_the_file_an_integration_that_needs_it_waits_for_it(
    client: redis.Redis, tmp_path: Path, settings: str
) -> None:
    (tmp_path / "courier.toml").write_text(settings)
    agents = tmp_path / "agents"
    change(agents, "001 prod\n", 1)
    other = "<integration><name>shuffle</name><hook_url>https://s.example/a</hook_url></integration>"
    world = World(client, tmp_path, BLOCK, other)
    world.settle(world.producer())
    agents.unlink()
    producer = world.producer()
    world.append(alert(0, "001"))
    world.settle(producer)
    assert (world.waiting("slack"), world.waiting("shuffle")) == ([], world.ids(0))
    change(agents, "001 prod\n", 2)
    world.settle(producer)
    assert world.waiting("slack") == world.ids(0)
    world.close()


def test_check_and_render_know_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COURIER_PRODUCER_CONFIG", "ossec.conf")
    monkeypatch.setenv("COURIER_PRODUCER_ALERTS", "alerts.json")
    (tmp_path / "alerts.json").write_bytes(alert(0, "001") + b"\n")
    (tmp_path / "ossec.conf").write_text(f"<ossec_config>{BLOCK}</ossec_config>")
    (tmp_path / "courier.toml").write_text(SETTINGS.replace('file = "agents"', 'file = ""'))
    hint = "only excludes every alert; the alerts of Wazuh 4.x carry no agent.groups: set [agents] file"
    assert hint in CliRunner().invoke(courier, ["check"]).output

    (tmp_path / "courier.toml").write_text(SETTINGS)
    (tmp_path / "alert.json").write_bytes(alert(0, "001"))
    found = CliRunner().invoke(courier, ["check"])
    assert found.exit_code == 78
    assert "agents.file cannot be read: No such file or directory" in found.output
    assert "slack has a condition or a digest on agent.groups, which needs agents.file" in found.output

    (tmp_path / "agents").write_text("001 default\n")
    rendered = ["render", "--integration", "slack", "--alert", "alert.json"]
    found = CliRunner().invoke(courier, rendered)
    assert 'only requires agent.groups = prod: saw "default"' in found.output
    (tmp_path / "agents").write_text("001 prod\n")
    found = CliRunner().invoke(courier, [*rendered, "--expect", "match"])
    assert found.exit_code == 0
    assert "groups" not in found.output.partition("\n")[2]
    assert 'agents.file = "' in CliRunner().invoke(courier, ["config"]).output
