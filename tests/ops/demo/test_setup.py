from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import msgspec
import pytest

from common.errors import ConfigError
from common.services import STOCK
from common.settings.load import load_settings
from ops.demo.chats import CHATS
from ops.demo.rewrite_config import redirect, service_of
from ops.demo.setup import SAMPLE, set_stage
from producer.ossec_conf import parse_ossec_conf

if TYPE_CHECKING:
    from pathlib import Path

ADDRESS = "http://127.0.0.1:1"
PLACES = {"http": ADDRESS, "smtp": "127.0.0.1:2", "syslog": "127.0.0.1:3"}


def block(inside: str, attributes: str = "") -> str:
    return f"<integration{attributes}>{inside}</integration>"


def led(*blocks: str) -> tuple[str, list[tuple[str, str]]]:
    text = "<ossec_config>\n" + "\n".join(blocks) + "\n</ossec_config>\n"
    content, integrations = redirect(text.encode(), ADDRESS, file="ossec.conf")
    hooks = [(i.id, i.hook_url.reveal() if i.hook_url else "") for i in integrations]
    return content.decode(), hooks


def test_sample_changes_only_its_hook_urls() -> None:
    content = (SAMPLE / "ossec.conf").read_bytes()
    changed, integrations = redirect(content, ADDRESS, file="ossec.conf")
    originals = parse_ossec_conf(content, file="ossec.conf").integrations
    assert [msgspec.structs.replace(i, hook_url=o.hook_url) for i, o in zip(integrations, originals, strict=True)] == [
        *originals
    ]
    assert all(i.hook_url is None or i.hook_url.reveal() == f"{ADDRESS}/{i.id}" for i in integrations)
    hook = re.compile(rb"<hook_url>[^<]*</hook_url>")
    own_id = re.compile(rb'<integration id="[^"]*">')
    assert own_id.sub(b"<integration>", hook.sub(b"", changed)) == hook.sub(b"", content)
    assert {service_of(i) for i in integrations} == {*STOCK, "ticket"}


def test_blocks_of_one_name_line_and_with_own_ids() -> None:
    slack = "<name>slack</name><hook_url>https://hooks.example/{}</hook_url>"
    two = block(slack.format("a")) + block(slack.format("b"))
    content, hooks = led(two, block(slack.format("c"), ' id="mine"'))
    assert "hooks.example" not in content
    assert len({name for name, _ in hooks}) == 3
    assert all(url == f"{ADDRESS}/{name}" for name, url in hooks)
    assert hooks[2][0] == "mine"


def test_script_without_a_hook_url_gets_one() -> None:
    _, hooks = led(block("<name>custom-x</name>"), block("<name>pagerduty</name><api_key>k</api_key>"))
    assert hooks == [("custom-x", f"{ADDRESS}/custom-x"), ("pagerduty", "")]


def test_invalid_blocks_and_comments_are_ignored() -> None:
    bad = block("<name>slack</name><hook_url>https://hooks.example/bad</hook_url><level>x</level>")
    commented = "<!-- <integration><name>slack</name></integration> -->"
    content, hooks = led(commented, bad, block("<name>custom-x</name>\n<hook_url >http://h/?a=1&b=2</hook_url>"))
    assert hooks == [("custom-x", f"{ADDRESS}/custom-x")]
    assert "http://h/" not in content


@pytest.mark.parametrize(
    "inside",
    [
        "",
        block("<name>slack</name>"),
        block("<name>slack</name><hook_url>http://<!-- </hook_url> -->h/</hook_url>"),
        block("<name>slack</name><!-- <hook_url> --><hook_url>http://h/</hook_url>"),
    ],
)
def test_block_that_cannot_be_redirected_is_refused(inside: str) -> None:
    with pytest.raises(ConfigError, match=r"^ossec\.conf"):
        led(inside)


def test_comment_in_a_hook_url_is_replaced_too() -> None:
    content, hooks = led(block("<name>slack</name><hook_url>http://h<!-- x --></hook_url>"))
    assert hooks == [("slack", f"{ADDRESS}/slack")]
    assert "http://h" not in content


def test_demo_folder_is_a_managers_home(tmp_path: Path) -> None:
    stage = set_stage(tmp_path, None, places=PLACES, flower_port=5000, login="demo:secret-1")
    settings = load_settings(file=stage.settings, environment={}, cwd=tmp_path)
    assert settings.flower.basic_auth
    assert settings.flower.basic_auth.reveal() == "demo:secret-1"
    assert settings.producer.alerts == stage.alerts
    assert settings.worker.queue_socket == tmp_path / "queue"
    assert (settings.state.dir, settings.flower.port) == (stage.state, 5000)
    for integration in stage.integrations:
        endpoint = settings.policy(integration).endpoint
        assert (endpoint is None) == (integration.hook_url is not None or integration.service == "syslog")
        assert endpoint is None or endpoint.reveal() == f"{ADDRESS}/{integration.id}"
    script = tmp_path / "integrations" / "custom-ticket"
    assert script.stat().st_mode & 0o777 == 0o550
    assert os.access(script, os.X_OK)
    assert set(stage.routes()) == {i.id for i in stage.integrations}


def test_own_configuration(tmp_path: Path) -> None:
    config = tmp_path / "mine.conf"
    with pytest.raises(ConfigError, match=r"mine\.conf: cannot be read"):
        set_stage(tmp_path, config, places=PLACES, flower_port=0)
    config.write_text(f"<ossec_config>{block('<name>custom-a</name>')}</ossec_config>")
    stage = set_stage(tmp_path, config, places=PLACES, flower_port=0)
    assert [service_of(i) for i in stage.integrations] == ["ticket"]
    assert (tmp_path / "integrations" / "custom-a").exists()


@pytest.mark.parametrize("name", CHATS)
def test_a_block_for_a_chat_gets_courier_s_own_code(name: str, tmp_path: Path) -> None:
    config = tmp_path / "mine.conf"
    config.write_text(f"<ossec_config>{block(f'<name>custom-{name}</name>')}</ossec_config>")
    stage = set_stage(tmp_path, config, places=PLACES, flower_port=0)
    assert [service_of(i) for i in stage.integrations] == [name]
    assert f'service = "{name}"' in stage.settings.read_text()
