"""Alerts become issues of a Jira that keeps them, with real processes: no issue and no comment twice, none missing."""

from __future__ import annotations

import json
import re
import threading
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any, Self

import pytest
from click.testing import CliRunner

from ops.cli.main import courier
from tests.e2e.test_one_configuration import World
from tests.support.processes import Manager, alert
from tests.support.recorder import Recorder, Server, eventually

if TYPE_CHECKING:
    from pathlib import Path

    import redis

    from ops.standalone.embedded_redis import EmbeddedServer

TOML = """
[integrations.cases]
service = "jira"
hook_url = "{url}"
api_key = "env:TOKEN"
retry_delay = "1s"
[integrations.cases.jira]
project = "SOC"
edition = "cloud"
group = "one"
"""


class Jira:
    """A Jira Cloud with one project. `lose` drops the connection after that many writes, which it has done."""

    def __init__(self) -> None:
        self.issues: list[dict[str, Any]] = []
        self.lose = 0
        self.lost = 0
        jira = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if self.path.endswith("/search/jql"):
                    return self._answer(200, {"issues": jira.found(body)})
                jira.issues.append({"fields": body["fields"], "comments": [], "properties": properties(body)})
                return self._written(201)

            def do_PUT(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                issue = jira.issues[int(self.path.rpartition("/")[2])]
                issue["comments"] += [one["add"]["body"] for one in body["update"]["comment"]]
                issue["properties"] |= properties(body)
                self._written(204)

            def _written(self, status: int) -> None:
                if jira.lose:
                    jira.lose -= 1
                    jira.lost += 1
                    self.close_connection = True
                else:
                    self._answer(status, {})

            def _answer(self, status: int, body: object) -> None:
                content = b"" if status == 204 else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        self._server = Server(("127.0.0.1", 0), Handler)

    def found(self, search: dict[str, Any]) -> list[dict[str, Any]]:
        (label,) = re.findall(r'labels = "([^"]+)"', search["jql"])
        return [
            {
                "id": str(number),
                "fields": {"status": {"statusCategory": {"key": "new"}}},
                "properties": {
                    name: one["properties"][name] for name in search["properties"] if name in one["properties"]
                },
            }
            for number, one in enumerate(self.issues)
            if label in one["fields"]["labels"]
        ]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def properties(body: dict[str, Any]) -> dict[str, Any]:
    return {one["key"]: one["value"] for one in body["properties"]}


@pytest.mark.slow
def test_a_group_is_one_issue_and_no_lost_response_writes_twice(
    tmp_path: Path, server: EmbeddedServer, client: redis.Redis
) -> None:
    assert client.ping()
    with Jira() as jira, Recorder() as unused:
        world = World(tmp_path, server, Manager(tmp_path, unused))
        world.toml.write_text(TOML.format(url=jira.url))
        world.access["TOKEN"] = "s3cr3t-token"
        with world.producer() as producer, world.worker() as worker:
            eventually(lambda: "serving integration" in worker.log)
            jira.lose = 1
            world.manager.append(1)
            eventually(lambda: jira.lost == 1)
            eventually(lambda: delivered(client) == 1)
            jira.lose = 1
            world.manager.append(1)
            eventually(lambda: jira.lost == 2)
            eventually(lambda: delivered(client) == 2)
            world.manager.append(3)
            eventually(lambda: delivered(client) == 5)
            assert len(jira.issues) == 1
            assert len(jira.issues[0]["comments"]) == 4
            assert len(jira.issues[0]["properties"]) == 5
            assert "s3cr3t" not in producer.log + worker.log


def delivered(client: redis.Redis) -> int:
    """Return the deliveries of the integration that were delivered."""
    found: Any = client.hget("courier:{cases}:totals", "delivered")
    return int(found or 0)


def test_check_and_render_show_both_requests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TOKEN", "s3cr3t-token")
    (tmp_path / "ossec.conf").write_text("<ossec_config></ossec_config>")
    toml = TOML.format(url="https://soc.atlassian.net")
    (tmp_path / "courier.toml").write_text(toml + 'user = "me@example.com"\n')
    arguments = ["--integration", "cases", "--alert", "-", "--config", "ossec.conf"]
    shown = CliRunner().invoke(courier, ["render", *arguments], input=alert(1))
    assert shown.exit_code == 0
    assert "POST https://soc.atlassian.net/rest/api/3/search/jql" in shown.stdout
    assert "POST https://soc.atlassian.net/rest/api/3/issue" in shown.stdout
    assert "s3cr3t" not in shown.output
    assert "czNjcjN0" not in shown.output
    (tmp_path / "courier.toml").write_text(toml.replace('project = "SOC"\n', ""))
    checked = CliRunner().invoke(courier, ["check", "--config", "ossec.conf"])
    assert checked.exit_code == 78
    assert "integrations.cases.jira.project: is missing: write the key of the project" in checked.stdout
