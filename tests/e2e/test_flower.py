"""Flower shows workers, queues and tasks, with ids only. It changes nothing and shows no secret."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from ops.cli.main import courier
from ops.monitoring.flower.server import INSPECT_INTERVAL_MS
from ops.standalone.embedded_redis import free_port
from tests.support.crashes import pause
from tests.support.processes import STOP_LIMIT_S, Courier, Manager
from tests.support.proxy import Proxy
from tests.support.recorder import Recorder, eventually

if TYPE_CHECKING:
    from pathlib import Path

    from ops.standalone.embedded_redis import EmbeddedServer


FORM = b"draw=1&start=0&length=10&search[value]=&order[0][column]=0&order[0][dir]=asc&columns[0][data]=name"
"""The request that Flower's page sends to the server."""


SIGTERM_DURING_START = """
import signal, threading
from ops.cli.main import main

start = threading.Thread.start

def start_then_sigterm(thread):
    start(thread)
    if thread.name.startswith("ThreadPoolExecutor"):
        threading.Thread.start = start
        signal.raise_signal(signal.SIGTERM)

threading.Thread.start = start_then_sigterm
main()
"""
"""`courier`, stopped at the moment when Flower's pool has started its first thread but not registered it."""


class FlowerClient:
    """An HTTP client of Flower, with a login or without."""

    def __init__(self, address: str, user: str = "") -> None:
        self._address = address
        self._headers = {"Authorization": f"Basic {base64.b64encode(user.encode()).decode()}"} if user else {}

    def page(self, path: str, data: bytes | None = None) -> str:
        """Return the text of a page, or the status if it is an error."""
        request = urllib.request.Request(self._address + path, data=data, headers=self._headers)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return str(answer.read().decode())
        except urllib.error.HTTPError as error:
            error.close()
            return str(error.code)


def delivered(tasks: str) -> int:
    """Return the number of deliveries in the results of the tasks that Flower shows."""
    return sum(map(int, re.findall(r"'delivered': (\d+)", tasks)))


@pytest.mark.slow
def test_flower_shows_workers_but_cannot_control_them(client: object, server: EmbeddedServer, tmp_path: Path) -> None:
    del client
    with Recorder() as target:
        manager = Manager(tmp_path, target)
        redis = {"COURIER_REDIS_URL": server.url}
        with (
            Courier(tmp_path, "producer", *manager.files(), **redis) as producer,
            Courier(tmp_path, "worker", "--http", "--name", "web", "--state", str(manager.state), **redis),
            Courier(
                tmp_path, "flower", "--flower-port", "0", COURIER_FLOWER_BASIC_AUTH="soc:s3cret-pass", **redis
            ) as flower,
        ):
            eventually(lambda: "new integration; reading starts" in producer.log)
            found = eventually(lambda: re.search(r"Flower is at (http://[^\"]+/)", flower.log))
            assert {FlowerClient(found[1]).page(name) for name in ("workers", "metrics", "healthcheck")} == {"401"}
            visitor = FlowerClient(found[1], "soc:s3cret-pass")
            eventually(lambda: "web@" in visitor.page("workers"))
            manager.append(3)
            eventually(lambda: len(target.bodies) == 3)
            eventually(lambda: delivered(visitor.page("tasks/datatable", FORM)) == 3)
            tasks = visitor.page("tasks/datatable", FORM)
            eventually(lambda: "courier.slack" in visitor.page("broker"), limit_s=2 * INSPECT_INTERVAL_MS / 1000)
            name = eventually(lambda: re.search(r"web@[\w.-]+", visitor.page("workers")))[0]
            pages = tasks + visitor.page("broker") + visitor.page(f"worker/{name}")
            for unseen in ("Invalid user x", "/hook", server.password, "s3cret"):
                assert unseen not in pages
            assert visitor.page(f"api/worker/shutdown/{name}", b"") in {"401", "403", "404", "405"}
            manager.append(1)
            eventually(lambda: len(target.bodies) == 4)


@pytest.mark.slow
def test_flower_keeps_tasks_across_a_restart_and_works_behind_a_proxy(
    client: object, server: EmbeddedServer, tmp_path: Path
) -> None:
    del client
    ours = {
        "COURIER_REDIS_URL": server.url,
        "COURIER_FLOWER_URL_PREFIX": "soc/flower",
        "COURIER_FLOWER_BEHIND_PROXY": "true",
        "COURIER_FLOWER_DB": str(tmp_path / "flower.db"),
    }

    def visitor(flower: Courier, starts: int) -> FlowerClient:
        found = eventually(lambda: re.findall(r"Flower is at (http://[^\"]+/soc/flower/)", flower.log)[starts:])
        return FlowerClient(found[0])

    with Recorder() as target:
        manager = Manager(tmp_path, target)
        with (
            Courier(tmp_path, "producer", *manager.files(), COURIER_REDIS_URL=server.url) as producer,
            Courier(
                tmp_path, "worker", "--http", "--state", str(manager.state), COURIER_REDIS_URL=server.url
            ) as worker,
            Courier(tmp_path, "flower", "--flower-port", "0", **ours) as flower,
        ):
            first = visitor(flower, 0)
            eventually(lambda: "new integration; reading starts" in producer.log)
            eventually(lambda: "ready" in worker.log)
            manager.append(1)
            eventually(lambda: "'delivered': 1" in first.page("tasks/datatable", FORM))
            assert flower.stop() == 0
    with Courier(tmp_path, "flower", "--flower-port", "0", **ours) as flower:
        assert "'delivered': 1" in visitor(flower, 1).page("tasks/datatable", FORM)


def test_flower_keeps_at_most_the_configured_number_of_tasks(
    client: object, server: EmbeddedServer, tmp_path: Path
) -> None:
    del client
    ours = {"COURIER_REDIS_URL": server.url, "COURIER_INTEGRATIONS_DEFAULT_BATCH_MAX": "1"}
    with Recorder() as target:
        manager = Manager(tmp_path, target)
        with (
            Courier(tmp_path, "producer", *manager.files(), **ours) as producer,
            Courier(tmp_path, "worker", "--http", "--state", str(manager.state), **ours) as worker,
            Courier(tmp_path, "flower", "--flower-port", "0", COURIER_FLOWER_MAX_TASKS="100", **ours) as flower,
        ):
            found = eventually(lambda: re.search(r"Flower is at (http://[^\"]+/)", flower.log))
            eventually(lambda: "new integration; reading starts" in producer.log and "ready" in worker.log)
            eventually(lambda: "Connected to" in flower.log)  # earlier events are lost: Flower subscribes to them
            visitor = FlowerClient(found[1])

            def remembered() -> int:
                return int(json.loads(visitor.page("tasks/datatable", FORM))["recordsTotal"])

            manager.append(60)
            eventually(lambda: remembered() == 60)
            manager.append(90)
            eventually(lambda: len(target.bodies) == manager.written)
            eventually(lambda: remembered() == 100)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_flower_recovers_soon_after_redis_and_is_unhealthy_meanwhile(
    client: object, server: EmbeddedServer, tmp_path: Path
) -> None:
    del client
    with Proxy(server.port) as proxy:
        ours = {"COURIER_REDIS_URL": server.url.replace(f":{server.port}", f":{proxy.port}")}
        flower_port = {"COURIER_FLOWER_PORT": str(free_port())}
        with (
            Courier(tmp_path, "worker", "--http", "--name", "web", COURIER_REDIS_URL=server.url),
            Courier(tmp_path, "flower", **ours, **flower_port) as flower,
        ):
            visitor = FlowerClient(f"http://127.0.0.1:{flower_port['COURIER_FLOWER_PORT']}/")
            eventually(lambda: "Flower is at" in flower.log)

            def health() -> str:
                asked = CliRunner().invoke(courier, ["health", "flower"], env=flower_port)
                return asked.output + str(asked.exception or "")

            def beats() -> int:
                (row,) = json.loads(visitor.page("workers?json=1"))["data"]
                return int(row.get("worker-heartbeat", 0))

            eventually(lambda: "Flower responds at" in health())
            eventually(lambda: "web@" in visitor.page("workers?json=1"))
            for trouble, lasts_s in ((proxy.refuse, 31), (proxy.hold, 5)):
                trouble()
                eventually(lambda: "Flower responded with status 503" in health())
                pause(lasts_s)  # after 31 s Flower's own loop pauses for 32 s
                proxy.go_on(forgetting=True)
                before, began_s = beats(), time.monotonic()

                def beats_again(before: int = before) -> bool:
                    return beats() > before

                eventually(beats_again)
                assert time.monotonic() - began_s < 20
                eventually(lambda: "Flower responds at" in health())
            assert flower.log.count("Flower receives no events") in {1, 2}


@pytest.mark.slow
def test_flower_shows_no_active_tasks_for_a_dead_worker(client: object, server: EmbeddedServer, tmp_path: Path) -> None:
    del client
    latest = Recorder(latency_s=60)
    with latest as target:
        manager = Manager(tmp_path, target)
        redis = {"COURIER_REDIS_URL": server.url}
        with (
            Courier(tmp_path, "producer", *manager.files(), **redis) as producer,
            Courier(tmp_path, "worker", "--http", "--state", str(manager.state), **redis) as worker,
            Courier(tmp_path, "flower", "--flower-port", "0", **redis) as flower,
        ):
            found = eventually(lambda: re.search(r"Flower is at (http://[^\"]+/)", flower.log))
            visitor = FlowerClient(found[1])
            eventually(lambda: "new integration; reading starts" in producer.log and "ready" in worker.log)
            manager.append(2)

            def row() -> tuple[bool, bool]:
                rows = json.loads(visitor.page("workers?json=1"))["data"]
                # `active` is empty until the first heartbeat
                return (rows[0]["status"], (rows[0].get("active") or 0) > 0) if rows else (False, False)

            executing = "flower_worker_number_of_currently_executing_tasks{"
            eventually(lambda: row() == (True, True))
            worker.process.kill()
            eventually(lambda: row()[0] is False)
            assert row() == (False, False)
            lines = [line for line in visitor.page("metrics").splitlines() if line.startswith(executing)]
            assert [line.split()[-1] for line in lines] == ["0.0"]
            assert visitor.page("").count("<tr") == visitor.page("workers").count("<tr")


def test_flower_stops_on_sigterm_during_its_start(client: object, server: EmbeddedServer) -> None:
    del client
    ended = subprocess.run(
        [sys.executable, "-c", SIGTERM_DURING_START, "flower", "--flower-port", "0"],
        env=os.environ | {"COURIER_REDIS_URL": server.url},
        capture_output=True,
        text=True,
        timeout=STOP_LIMIT_S,
        check=False,
    )
    assert (ended.returncode, "Flower is at" in ended.stderr, "Traceback" in ended.stderr) == (0, True, False)
