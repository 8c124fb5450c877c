"""`docker compose up` on a manager, with a real engine: it starts, delivers, scales, and survives kills without loss.

Needs root, because it creates files of the manager's user and kills processes of containers from outside.
"""

from __future__ import annotations

import os
import shutil
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.compose import browser
from tests.e2e.compose.engine import ROOT, Project, docker
from tests.e2e.compose.hardening import check_container, check_containers
from tests.e2e.compose.stack import ARTIFACTS, CONSOLE_PORT, GID, HEALTHY_LIMIT_S, PORT, UID, Stack
from tests.support.recorder import eventually
from tests.workers.transports.servers import Authority

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

KNOWN_FILE = "44d88612fea8a8f36de82e1278abb02f"
BASE = "python:3.11-slim-bookworm"
LARGEST_MB = 115
HERE = Path(__file__).with_name("compose")


def test_every_container_is_hardened(stack: Stack) -> None:
    check_containers(stack.project.containers())


def test_image_builds_are_reproducible_and_small(stack: Stack) -> None:
    image = stack.variables["COURIER_IMAGE"]

    def identity() -> str:
        return docker("image", "inspect", "--format", "{{.Id}}", image)

    before = identity()
    stack.project.compose("build", "--quiet", "--no-cache")
    assert identity() == before
    size, below = (int(docker("image", "inspect", "--format", "{{.Size}}", one)) for one in (image, BASE))
    print(f"the image is {(size - below) / 1e6:.0f} MB over {BASE}")
    assert size - below < LARGEST_MB * 1e6


def test_the_image_has_no_developer_files(stack: Stack) -> None:
    lists = "import courier, os; print(*(folder for folder, _, _ in os.walk(courier.__path__[0] + '/ops')))"
    folders = stack.project.compose("exec", "-T", "producer", "python", "-c", lists).split()
    names = {folder.rpartition("/")[2] for folder in folders}
    assert {"cli", "monitoring", "deploy"} <= names
    assert not {"bench", "docs", "grafana", "kubernetes", "prometheus", "alertmanager", "compose", "systemd"} & names


def test_the_image_contains_bytecode_for_all_imports(stack: Stack) -> None:
    lists = "import sys; print(*(m.__cached__ for m in sys.modules.values() if getattr(m, '__cached__', None)))"
    imports = "import courier.__main__, sys; sys.path.insert(0, courier.__path__[0]); "
    imports += "import ops.cli.worker, ops.admin.health, workers.main, celery.apps.worker, kombu.transport.redis"
    found = stack.project.compose("exec", "-T", "worker-http", "python", "-c", f"{imports}; {lists}").split()
    assert len(found) > 500
    probe = f"import os; print(*(p for p in {found!r} if not os.path.exists(p)))"
    assert stack.project.compose("exec", "-T", "worker-http", "python", "-c", probe).split() == []


def test_redis_has_no_published_port_and_requires_a_password(stack: Stack) -> None:
    (redis,) = stack.project.containers("redis")
    assert set(redis["NetworkSettings"]["Networks"]) == {"courier-e2e_ledger"}
    assert not any(redis["NetworkSettings"]["Ports"].values())
    assert "NOAUTH" in stack.project.compose("exec", "-T", "redis", "redis-cli", "dbsize")
    health = ("redis-cli", "--user", "health", "--pass", "x", "--no-auth-warning")
    assert "NOPERM" in stack.project.compose("exec", "-T", "redis", *health, "dbsize")
    password = stack.secret("redis.password")
    everything = docker("inspect", *[one["Id"] for one in stack.project.containers()])
    assert password
    assert password not in everything


def test_five_thousand_alerts_of_every_kind_arrive(stack: Stack) -> None:
    stack.manager.brute_force(5_000)
    stack.manager.tickets(20)
    stack.manager.new_file(KNOWN_FILE)
    stack.wait_until_all_arrived("slack", "ticket", "virustotal")
    (verdict,) = eventually(lambda: stack.manager.events)
    assert verdict.startswith(b"1:")
    assert b'"integration":"virustotal"' in verdict.replace(b'": "', b'":"')


def test_workers_can_be_added_and_removed_while_running(stack: Stack) -> None:
    before = len(stack.arrived("slack"))
    stack.manager.brute_force(1_500)
    stack.project.compose("up", "--detach", "--no-recreate", "--scale", "worker-http=4")
    eventually(lambda: len(stack.project.containers("worker-http")) == 4)
    stack.manager.brute_force(1_500)
    stack.wait_for(before + 1_600)
    stack.project.compose("up", "--detach", "--no-recreate", "--scale", "worker-http=1")
    assert len(stack.project.containers("worker-http")) == 1
    stack.wait_until_all_arrived()


@pytest.mark.parametrize("service", ["producer", "worker-http", "redis"])
def test_no_alert_is_lost_when_a_process_is_killed(stack: Stack, service: str) -> None:
    before = len(stack.arrived("slack"))
    stack.manager.brute_force(1_000)
    stack.wait_for(before + 50)
    killed = stack.project.kill(service)
    stack.manager.brute_force(500)
    stack.wait_until_all_arrived()

    def is_back() -> bool:
        state: dict[str, Any] = stack.project.containers(service)[0]
        return state["Id"] == killed and state["RestartCount"] >= 1 and not stack.project.unhealthy()

    eventually(is_back, limit_s=90)


def test_flower_shows_workers_and_tasks_in_a_browser(stack: Stack) -> None:
    stack.manager.brute_force(20)
    stack.wait_until_all_arrived()
    login = stack.secret("flower.login")
    address = f"http://{login}@127.0.0.1:{PORT}"
    assert "http@" not in browser.rendered_html(f"http://127.0.0.1:{PORT}/workers")
    eventually(lambda: all(f"{name}@" in browser.rendered_html(f"{address}/workers") for name in ("http", "scripts")))
    assert "courier.deliver" in browser.rendered_html(f"{address}/tasks")
    for page in ("workers", "tasks", "broker"):
        browser.picture(f"{address}/{page}", ARTIFACTS / f"flower-{page}.png")


def test_the_console_shows_the_integrations_in_a_browser(stack: Stack) -> None:
    stack.manager.brute_force(20)
    stack.wait_until_all_arrived()
    login, address = stack.secret("flower.login"), f"http://127.0.0.1:{CONSOLE_PORT}/"
    with browser.chromium() as running:
        assert running.new_context().request.get(address).status == HTTPStatus.UNAUTHORIZED
        page = browser.logged_in(running, login, 1400, 900)
        page.goto(address)
        for name in stack.accepted():
            page.locator(f"#tile-{name} .badge", has_text="sending").wait_for()
        for process in ("manager", "http@", "scripts@", "manager@"):
            page.get_by_role("rowheader", name=process).first.wait_for()
        assert page.get_by_role("link", name="Flower").get_attribute("href") == f"http://127.0.0.1:{PORT}/"
        page.screenshot(path=ARTIFACTS / "console-compose.png")
        page.get_by_role("link", name="Dead letters").click()
        page.get_by_text("There are no dead letters.").wait_for()


def test_compose_down_and_up_loses_no_alert(stack: Stack) -> None:
    before, login = len(stack.arrived("slack")), stack.secret("flower.login")
    stack.manager.brute_force(1_000)
    stack.wait_for(before + 100)
    stack.project.compose("down")
    stack.manager.brute_force(500)
    stack.up()
    stack.wait_until_all_arrived()
    assert stack.secret("flower.login") == login
    eventually(lambda: "courier.deliver" in browser.rendered_html(f"http://{login}@127.0.0.1:{PORT}/tasks"))


def test_the_counts_of_exporter_and_targets_agree(stack: Stack) -> None:
    stack.wait_until_all_arrived("slack", "ticket", "virustotal")
    # By its name, since the profile would bring Prometheus and Grafana as well.
    stack.project.compose("up", "--detach", "--wait", "--no-recreate", "exporter")
    try:
        eventually(lambda: stack.delivered() == stack.accepted())  # the last settlements may still be under way
        print(f"the exporter and the targets agree: {stack.accepted()}")
    finally:
        stack.project.compose("rm", "--stop", "--force", "exporter")


def test_workers_on_another_machine_take_over(stack: Stack) -> None:
    tls, secrets = stack.folder / "tls", stack.folder / "secrets"
    _make_certificates(tls)
    _give_secrets(stack, secrets, ca=tls / "ca.pem")
    opened = stack.project.also(ROOT / "compose.tls.yaml")
    opened.compose("up", "--detach", "--scale", "worker-http=0", "--scale", "worker-scripts=0")
    copied = stack.folder / "copied"
    for name in ("integrations", "framework"):
        shutil.copytree(stack.manager.home / name, copied / name)
    for path in copied.rglob("*"):
        os.chown(path, 0, GID)
    elsewhere = Project(
        "courier-e2e-elsewhere",
        ROOT / "compose.workers.yaml",
        HERE / "elsewhere.yaml",
        **(stack.variables | {"WAZUH_HOME": str(copied)}),
        COURIER_REDIS_URL="rediss://worker@redis:6380/0",
        COURIER_SECRETS=str(secrets),
    )
    try:
        elsewhere.compose("--profile", "scripts", "up", "--detach", "--scale", "worker-http=2")
        elsewhere.wait_until_healthy(HEALTHY_LIMIT_S)
        for one in elsewhere.containers():
            check_container("elsewhere", one)
            assert {m["Source"] for m in one["Mounts"] if m["Destination"].startswith("/var/ossec/")} <= {
                str(path) for path in copied.iterdir()
            }
        stack.manager.brute_force(500)
        stack.manager.tickets(5)
        stack.wait_until_all_arrived("slack", "ticket")
        assert not stack.project.containers("worker-http")
        assert not stack.project.containers("worker-scripts")
        assert (secrets / "redis.password").read_text() not in elsewhere.compose("logs")
    finally:
        ARTIFACTS.mkdir(exist_ok=True)
        (ARTIFACTS / "compose-elsewhere.log").write_text(elsewhere.compose("logs", "--no-color"))
        elsewhere.compose("--profile", "scripts", "down", "--timeout", "5")


def _make_certificates(folder: Path) -> None:
    folder.mkdir()
    authority = Authority(folder)
    both = authority.certificate("redis").read_bytes()
    for name in ("redis.crt", "redis.key"):
        (folder / name).write_bytes(both)
    for path in (folder, *folder.iterdir()):
        os.chown(path, 10002, 10002)


def _give_secrets(stack: Stack, folder: Path, *, ca: Path) -> None:
    folder.mkdir()
    for name in ("secret.key", "redis.password"):
        (folder / name).write_text(stack.secret(f"worker/{name}"))
    (folder / "ca.pem").write_bytes(ca.read_bytes())
    for path in (folder, *folder.iterdir()):
        os.chown(path, UID, GID)
