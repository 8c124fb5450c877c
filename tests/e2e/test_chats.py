"""Chat services with real processes: native code for a block of ossec.conf, and pauses that a target asks for."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Self

import pytest
from click.testing import CliRunner

from ops.cli.main import courier
from tests.support.processes import Courier, Manager, alert
from tests.support.recorder import Recorder, Server, eventually

if TYPE_CHECKING:
    from pathlib import Path

BLOCK = (
    "<ossec_config><integration><name>custom-{0}</name><hook_url>{1}</hook_url>"
    "<alert_format>json</alert_format></integration></ossec_config>"
)
SERVICES = ("teams", "discord", "googlechat", "mattermost", "rocketchat")
READY = "new integration; reading starts"


def settings(manager: Manager, toml: str) -> dict[str, str]:
    (manager.folder / "courier.toml").write_text(toml)
    return {"COURIER_SETTINGS": str(manager.folder / "courier.toml")}


def up(manager: Manager, toml: str) -> Courier:
    return Courier(manager.folder, "up", *manager.files(), "--flower-port", "0", **settings(manager, toml))


@pytest.mark.slow
def test_native_code_replaces_the_scripts_of_blocks(tmp_path: Path) -> None:
    with Recorder() as target:
        manager = Manager(tmp_path, target)
        blocks = "".join(BLOCK.format(name, f"{target.url}/{name}") for name in SERVICES)
        manager.config.write_text(blocks)
        toml = "".join(f'[integrations.custom-{name}]\nservice = "{name}"\n' for name in SERVICES)
        with up(manager, toml) as running:
            eventually(lambda: running.log.count(READY) == len(SERVICES))
            manager.append(1)
            eventually(lambda: len(target.bodies) == len(SERVICES))
            sent = [json.loads(body) for body in target.bodies]
        assert "Traceback" not in running.log
    kinds = sorted(next(iter(one)) for one in sent)
    assert kinds == ["attachments", "attachments", "cardsV2", "embeds", "type"]
    (card,) = [one["attachments"][0]["content"] for one in sent if "type" in one]
    assert card["body"][0]["text"] == "sshd: brute force"


class Discord:
    """A webhook of Discord whose quota is used up after each message, and that refuses the second request."""

    def __init__(self) -> None:
        self.times_s: list[float] = []
        self.paths: list[str] = []
        discord = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                discord.times_s.append(time.monotonic())
                discord.paths.append(self.path)
                is_refused = len(discord.times_s) == 2
                answer = b'{"message": "You are being rate limited.", "retry_after": 1.5}' if is_refused else b"{}"
                self.send_response(429 if is_refused else 200)
                self.send_header("X-RateLimit-Remaining", "0")
                self.send_header("X-RateLimit-Reset-After", "1.0")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                """Log nothing."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.mark.slow
def test_discord_s_quota_pauses_the_target_before_and_after_it_refuses(tmp_path: Path) -> None:
    with Discord() as target:
        manager = Manager(tmp_path, target)
        manager.config.write_text(BLOCK.format("discord", f"{target.url}/api/webhooks/1/x"))
        toml = '[integrations.custom-discord]\nservice = "discord"\nmax_in_flight = 1\n'
        toml += '[integrations.custom-discord.discord]\nthread_id = "42"\n'
        with up(manager, toml) as running:
            eventually(lambda: READY in running.log)
            manager.append(2)
            eventually(lambda: len(target.times_s) == 3)
    first, second, third = target.times_s
    assert second - first >= 0.9
    assert third - second >= 1.4
    assert set(target.paths) == {"/api/webhooks/1/x?wait=true&thread_id=42"}


@pytest.mark.parametrize("name", SERVICES)
def test_check_and_render_know_the_service(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ossec.conf").write_text("<ossec_config></ossec_config>")
    (tmp_path / "courier.toml").write_text(
        f'[integrations.chat]\nservice = "{name}"\nhook_url = "https://h.example/s3cr3t-hook-of-{name}"\n'
        '[integrations.chat.message]\ntitle = "{{ rule.id }} on {{ agent.name }}"\n'
    )
    arguments = ["--integration", "chat", "--alert", "-", "--config", "ossec.conf"]
    shown = CliRunner().invoke(courier, ["render", *arguments], input=alert(1))
    assert shown.exit_code == 0, shown.output
    assert "5712 on web01" in shown.stdout
    assert "s3cr3t" not in shown.output
    checked = CliRunner().invoke(courier, ["check", "--config", "ossec.conf"])
    assert "chat" in checked.stdout
    assert "s3cr3t" not in checked.output
