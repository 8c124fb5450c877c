"""`docker compose up` on a manager, on a real engine: it starts, delivers, scales, and loses nothing when killed.

Needs root, since it makes files that belong to the manager and kills processes of containers from outside.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from common.settings_schema import POLICY_KEYS
from tests.e2e.compose import browser
from tests.e2e.compose.engine import ROOT, Project, docker
from tests.e2e.compose.manager import Manager
from tests.support.guide import guide_users
from tests.support.recorder import eventually
from tests.workers.transports.servers import Authority

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

UID, GID = 1500, 1501
PORT = 15555
HEALTHY_LIMIT_S = 60.0
ARTIFACTS = ROOT / "artifacts"
SCRAPE = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:9464/metrics', timeout=10).read().decode())"
KNOWN_FILE = "44d88612fea8a8f36de82e1278abb02f"

SETTINGS = """[integrations.default]
lease = "15s"
retry_base = "1s"
{rate_limits}
[integrations.virustotal]
endpoint = "http://target:8080/virustotal"
{rate_limits}
[integrations.slack]
{rate_limits}
"""


HERE = Path(__file__).with_name("compose")


class Stack:
    """The composed system, the manager's folder beside it, and what has arrived."""

    def __init__(self, folder: Path) -> None:
        record, settings = folder / "record", folder / "settings"
        for made in (record, settings):
            made.mkdir()
            made.chmod(0o777)
        # A vendor's own limit would make thousands of deliveries last for hours.
        rates = "rate_limits = []" if "rate_limits" in POLICY_KEYS else ""
        (settings / "courier.toml").write_text(SETTINGS.format(rate_limits=rates))
        self._messages = record / "messages"
        script = ROOT / "ops/demo/sample/custom-ticket"
        self.manager = Manager(folder / "ossec", uid=UID, gid=GID, script=script)
        self.folder = folder
        self.variables = {
            "WAZUH_HOME": str(self.manager.home),
            "COURIER_UID": str(UID),
            "COURIER_GID": str(GID),
            "COURIER_SETTINGS_DIR": str(settings),
            "COURIER_IMAGE": "courier:e2e",
            "COURIER_FLOWER_PUBLISH": f"127.0.0.1:{PORT}",
            "COURIER_REDIS_PUBLISH": "127.0.0.1:16380",
            "COURIER_TLS": str(folder / "tls"),
            "TEST_RECORD": str(record),
            "TEST_TARGET": str(HERE / "target.py"),
        }
        self.project = Project("courier-e2e", ROOT / "compose.yaml", HERE / "target.yaml", **self.variables)
        self.healthy_after_s = 0.0

    def up(self) -> None:
        """Start it and wait until every service is healthy, which must not take longer than a minute."""
        start_s = time.monotonic()
        self.project.compose("up", "--detach")
        eventually(lambda: not self.project.unhealthy(), limit_s=HEALTHY_LIMIT_S)
        self.healthy_after_s = time.monotonic() - start_s
        print(f"all services healthy after {self.healthy_after_s:.0f} s")

    def arrived(self, service: str) -> Counter[str]:
        """Return how often each alert arrived."""
        lines = self._messages.read_text().splitlines() if self._messages.exists() else []
        return Counter(one.partition(" ")[2] for one in lines if one.startswith(f"{service} "))

    def everything_arrives(self, *services: str, limit_s: float = 240) -> None:
        """Wait until nothing that was written is missing; tell how much came more than once."""
        for service in services or ("slack",):
            eventually(lambda s=service: self._missing(s) == 0, limit_s=limit_s)
            times = self.arrived(service)
            print(f"{service}: {len(times)} arrived, none lost, {times.total() - len(times)} twice")
            assert set(times) == self.manager.written[service]

    def wait_for(self, count: int) -> None:
        """Wait until that many alerts have arrived at Slack."""
        eventually(lambda: len(self.arrived("slack")) >= count, limit_s=120)

    def _missing(self, service: str) -> int:
        return len(self.manager.written[service] - set(self.arrived(service)))

    def accepted(self) -> dict[str, int]:
        """Return how many different messages of each integration its target has; the manager also hears of trouble."""
        arrived = {"slack": "slack", "custom-ticket": "ticket", "virustotal": "virustotal"}
        return {one: len(self.arrived(name)) for one, name in arrived.items()} | {
            "manager": len(set(self.manager.events))
        }

    def delivered(self) -> dict[str, int]:
        """Return how many deliveries of each integration the exporter counts as accepted by the target."""
        text = self.project.compose("exec", "-T", "exporter", "python", "-c", SCRAPE)
        samples = [one for family in text_string_to_metric_families(text) for one in family.samples]
        wanted = [s for s in samples if s.name == "courier_deliveries_total" and s.labels["outcome"] == "delivered"]
        return {s.labels["integration"]: int(s.value) for s in wanted}

    def secret(self, name: str) -> str:
        """Return one of the secrets that `init` made, read as an operator reads it."""
        return self.project.compose("exec", "-T", "flower", "cat", f"/run/courier/{name}").strip()


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The whole system, built and started; stopped and removed with its volumes at the end."""
    made = Stack(tmp_path_factory.mktemp("compose"))
    made.project.compose("build", "--quiet", "producer")
    with made.manager:
        try:
            made.up()
            yield made
        finally:
            ARTIFACTS.mkdir(exist_ok=True)
            (ARTIFACTS / "compose.log").write_text(made.project.compose("logs", "--no-color"))
            made.project.compose("down", "--volumes", "--timeout", "5")


def test_every_service_is_shut_in(stack: Stack) -> None:
    for one in stack.project.containers():
        service = one["Config"]["Labels"]["com.docker.compose.service"]
        if service in {"target", "init"}:
            continue
        host = one["HostConfig"]
        assert host["ReadonlyRootfs"], service
        assert host["CapDrop"] == ["ALL"], service
        assert not host["CapAdd"], service
        assert "no-new-privileges:true" in host["SecurityOpt"], service
        assert one["Config"]["User"] in {f"{UID}:{GID}", "999:999"}, service
        assert all([host["Memory"], host["NanoCpus"], host["PidsLimit"]]), service
        assert host["RestartPolicy"]["Name"] == "unless-stopped", service
        assert host["LogConfig"]["Config"]["max-size"], service
        assert all(not m["RW"] for m in one["Mounts"] if m["Type"] == "bind"), service
        mounted = {m["Destination"] for m in one["Mounts"]}
        assert ("/var/ossec/queue/sockets" in mounted) == (service in {"worker-manager", "worker-scripts"})
        assert ("/var/ossec/integrations" in mounted) == (service == "worker-scripts")


def test_redis_is_not_reachable_from_outside_and_wants_a_password(stack: Stack) -> None:
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
    stack.everything_arrives("slack", "ticket", "virustotal")
    (verdict,) = eventually(lambda: stack.manager.events)
    assert verdict.startswith(b"1:")
    assert b'"integration":"virustotal"' in verdict.replace(b'": "', b'":"')


def test_workers_are_added_and_taken_away_while_it_runs(stack: Stack) -> None:
    before = len(stack.arrived("slack"))
    stack.manager.brute_force(1_500)
    stack.project.compose("up", "--detach", "--no-recreate", "--scale", "worker-http=4")
    eventually(lambda: len(stack.project.containers("worker-http")) == 4)
    stack.manager.brute_force(1_500)
    stack.wait_for(before + 1_600)
    stack.project.compose("up", "--detach", "--no-recreate", "--scale", "worker-http=1")
    assert len(stack.project.containers("worker-http")) == 1
    stack.everything_arrives()


@pytest.mark.parametrize("service", ["producer", "worker-http", "redis"])
def test_nothing_is_lost_when_a_process_is_killed(stack: Stack, service: str) -> None:
    before = len(stack.arrived("slack"))
    stack.manager.brute_force(1_000)
    stack.wait_for(before + 50)
    killed = stack.project.kill(service)
    stack.manager.brute_force(500)
    stack.everything_arrives()

    def is_back() -> bool:
        state: dict[str, Any] = stack.project.containers(service)[0]
        return state["Id"] == killed and state["RestartCount"] >= 1 and not stack.project.unhealthy()

    eventually(is_back, limit_s=90)


def test_a_browser_shows_workers_and_tasks(stack: Stack) -> None:
    stack.manager.brute_force(20)
    stack.everything_arrives()
    login = stack.secret("flower.login")
    address = f"http://{login}@127.0.0.1:{PORT}"
    assert "http@" not in browser.text_of(f"http://127.0.0.1:{PORT}/workers")
    eventually(lambda: all(f"{name}@" in browser.text_of(f"{address}/workers") for name in ("http", "scripts")))
    assert "courier.deliver" in browser.text_of(f"{address}/tasks")
    for page in ("workers", "tasks", "broker"):
        browser.picture(f"{address}/{page}", ARTIFACTS / f"flower-{page}.png")


def test_down_and_up_goes_on_where_it_was(stack: Stack) -> None:
    before, login = len(stack.arrived("slack")), stack.secret("flower.login")
    stack.manager.brute_force(1_000)
    stack.wait_for(before + 100)
    stack.project.compose("down")
    stack.manager.brute_force(500)
    stack.up()
    stack.everything_arrives()
    assert stack.secret("flower.login") == login
    eventually(lambda: "courier.deliver" in browser.text_of(f"http://{login}@127.0.0.1:{PORT}/tasks"))


def test_the_exporter_counts_what_the_target_counted(stack: Stack) -> None:
    stack.everything_arrives("slack", "ticket", "virustotal")
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
    _give_secrets(stack, secrets, ca=tls / "ca.pem", password="of-the-worker")
    users = guide_users("of-the-worker")
    append = ("--rm", "-T", "--no-deps", "--entrypoint", "sh", "init", "-c", "cat >>/run/courier/redis.acl")
    stack.project.compose("run", *append, stdin=users)
    opened = stack.project.also(ROOT / "compose.tls.yaml")
    opened.compose("up", "--detach", "--scale", "worker-http=0")
    elsewhere = Project(
        "courier-e2e-elsewhere",
        ROOT / "compose.workers.yaml",
        HERE / "elsewhere.yaml",
        **stack.variables,
        COURIER_REDIS_URL="rediss://worker@redis:6380/0",
        COURIER_SECRETS=str(secrets),
    )
    try:
        elsewhere.compose("up", "--detach", "--scale", "worker-http=2")
        eventually(lambda: not elsewhere.unhealthy(), limit_s=HEALTHY_LIMIT_S)
        stack.manager.brute_force(500)
        stack.everything_arrives()
        assert not stack.project.containers("worker-http")
        assert "of-the-worker" not in elsewhere.compose("logs")
    finally:
        (ARTIFACTS / "compose-elsewhere.log").write_text(elsewhere.compose("logs", "--no-color"))
        elsewhere.compose("down", "--timeout", "5")


def _make_certificates(folder: Path) -> None:
    folder.mkdir()
    authority = Authority(folder)
    both = authority.certificate("redis").read_bytes()
    for name in ("redis.crt", "redis.key"):
        (folder / name).write_bytes(both)
    for path in (folder, *folder.iterdir()):
        os.chown(path, 999, 999)


def _give_secrets(stack: Stack, folder: Path, *, ca: Path, password: str) -> None:
    folder.mkdir()
    (folder / "secret.key").write_text(stack.secret("secret.key"))
    (folder / "redis.password").write_text(password)
    (folder / "ca.pem").write_bytes(ca.read_bytes())
    for path in (folder, *folder.iterdir()):
        os.chown(path, UID, GID)
