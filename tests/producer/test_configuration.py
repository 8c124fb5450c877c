from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from common.integration import Kind
from common.secret import Secret
from common.settings.published_policy import publish_policy
from producer.config_file import ConfigFile
from producer.configuration import policy_of, read_configuration
from producer.secret_references import SecretReferences
from tests.support.fakes import settings_for

if TYPE_CHECKING:
    from pathlib import Path

    from common.integration import Integration
    from producer.ossec_conf import Configuration

HOOK = "https://hooks.slack.com/services/T0/B0/abc"
BLOCK = "<integration><name>{}</name><hook_url>" + HOOK + "</hook_url>{}</integration>"
SOC = f'[integrations.soc-slack]\nservice = "slack"\nhook_url = "{HOOK}"\n'


def read(folder: Path, toml: str, *blocks: str, **environ: str) -> Configuration:
    (folder / "ossec.conf").write_text(f"<ossec_config>\n{''.join(blocks)}</ossec_config>")
    (folder / "courier.toml").write_text(toml)
    return read_configuration(settings_for(folder / "ossec.conf"), references=SecretReferences(environ))


def by_id(found: Configuration) -> dict[str, Integration]:
    return {one.id: one for one in found.integrations}


def errors(found: Configuration) -> list[str]:
    return [str(error) for error in found.refused]


def test_a_table_with_a_service_is_an_integration(tmp_path: Path) -> None:
    toml = f"""
[conditions]
test-hosts = ["agent.name = test-*"]

[integrations.soc-slack]
service = "slack"
hook_url = "{HOOK}"
level = 7
rule_id = [5710, 5712]
group = ["sshd", "authentication_failed"]
event_location = "!secure"
max_log = 500
only = ["agent.groups = prod*", "not data.srcip in 10.0.0.0/8"]
except = ["@test-hosts"]
options = {{ text = "x" }}
"""
    found = read(tmp_path, toml)
    assert errors(found) == []
    one = by_id(found)["soc-slack"]
    assert (one.service, one.name, one.kind) == ("slack", "slack", Kind.HTTP)
    assert one.hook_url == Secret(HOOK)
    assert (one.level, one.rule_ids, one.group) == (7, (5710, 5712), "sshd,authentication_failed")
    assert (one.event_location, one.max_log) == ("!secure", 500)
    assert one.only == ("agent.groups = prod*", "not data.srcip in 10.0.0.0/8")
    assert one.except_ == ("@test-hosts",)
    assert json.loads(one.options.reveal() if one.options else "") == {"text": "x"}
    assert (one.file, one.line) == ("courier.toml", 6)
    assert found.conditions == {"test-hosts": ("agent.name = test-*",)}


def test_a_service_replaces_the_script_of_a_block_and_keeps_the_rest(tmp_path: Path) -> None:
    block = BLOCK.format("custom-teams", "<level>9</level>")
    found = read(tmp_path, '[integrations.custom-teams]\nservice = "slack"\nexcept = ["rule.id = 5710"]', block)
    one = by_id(found)["custom-teams"]
    assert (one.service, one.name, one.kind, one.level) == ("slack", "custom-teams", Kind.HTTP, 9)
    assert (one.hook_url, one.except_, one.line) == (Secret(HOOK), ("rule.id = 5710",), 2)
    policy = settings_for(tmp_path / "ossec.conf").policy(one)
    assert ([str(limit) for limit in policy.rate_limits], policy.retry_max_attempts) == (["1/s burst 3"], 1000)


def test_a_table_of_a_name_changes_all_blocks_of_that_name_and_that_of_an_id_is_stronger(tmp_path: Path) -> None:
    other = BLOCK.format("slack", "").replace("abc", "def").replace("<integration>", '<integration id="two">')
    toml = "[integrations.slack]\nlevel = 5\nmax_log = 300\n[integrations.two]\nlevel = 9"
    found = by_id(read(tmp_path, toml, BLOCK.format("slack", "<level>3</level>"), other))
    assert {one.id: (one.level, one.max_log) for one in found.values()} == {"slack": (5, 300), "two": (9, 300)}


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ('service = "slak"', 'courier.toml:5: integrations.x.service: "slak" is no service: write slack, page'),
        ('service = "slack"', "courier.toml:5: integrations.x.service: slack needs hook_url: add it to the table"),
        ('service = "slack"\nhook_url = "nowhere"', "courier.toml:6: integrations.x.hook_url: is not a URL: write"),
        ('service = "pagerduty"\napi_key = "k"\noptions = "{"', "courier.toml:7: integrations.x.options: is not JSON"),
        ('service = "custom-x"\nlevel = 17', "courier.toml:6: integrations.x.level: 17 is more than 16; write"),
        ('service = "custom-x"\nlevl = 7', "courier.toml:6: there is no key integrations.x.levl; did you mean"),
        ('service = "custom-x"\nlease = "5"', 'courier.toml:6: integrations.x.lease: "5" '),
        (
            'service = "custom-x"\nonly = ["rule.level > 3", "rule.level >"]',
            "courier.toml:6: integrations.x.only: condition 2, column ",
        ),
        ('service = "custom-x"\nexcept = ["@nobody"]', "courier.toml:6: integrations.x.except: condition 1, column 1:"),
        ('service = "pagerduty"\napi_key = "env:NONE"', "courier.toml:6: integrations.x.api_key: the variable NONE is"),
        ('service = "slack"\nhook_url = "file:x"', 'courier.toml:6: integrations.x.hook_url: "x" is not an absolute'),
    ],
)
def test_an_invalid_table_costs_its_own_integration_only(tmp_path: Path, lines: str, expected: str) -> None:
    found = read(tmp_path, f"{SOC}[integrations.x]\n{lines}", BLOCK.format("slack", ""))
    assert [error[: len(expected)] for error in errors(found)] == [expected]
    assert by_id(found).keys() == {"slack", "soc-slack"}


def test_an_invalid_table_of_a_block_costs_that_block_only(tmp_path: Path) -> None:
    blocks = BLOCK.format("slack", ""), BLOCK.format("custom-x", "")
    found = read(tmp_path, '[integrations.custom-x]\nlease = 5\n[integrations."sl*"]\nlease = "5s"', *blocks)
    assert errors(found)[0].startswith("courier.toml:2: integrations.custom-x.lease: 5 has no unit; write a duration")
    assert by_id(found).keys() == {"slack"}


@pytest.mark.parametrize("table", ["manager", "version", '"-x"', '"a b"'])
def test_the_name_of_a_table_must_be_an_id(tmp_path: Path, table: str) -> None:
    found = read(tmp_path, f'[integrations.{table}]\nservice = "slack"\nhook_url = "{HOOK}"')
    assert found.integrations == ()
    assert "courier.toml:2: integrations." in errors(found)[0]


def test_only_the_table_of_one_integration_says_what_it_is(tmp_path: Path) -> None:
    found = read(tmp_path, '[integrations."custom-*"]\nservice = "slack"')
    assert errors(found) == [
        'courier.toml:2: integrations."custom-*".service belongs in the table of one integration, [integrations.ID]'
    ]


def test_an_invalid_named_condition_costs_those_that_use_it(tmp_path: Path) -> None:
    toml = f"""[conditions]
bad = ["rule.level >"]
uses-bad = ["@bad"]
good = ["rule.level > 3", "@also-good"]
also-good = ["rule.id = 1"]
[integrations.a]
service = "custom-a"
only = ["@good"]
[integrations.b]
service = "custom-b"
only = ["@uses-bad"]
{SOC}"""
    found = read(tmp_path, toml)
    assert by_id(found).keys() == {"a", "soc-slack"}
    assert found.conditions.keys() == {"good", "also-good"}
    assert [error.split(" ")[0] for error in errors(found)] == [
        "courier.toml:2:",
        "courier.toml:3:",
        "courier.toml:11:",
    ]


def test_a_table_that_differs_from_another_only_by_case_is_a_warning(tmp_path: Path) -> None:
    found = read(
        tmp_path, SOC + SOC.replace("soc", "SOC") + SOC.replace("soc-slack", "Slack"), BLOCK.format("slack", "")
    )
    assert set(by_id(found)) == {"slack", "soc-slack", "SOC-slack", "Slack"}
    told = [str(one) for one in found.warnings if "upper and lower case" in str(one)]
    assert ["courier.toml:5" in told[0], "soc-slack" in told[0], "from slack only" in told[1]] == [True] * 3


def test_a_table_without_service_and_block_is_a_warning(tmp_path: Path) -> None:
    found = read(tmp_path, "[integrations.nobody]\nlevel = 7")
    (warning,) = map(str, found.warnings)
    assert warning.startswith("courier.toml:2: [integrations.nobody] has no `service`, and ossec.conf has no block of")
    assert errors(found) == []


# Secrets


@pytest.mark.parametrize("written", ["file:{file}", "env:HOOK", HOOK])
def test_secrets_come_from_files_and_variables(tmp_path: Path, written: str) -> None:
    file = tmp_path / "hook"
    file.write_text(f" {HOOK}\n")
    text = written.format(file=file)
    toml = f'[integrations.soc]\nservice = "slack"\nhook_url = "{text}"'
    found = read(tmp_path, toml, f"<integration><name>slack</name><hook_url>{text}</hook_url></integration>", HOOK=HOOK)
    assert errors(found) == []
    assert {one.hook_url for one in found.integrations} == {Secret(HOOK)}
    assert [one.element for one in found.warnings] == ["alert_format"]


def test_errors_of_secrets_quote_no_secret(tmp_path: Path) -> None:
    file = tmp_path / "hook"
    file.write_text("hunter2")
    found = read(tmp_path, f'[integrations.soc]\nservice = "slack"\nhook_url = "file:{file}"')
    assert errors(found)[0].startswith("courier.toml:3: integrations.soc.hook_url: is not a URL")
    assert "hunter2" not in str(errors(found))


def test_a_file_that_others_can_write_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "hook"
    file.write_text(HOOK)
    file.chmod(0o666)
    found = read(tmp_path, SOC, f"<integration><name>slack</name><hook_url>file:{file}</hook_url></integration>")
    assert "other users can write" in errors(found)[0]
    assert errors(found)[0].startswith(f"{tmp_path}/ossec.conf:2: <hook_url>: ")


def test_settings_hide_secrets_and_show_references(tmp_path: Path) -> None:
    read(tmp_path, f'[integrations.a]\nservice = "slack"\nhook_url = "{HOOK}"\napi_key = "env:KEY"\nlevel = 3')
    settings = settings_for(tmp_path / "ossec.conf")
    shown: dict[str, Any] = {key.removeprefix("integrations.a."): value for key, value, _ in settings.listing()}
    assert (shown["service"], shown["hook_url"], shown["api_key"], shown["level"]) == (
        "slack",
        "********",
        "env:KEY",
        3,
    )
    assert "abc" not in repr(settings)


def test_an_endpoint_can_be_in_a_file_or_a_variable(tmp_path: Path) -> None:
    secret = tmp_path / "endpoint"
    secret.write_text("https://gateway.example/s3cr3t\n")
    toml = f"""
[integrations.default]
endpoint = "env:GATEWAY"
[integrations.pagerduty]
endpoint = "file:{secret}"
"""
    block = "<integration><name>{}</name><api_key>k</api_key></integration>"
    blocks = [block.format(name) for name in ("pagerduty", "virustotal")]
    found = read(tmp_path, toml, *blocks, GATEWAY="https://other.example/s3cr3t")
    assert errors(found) == []
    settings = settings_for(tmp_path / "ossec.conf")
    published = {one.id: publish_policy(policy_of(one, settings, found))["endpoint"] for one in found.integrations}
    assert published == {"pagerduty": "https://gateway.example/s3cr3t", "virustotal": "https://other.example/s3cr3t"}
    shown = {key: value for key, value, _ in settings.listing() if key.endswith(".endpoint")}
    assert shown == {
        "integrations.default.endpoint": "env:GATEWAY",
        "integrations.pagerduty.endpoint": f"file:{secret}",
    }

    secret.write_text("not-a-url-s3cr3t")
    found = read(tmp_path, toml, *blocks)
    assert list(by_id(found)) == []
    first, second = errors(found)
    assert first.startswith("courier.toml:5: integrations.pagerduty.endpoint: the URL (not shown) ")
    assert second.startswith("courier.toml:3: integrations.default.endpoint: the variable GATEWAY is not set")


def test_a_producer_follows_the_file_of_an_endpoint(tmp_path: Path) -> None:
    secret = tmp_path / "endpoint"
    secret.write_text("https://gateway.example/first")
    (tmp_path / "ossec.conf").write_text(
        "<ossec_config><integration><name>pagerduty</name><api_key>k</api_key></integration></ossec_config>"
    )
    (tmp_path / "courier.toml").write_text(f'[integrations.pagerduty]\nendpoint = "file:{secret}"\n')
    config = ConfigFile(settings_for(tmp_path / "ossec.conf"), lambda: time.time() + 60)  # no file is being written
    (pagerduty,) = config.load()
    assert config.policy(pagerduty).endpoint == Secret("https://gateway.example/first")
    secret.write_text("https://gateway.example/the-second")
    assert config.reload() == (pagerduty,)
    assert config.policy(pagerduty).endpoint == Secret("https://gateway.example/the-second")
    secret.write_text("nonsense")
    assert config.reload() is None
    assert config.policy(pagerduty).endpoint == Secret("https://gateway.example/the-second")
