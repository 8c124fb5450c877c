"""From a template in courier.toml to what a real target receives, with real processes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from ops.cli.main import courier
from tests.e2e.test_one_configuration import World
from tests.support.processes import Manager, alert
from tests.support.recorder import Recorder, eventually

if TYPE_CHECKING:
    from pathlib import Path

    import redis

    from ops.standalone.embedded_redis import EmbeddedServer

TOML = """
[integrations.hook]
service = "webhook"
hook_url = "{url}"
[integrations.hook.webhook]
template = "{template}"
headers = {{ Authorization = "env:TOKEN" }}
"""
TEMPLATE = '{{"version": {}, "rule": "{{{{ rule.id }}}}", "from": "{{{{ courier.node }}}}"}}'


@pytest.mark.slow
def test_a_template_file_is_published_and_followed(tmp_path: Path, server: EmbeddedServer, client: redis.Redis) -> None:
    assert client.ping()
    template = tmp_path / "body.j2"
    template.write_text(TEMPLATE.format(1))
    with Recorder() as target:
        world = World(tmp_path, server, Manager(tmp_path, target))
        world.toml.write_text(TOML.format(url=target.url, template=template))
        world.access["TOKEN"] = "Bearer s3cr3t"
        with world.producer() as producer, world.worker() as worker:
            eventually(lambda: "serving integration" in worker.log)
            world.deliver(target)
            first = json.loads(target.bodies[0])
            assert first == {"version": 1, "rule": first["rule"], "from": first["from"]}
            assert first["rule"]
            assert first["from"]
            template.write_text(TEMPLATE.format(2))
            eventually(lambda: "configuration reloaded" in producer.log)
            eventually(lambda: worker.log.count("serving integration") == 2)
            world.deliver(target)
            assert json.loads(target.bodies[1])["version"] == 2
            template.write_text("{{ nope }}")
            eventually(lambda: f"{template}:1: there is no variable nope" in producer.log)
            world.deliver(target)
            assert json.loads(target.bodies[2])["version"] == 2
            assert "s3cr3t" not in producer.log + worker.log


def test_render_shows_the_message_and_masks_headers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TOKEN", "Bearer s3cr3t-s3cr3t")
    (tmp_path / "body.j2").write_text(TEMPLATE.format(1))
    (tmp_path / "ossec.conf").write_text("<ossec_config></ossec_config>")
    (tmp_path / "courier.toml").write_text(
        TOML.format(url="https://h.example/s3cr3t-hook", template=tmp_path / "body.j2")
    )
    arguments = ["--integration", "hook", "--alert", "-", "--config", "ossec.conf"]
    shown = CliRunner().invoke(courier, ["render", *arguments], input=alert(1))
    assert shown.exit_code == 0
    assert "Authorization: ********" in shown.stdout
    assert '{"version": 1, "rule": "' in shown.stdout
    assert "s3cr3t" not in shown.output
    (tmp_path / "body.j2").write_text("{{ nope }}")
    checked = CliRunner().invoke(courier, ["check", "--config", "ossec.conf"])
    assert checked.exit_code == 78
    assert f"integrations.hook.webhook.template: {tmp_path}/body.j2:1: there is no variable nope" in checked.stdout
