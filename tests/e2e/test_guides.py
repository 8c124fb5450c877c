"""Runs every command block of the pages on containers as written, with a real engine.

On the pages, the manager is in /var/ossec and settings are in /etc/courier. If these paths do not exist, the test links
them to its own folders; otherwise it fails and changes nothing.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from common.version import version
from ops.standalone.embedded_redis import free_port
from tests.e2e.compose.engine import docker
from tests.e2e.compose.manager import Manager
from tests.e2e.compose.stack import GID, UID
from tests.e2e.compose.stand_ins import image_or_stand_in
from tests.support.guide import PAGES, ROOT, Block, Shell, blocks
from tests.support.recorder import eventually
from tests.workers.transports.servers import Authority

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]

COMPOSE, REMOTE, FLOWER = (PAGES / f"{name}.md" for name in ("compose", "remote-workers", "flower"))
GATEWAY = "{{(index .IPAM.Config 0).Gateway}}"
HEALTHY_WITHIN_S = 180.0
FAKE_RSYNC = """shift
for last; do :; done
mkdir -p "$last"
for one; do [ "$one" = "$last" ] || cp -a "${one#*:}" "$last"; done"""
"""Replaces rsync: it copies locally, because both machines of the page are this one."""


@contextmanager
def symlinked(path: Path, folder: Path) -> Iterator[None]:
    """Link a path of the pages to a folder of the test."""
    assert not os.path.lexists(path), f"{path} exists here: this test would need its place"
    folder.mkdir(parents=True, exist_ok=True)
    path.symlink_to(folder)
    try:
        yield
    finally:
        path.unlink()


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Path]:
    """A host with a manager in /var/ossec. Yields the folder that contains everything."""
    with ExitStack() as stack:
        stack.enter_context(symlinked(Path("/etc/courier"), tmp_path / "etc"))
        manager = Manager(tmp_path / "ossec", uid=UID, gid=GID, script=ROOT / "ops/demo/sample/custom-ticket")
        stack.enter_context(symlinked(Path("/var/ossec"), manager.home))
        stack.enter_context(manager)
        for folder in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
            folder.chmod(0o755)
        yield tmp_path


COURIER = f"""unset COURIER_FLOWER_PUBLISH COURIER_GRAFANA_PUBLISH COURIER_REDIS_PUBLISH
exec timeout --preserve-status 60 "{sys.executable}" -m ops.cli.main "$@"
"""
"""The command on a host. The variables that it unsets are those of the test, for Compose only."""


@contextmanager
def shell(folder: Path, project: str, **variables: str) -> Iterator[Shell]:
    """A shell with its own Compose project on free ports. At the end everything that it started is removed."""
    made = Shell(
        folder,
        instead={"manager.example:6380": variables.get("COURIER_REDIS_PUBLISH", "")},
        tools={"rsync": FAKE_RSYNC, "courier": COURIER},
        COMPOSE_PROJECT_NAME=project,
        COURIER_FLOWER_PUBLISH=f"127.0.0.1:{free_port()}",
        COURIER_GRAFANA_PUBLISH=f"127.0.0.1:{free_port()}",
        **variables,
    )
    try:
        yield made
    finally:
        made.do("docker compose logs --no-color >../compose.log 2>&1 || true")
        made.do("COMPOSE_PROFILES='*' docker compose down --volumes --remove-orphans --timeout 5 2>&1")


def running(one: Shell) -> dict[str, list[str]]:
    """Return the ids of the containers of each service."""
    found: dict[str, list[str]] = {}
    for line in one.do("docker compose ps --format '{{.Service}} {{.ID}}'").splitlines():
        service, _, container = line.partition(" ")
        found.setdefault(service, []).append(container)
    return found


def is_healthy(one: Shell) -> bool:
    """Return whether all containers are healthy."""
    states = one.do("docker compose ps --format '{{.Health}}'").split()
    return bool(states) and set(states) == {"healthy"}


def page(file: Path, *, but: str = "") -> dict[str, list[Block]]:
    """Return the command blocks of a page by section, without the section `but`."""
    found: dict[str, list[Block]] = {}
    for block in blocks(file):
        if block.section != but:
            found.setdefault(block.section, []).append(block)
    return found


def test_readme_commands_are_on_the_compose_page() -> None:
    (block,) = (one for one in blocks(ROOT / "README.md") if one.section == "docker compose up on a manager")
    clone, *commands = re.sub(r" +# .*", "", block.commands).splitlines()
    assert clone.startswith("git clone")
    known = "\n".join(one.commands for one in blocks(COMPOSE))
    assert [line for line in commands if line not in known] == []


def test_the_compose_page_works_as_written(host: Path) -> None:
    sections = page(COMPOSE, but="Where Wazuh itself runs in containers")
    images = {
        f"COURIER_{name.upper()}_IMAGE": image_or_stand_in(name, f"docker.io/{image}")
        for name, image in (
            ("prometheus", "prom/prometheus:v3.5.0"),
            ("alertmanager", "prom/alertmanager:v0.28.1"),
            ("grafana", "grafana/grafana:12.1.0"),
        )
    }
    with shell(host / "manager", "courier-guide", **images) as operator:
        describe, check, up = sections.pop("Start")
        operator.run(describe)
        checked = operator.run(check)
        assert "custom-ticket" in checked
        assert "0 errors, 0 warnings" in checked
        assert "alerts of rule 5720" in checked
        assert "courier-guide" not in docker("volume", "ls") + docker("network", "ls")
        built = docker("image", "inspect", "--format", "{{json .Config.Labels}}", f"courier:{version()}")
        assert f'"org.opencontainers.image.version":"{version()}"' in built
        assert re.search(r'"org.opencontainers.image.revision":"[0-9a-f]{40}"', built)
        operator.run(up)
        before = running(operator)
        operator.do("docker compose up -d --build 2>&1")
        assert running(operator) == before

        look, health = sections.pop("Look")
        assert "courier:" in operator.run(look)
        assert "the worker http@" in operator.run(health)

        _check_scaling(operator, sections.pop("Scale"))
        assert running(operator)["redis"] == before["redis"]
        operator.do("docker compose --profile '*' down 2>&1")
        _check_monitoring(operator, sections.pop("Prometheus, Alertmanager and Grafana"))
        (settings,) = sections.pop("Settings")
        operator.run(settings)
        _check_update_and_rollback(operator, sections.pop("Update, and back"), host / "manager/origin")
        (selinux,) = sections.pop("SELinux")
        operator.run(selinux)
        (stop,) = sections.pop("Stop")
        operator.run(stop)
        assert running(operator) == {}
        assert sections == {}


def _check_scaling(operator: Shell, steps: list[Block]) -> None:
    more, dedicated = steps
    operator.run(more)
    assert len(running(operator)["worker-http"]) == 2
    operator.do("docker compose up -d 2>&1")
    assert len(running(operator)["worker-http"]) == 2
    operator.run(dedicated)
    after = running(operator)
    assert "worker-http" not in after
    assert len(after["worker-slack"]) == 2


def _check_monitoring(operator: Shell, steps: list[Block]) -> None:
    *watch, password = steps
    for block in watch:
        operator.run(block)
    assert operator.run(password).strip()
    eventually(lambda: is_healthy(operator), limit_s=HEALTHY_WITHIN_S)
    assert {"prometheus", "alertmanager", "grafana"} <= set(running(operator))
    runbook = "wget -qO- http://127.0.0.1:3000/public/runbooks/CourierRedisUnsafe.md"
    assert "# CourierRedisUnsafe" in operator.do(f"docker compose exec -T grafana {runbook}")


def _check_update_and_rollback(operator: Shell, steps: list[Block], origin: Path) -> None:
    update, back = steps
    before = running(operator)
    with (origin / "ops/admin/top.py").open("a") as file:
        file.write("# changed\n")
    operator.do("cd ../origin; git -c user.name=t -c user.email=t@example.org commit --quiet -a -m changed")
    operator.run(update)
    new, old = (docker("image", "inspect", "--format", "{{.Id}}", f"courier:{tag}") for tag in (version(), "former"))
    assert new != old
    after = running(operator)
    assert [after[name] for name in ("redis", "prometheus", "grafana")] == [
        before[name] for name in ("redis", "prometheus", "grafana")
    ]
    assert after["producer"] != before["producer"]
    operator.run(back)
    assert docker("inspect", "--format", "{{.Image}}", *running(operator)["producer"]) == old


def test_the_flower_page_works_as_written(host: Path) -> None:
    (status,), (proxied,) = page(FLOWER).values()
    with shell(host / "manager", "courier-guide-flower") as operator:
        describe, check, up = page(COMPOSE)["Start"]
        for block in (describe, check, up):
            operator.run(block)
        assert "slack" in operator.run(status)
        operator.run(proxied)
        operator.do("docker compose up -d 2>&1")
        asked = "docker compose exec -T flower courier health flower"
        eventually(lambda: "/flower/healthcheck" in operator.do(f"{asked} || true"), limit_s=HEALTHY_WITHIN_S)


def test_the_remote_workers_page_works_as_written(host: Path) -> None:
    gateway = docker("network", "inspect", "bridge", "--format", GATEWAY).strip()
    published = f"{gateway}:{free_port()}"
    with ExitStack() as stack:
        stack.enter_context(symlinked(Path("/srv/ossec"), host / "copied"))
        operator = stack.enter_context(shell(host / "manager", "courier-guide-tls", COURIER_REDIS_PUBLISH=published))
        other = stack.enter_context(shell(host / "other", "courier-guide-other", COURIER_REDIS_PUBLISH=published))
        for block in page(COMPOSE)["Start"]:
            operator.run(block)
        _make_certificates(host / "etc/tls", gateway)
        steps = blocks(REMOTE)
        tls, bring, take, start, scripts, bare, alone = steps
        for block, where in zip(steps, ("manager", "manager", *["other machine"] * 4, "manager"), strict=True):
            assert block.commands.startswith(f"# on the {where}")
        operator.run(tls)
        eventually(lambda: _is_open(published))
        operator.run(bring)
        shutil.move(operator.folder / "worker.tar", other.folder)
        other.run(take)
        assert {one.name for one in (host / "etc/secrets").iterdir()} == {"redis.password", "secret.key"}
        shutil.copy(host / "etc/tls/ca.pem", host / "etc/secrets")
        other.run(start)
        other.run(scripts)
        eventually(lambda: is_healthy(other), limit_s=HEALTHY_WITHIN_S)
        assert len(running(other)["worker-http"]) == 4
        assert (host / "copied/integrations/custom-ticket").exists()
        assert "ready" in other.run(bare)
        operator.run(alone)
        assert not {"worker-http", "worker-scripts"} & set(running(operator))
        operator.do("docker compose up -d 2>&1")
        assert _is_open(published), "a plain `up -d` closed the TLS port"
        assert not {"worker-http", "worker-scripts"} & set(running(operator))
        eventually(lambda: is_healthy(other), limit_s=HEALTHY_WITHIN_S)


def test_the_compose_page_works_with_wazuh_in_containers(host: Path) -> None:
    (block,) = page(COMPOSE)["Where Wazuh itself runs in containers"]
    names = [f"single-node_wazuh_{name}" for name in ("etc", "logs", "queue", "integrations")]
    assert not set(names) & set(docker("volume", "ls", "--quiet").split()), "these volumes are not the test's"
    folders = {"etc": "etc", "logs": "logs", "queue": "queue", "integrations": "integrations"}
    mounts = [word for name in folders for word in ("--volume", f"single-node_wazuh_{name}:/var/ossec/{folders[name]}")]
    container = "single-node-wazuh.manager-1"
    inside = (
        "useradd --system --uid 1777 --user-group wazuh && cp -a /from/. /var/ossec/ "
        "&& chown -R wazuh:wazuh /var/ossec && touch /ready && exec sleep infinity"
    )
    try:
        source = ("--volume", f"{host / 'ossec'}:/from:ro")
        shutil.rmtree(host / "ossec/queue/sockets")  # a socket cannot be copied
        (host / "ossec/queue/sockets").mkdir()
        docker("run", "--detach", "--name", container, *mounts, *source, "debian:bookworm-slim", "sh", "-c", inside)
        eventually(lambda: "ready" in docker("exec", container, "ls", "/"))
        with shell(host / "manager", "courier-guide-wazuh") as operator:
            assert "alerts of rule 5720" in operator.run(block)
            eventually(lambda: is_healthy(operator), limit_s=HEALTHY_WITHIN_S)
            assert f"COURIER_UID={docker('exec', container, 'id', '-u', 'wazuh').strip()}" in operator.do("cat .env")
            producer = operator.do("docker compose exec -T producer ls /var/ossec/logs/alerts /var/ossec/etc")
            assert {"alerts.json", "ossec.conf"} <= set(producer.split())
            assert "custom-ticket" in operator.do("docker compose exec -T worker-scripts ls /var/ossec/integrations")
            line = "/var/ossec/logs/alerts/alerts.json"
            docker("exec", container, "sh", "-c", f'echo \'{{"rule": {{"level": 1, "id": "1"}}}}\' >>{line}')
            read = "docker compose run --rm -T operator status --json"
            eventually(lambda: re.search(r'"lines": *[1-9]', operator.do(read)), limit_s=60)
    finally:
        docker("rm", "--force", "--volumes", container)
        docker("volume", "rm", "--force", *names)


def _is_open(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except OSError:
        return False
    return True


def _make_certificates(folder: Path, address: str) -> None:
    folder.mkdir()
    authority = Authority(folder)
    both = authority.certificate("redis", address).read_bytes()
    for name in ("redis.crt", "redis.key"):
        (folder / name).write_bytes(both)
    for file in (folder, *folder.iterdir()):
        os.chown(file, 10002, 10002)
