"""The health files of real processes say what `courier health` says, before, during and after an outage of Redis."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from ops.cli.main import courier
from ops.standalone.embedded_redis import EmbeddedServer, free_port
from tests.support.health_script import ask
from tests.support.processes import Courier, Manager
from tests.support.recorder import eventually

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.recorder import Recorder

PARTS = ("producer", "worker", "flower", "exporter")


@pytest.mark.slow
def test_health_files_agree_with_the_command(manager: Manager, target: Recorder, tmp_path: Path) -> None:
    del target
    server = EmbeddedServer(tmp_path / "redis")
    server.start()
    flower_port, metrics_port = str(free_port()), str(free_port())
    arguments = {
        "producer": ("producer", "--node", "n", *manager.files()),
        "worker": ("worker", "--name", "w"),
        "flower": ("flower", "--flower-port", flower_port),
        "exporter": ("exporter", "--metrics-port", metrics_port),
    }
    questions = {
        "producer": ("--node", "n", "--alerts", str(manager.alerts)),
        "worker": ("--name", "w"),
        "flower": ("--flower-port", flower_port),
        "exporter": ("--metrics-port", metrics_port),
    }
    environment = {"COURIER_REDIS_URL": server.url, "COURIER_STATE_DIR": str(manager.state)}
    paths = {part: tmp_path / f"{part}.health" for part in PARTS}

    def healthy(part: str) -> bool:
        from_file = ask(paths[part])[0] == 0
        command = CliRunner().invoke(courier, ["health", part, *questions[part]], env=environment)
        assert command.exit_code in {0, 1}, command.output
        return from_file and command.exit_code == 0

    def unhealthy(part: str) -> bool:
        status, text = ask(paths[part])
        command = CliRunner().invoke(courier, ["health", part, *questions[part]], env=environment)
        return status == 1 and command.exit_code == 1 and "still starting" not in text

    with ExitStack() as stack:
        stack.callback(server.stop)
        for part in PARTS:
            stack.enter_context(
                Courier(tmp_path, *arguments[part], **environment, COURIER_HEALTH_PATH=str(paths[part]))
            )
        eventually(lambda: all(healthy(part) for part in PARTS))
        server.kill()
        eventually(lambda: all(unhealthy(part) for part in ("producer", "worker", "flower")))
        assert healthy("exporter"), "it reports courier_up 0"
        server.start()
        eventually(lambda: all(healthy(part) for part in PARTS))
