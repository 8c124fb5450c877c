"""Tests of the compose files: every service of each profile is locked down, each variable has a default.

What a real engine makes of them is shown by `make e2e`.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from common.integration import Integration
from common.settings.load import load_settings
from common.settings.units import parse_duration
from ops.admin.redis_roles import ROLES

ROOT = Path(__file__).parents[3]
Service = dict[str, Any]


def services(file: str) -> dict[str, Service]:
    found: dict[str, Service] = yaml.safe_load((ROOT / file).read_text())["services"]
    return found


ALL = {
    f"{file}: {name}": one for file in ("compose.yaml", "compose.workers.yaml") for name, one in services(file).items()
}
RUNNING = {name: one for name, one in ALL.items() if not name.endswith((": init", ": check", ": operator"))}
WORKERS = {name: one for name, one in ALL.items() if str(one.get("command", "")).startswith("worker ")}
FILES = sorted(path.name for path in ROOT.glob("compose*.yaml"))
STOCK = {"slack", "pagerduty", "virustotal", "shuffle", "maltiverse"}
HOLDERS = ("redis", "grafana", *(role.name for role in ROLES))
SHARED_NETWORK, WAY_OUT = "ledger", "outside"


@pytest.mark.parametrize("one", ALL.values(), ids=list(ALL))
def test_every_service_is_locked_down(one: Service) -> None:
    assert one["read_only"]
    assert one["cap_drop"] == ["ALL"]
    assert one["security_opt"] == ["no-new-privileges:true"]
    assert one["init"]
    assert "privileged" not in one
    assert one["cpus"]
    assert one["mem_limit"]
    assert one["pids_limit"]
    assert set(one["logging"]["options"]) == {"max-size", "max-file"}


@pytest.mark.parametrize("one", RUNNING.values(), ids=list(RUNNING))
def test_settings_and_secrets_are_mounted_read_only(one: Service) -> None:
    mounts = [volume for volume in one.get("volumes", ()) if isinstance(volume, dict)]
    ours = [volume for volume in mounts if volume["target"] in ("/etc/courier", "/run/courier")]
    assert ours or "COURIER_SETTINGS" not in one.get("environment", {})
    assert all(volume["read_only"] for volume in ours)


@pytest.mark.parametrize("one", RUNNING.values(), ids=list(RUNNING))
def test_every_service_is_unprivileged_and_has_a_health_check(one: Service) -> None:
    assert one["restart"] == "unless-stopped"
    assert not one["user"].startswith("0")
    assert "cap_add" not in one
    assert one["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}


@pytest.mark.parametrize("one", RUNNING.values(), ids=list(RUNNING))
def test_no_health_check_starts_python(one: Service) -> None:
    if str(one["image"]).startswith("${COURIER_IMAGE"):
        assert one["healthcheck"]["test"] == ["CMD", "courier-health"]
    assert not {"courier", "python", "python3"} & set(one["healthcheck"]["test"])


@pytest.mark.parametrize("one", RUNNING.values(), ids=list(RUNNING))
def test_image_decides_where_the_health_file_is(one: Service) -> None:
    assert "COURIER_HEALTH_PATH" not in one.get("environment", {})
    (path,) = re.findall(r"COURIER_HEALTH_PATH=(\S+)", (ROOT / "Dockerfile").read_text())
    assert f":-{path}}}" in (ROOT / "ops/deploy/courier-health").read_text(), "the script's default"
    if str(one["image"]).startswith("${COURIER_IMAGE"):
        assert any(mount.startswith(f"{Path(path).parent}:") for mount in one["tmpfs"])


def test_only_init_runs_as_root_and_has_no_network() -> None:
    init = services("compose.yaml")["init"]
    assert init["user"] == "0:0"
    assert init["network_mode"] == "none"
    assert all(
        mount.partition(":")[0] in {"state", "flower", "redis"} | {"secrets", *(f"{name}-secrets" for name in HOLDERS)}
        for mount in init["volumes"]
    )


@pytest.mark.parametrize("one", WORKERS.values(), ids=list(WORKERS))
def test_worker_stop_timeout(one: Service) -> None:
    words = str(one["command"]).split()
    environment = {"COURIER_WORKER_DRAIN_TIMEOUT": one["environment"].get("COURIER_WORKER_DRAIN_TIMEOUT", "")}
    settings = load_settings(file=None, environment=environment, cwd=Path("/nonexistent"))
    served = "custom-x" if "--scripts" in words else "slack"
    policy = settings.policy(Integration(id=served, name=served))
    longest_s = policy.script_timeout_s if "--scripts" in words else policy.request_timeout_s
    assert longest_s < settings.worker.drain_timeout_s < parse_duration(one["stop_grace_period"])


def test_alert_log_and_queue_are_mounted_where_needed() -> None:
    mounted = {
        name: {mount["target"]: mount for mount in one.get("volumes", ()) if isinstance(mount, dict)}
        for name, one in services("compose.yaml").items()
    }
    of_the_manager = {
        (name, target) for name, mounts in mounted.items() for target in mounts if target.startswith("/var/ossec")
    }
    everything = {target for name, target in of_the_manager if name != "check"}
    assert {target for name, target in of_the_manager if name == "check"} == everything
    assert {one for one in of_the_manager if one[0] != "check"} == {
        ("producer", "/var/ossec/logs/alerts"),
        ("producer", "/var/ossec/etc"),
        ("operator", "/var/ossec/logs/alerts"),
        ("operator", "/var/ossec/etc"),
        ("worker-scripts", "/var/ossec/integrations"),
        ("worker-scripts", "/var/ossec/framework"),
        ("worker-scripts", "/var/ossec/queue/sockets"),
        ("worker-manager", "/var/ossec/queue/sockets"),
    }
    for name, target in of_the_manager:
        mount = mounted[name][target]
        assert mount["read_only"]
        assert mount["bind"] == {"create_host_path": False}, "Docker would make an empty folder of root's"


@pytest.mark.parametrize("file", ["compose.yaml", "compose.workers.yaml"])
def test_scripts_may_write_where_the_stock_integrator_lets_them(file: str) -> None:
    one = services(file)["worker-scripts"]
    uid, gid = one["user"].split(":-", 1)[0][2:], one["user"].rpartition("${")[2].partition(":-")[0]
    assert (uid, gid) == ("COURIER_UID", "COURIER_GID")
    own = f"uid=${{{uid}:-999}},gid=${{{gid}:-999}}"
    assert {mount.partition(":")[0] for mount in one["tmpfs"] if own in mount} == {"/var/ossec/logs", "/var/ossec/tmp"}


def test_only_some_services_reach_outside_networks() -> None:
    file = yaml.safe_load((ROOT / "compose.yaml").read_text())
    assert file["networks"][SHARED_NETWORK] == {"internal": True}
    found = file["services"]
    assert found["redis"]["networks"] == [SHARED_NETWORK]
    assert {name for name, one in found.items() if "ports" in one} == {"console", "flower", "grafana"}
    published = [port for one in found.values() for port in one.get("ports", ())]
    assert all(":-127.0.0.1:" in port for port in published)
    out = {name for name, one in found.items() if WAY_OUT in one.get("networks", ())}
    dedicated = {f"worker-{name}" for name in STOCK}
    assert out == {
        "worker-http",
        "worker-scripts",
        "console",
        "flower",
        "prometheus",
        "alertmanager",
        "grafana",
        *dedicated,
    }


def test_each_stock_integration_has_its_own_service() -> None:
    found = {name: one for name, one in services("compose.yaml").items() if one.get("profiles") == ["dedicated"]}
    assert {one["command"] for one in found.values()} == {f"worker --integration {one} --name {one}" for one in STOCK}
    assert not any("container_name" in one for one in ALL.values()), "a name of one's own cannot be scaled"


@pytest.mark.parametrize("file", FILES)
def test_every_variable_has_a_default_or_an_error_text(file: str) -> None:
    used = re.findall(r"(?<!\$)\$\{(\w+)([^}]*)\}", (ROOT / file).read_text())
    assert used or file in {"compose.check.yaml", "compose.selinux.yaml"}
    for name, rest in used:
        assert re.match(r":?-", rest) or re.match(r":\?.{10}", rest), name
    assert not re.findall(r"(?<!\$)\$[A-Za-z_]", (ROOT / file).read_text()), "without braces there is no default"


def test_check_needs_no_network_and_no_volumes() -> None:
    check = services("compose.yaml")["check"]
    assert check["network_mode"] == "none"
    assert check["entrypoint"] == ["courier", "check"], "an option such as --json replaces `command`"
    assert "command" not in check
    assert all(isinstance(mount, dict) and mount["type"] == "bind" for mount in check["volumes"])
    alone = yaml.safe_load((ROOT / "compose.check.yaml").read_text())
    assert alone["services"] == {"check": {"extends": {"file": "compose.yaml", "service": "check"}}}
    assert "volumes" not in alone


@pytest.mark.parametrize("file", ["compose.yaml", "compose.workers.yaml"])
def test_image_is_built_once_and_never_pulled(file: str) -> None:
    ours = {name: one for name, one in services(file).items() if "COURIER_IMAGE" in str(one["image"])}
    (built,) = (one for one in ours.values() if "build" in one)
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert {one["image"] for one in ours.values()} == {f"${{COURIER_IMAGE:-courier:{version}}}"}
    assert {one["pull_policy"] for one in ours.values()} == {"never"}
    assert built["build"]["args"]["VERSION"] == version
    assert built["build"]["args"]["REVISION"] == "${COURIER_REVISION:-unknown}"


def test_new_image_does_not_recreate_redis_and_grafana() -> None:
    for name in ("redis", "grafana", "prometheus", "alertmanager"):
        assert "depends_on" not in services("compose.yaml")[name], f"{name} would be recreated with what it depends on"


@pytest.mark.parametrize("one", RUNNING.values(), ids=list(RUNNING))
def test_health_check_notices_a_start_soon(one: Service) -> None:
    assert parse_duration(one["healthcheck"].get("start_interval", one["healthcheck"]["interval"])) <= 2


@pytest.mark.parametrize("one", RUNNING.values(), ids=list(RUNNING))
def test_stuck_service_is_unhealthy_within_20_seconds(one: Service) -> None:
    check = one["healthcheck"]
    assert parse_duration(check["interval"]) * check["retries"] <= 20


@pytest.mark.parametrize("one", WORKERS.values(), ids=list(WORKERS))
def test_number_of_workers_can_be_set_in_env_file(one: Service) -> None:
    general = {"manager"}
    name = str(one["command"]).split()[-1]
    assert name in general or re.fullmatch(r"\$\{COURIER_[A-Z]+_WORKERS:-1\}", one["scale"])


def test_selinux_and_wazuh_docker_files_cover_the_same_services() -> None:
    see = {"check", "producer", "operator", "worker-scripts", "worker-manager"}
    for file in ("compose.selinux.yaml", "compose.wazuh-docker.yaml"):
        text = (ROOT / file).read_text().replace("!override", "")
        assert set(yaml.safe_load(text)["services"]) == see


def role_of(name: str) -> str:
    return "worker" if name.startswith("worker-") else name


def test_each_service_has_only_the_secrets_of_its_role() -> None:
    found = services("compose.yaml")
    roles = {role.name: role for role in ROLES}
    seen = set()
    for name, one in found.items():
        mounts = [mount for mount in one.get("volumes", ()) if isinstance(mount, dict)]
        secrets = [mount["source"] for mount in mounts if mount["target"] == "/run/courier"]
        if role_of(name) in HOLDERS:
            assert secrets == [f"{role_of(name)}-secrets"], name
            assert all(mount["read_only"] for mount in mounts), name
        else:
            assert not secrets, name
        if role := roles.get(role_of(name)):
            seen.add(role.name)
            assert one["environment"]["COURIER_REDIS_URL"] == f"redis://{role.name}@redis:6379/0"
            files = {v for k, v in one["environment"].items() if k.endswith("_FILE")}
            assert files == {f"/run/courier/{file}" for file in ("redis.password", *role.secrets)}, name
    assert seen == set(roles)


def test_redis_runs_as_its_own_user() -> None:
    found = services("compose.yaml")
    (user,) = {word.partition("=")[2] for word in found["init"]["command"] if word.startswith("--redis-owner=")}
    assert found["redis"]["user"] == user
    assert [name for name, one in found.items() if one["user"] == user] == ["redis"]
    assert user != "999:999", "the default of COURIER_UID, and often the manager's"
