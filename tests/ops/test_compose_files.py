"""compose.yaml and its companions as they stand: every service of each profile is shut in, each variable has a default.

What a real engine makes of them is shown by `make e2e`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import yaml

from common.integration import Integration
from common.settings import load_settings
from common.units import parse_duration

ROOT = Path(__file__).parents[2]
Service = dict[str, Any]


def services(file: str) -> dict[str, Service]:
    found: dict[str, Service] = yaml.safe_load((ROOT / file).read_text())["services"]
    return found


ALL = {
    f"{file}: {name}": one for file in ("compose.yaml", "compose.workers.yaml") for name, one in services(file).items()
}
RUNNING = {name: one for name, one in ALL.items() if not name.endswith(": init")}
WORKERS = {name: one for name, one in ALL.items() if str(one.get("command", "")).startswith("worker ")}
FILES = sorted(path.name for path in ROOT.glob("compose*.yaml"))
STOCK = {"slack", "pagerduty", "virustotal", "shuffle", "maltiverse"}
SHARED_NETWORK, WAY_OUT = "ledger", "outside"


@pytest.mark.parametrize("one", ALL.values(), ids=list(ALL))
def test_every_service_is_shut_in(one: Service) -> None:
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
def test_every_service_runs_as_an_ordinary_user_and_is_asked_how_it_goes(one: Service) -> None:
    assert one["restart"] == "unless-stopped"
    assert not one["user"].startswith("0")
    assert "cap_add" not in one
    assert one["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}


def test_the_exporter_is_asked_directly_whatever_proxy_the_engine_hands_to_containers() -> None:
    _, _, option, code = services("compose.yaml")["exporter"]["healthcheck"]["test"]
    with HTTPServer(("127.0.0.1", 0), Page) as server:
        thread = Thread(target=server.handle_request, daemon=True)
        thread.start()
        own = code.replace("9464", str(server.server_address[1]))
        proxy = {"http_proxy": "http://127.0.0.1:1", "no_proxy": ""}
        ended = subprocess.run([sys.executable, option, own], env=os.environ | proxy, capture_output=True, check=False)
    assert ended.returncode == 0, ended.stderr


class Page(BaseHTTPRequestHandler):
    """Answers everything with an empty page."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_only_what_prepares_the_volumes_is_root_and_it_reaches_nobody() -> None:
    init = services("compose.yaml")["init"]
    assert init["user"] == "0:0"
    assert init["network_mode"] == "none"
    assert all(mount.partition(":")[0] in {"secrets", "state", "flower"} for mount in init["volumes"])


@pytest.mark.parametrize("one", WORKERS.values(), ids=list(WORKERS))
def test_a_worker_is_asked_for_progress_and_may_finish_before_it_is_killed(one: Service) -> None:
    words = str(one["command"]).split()
    name = words[words.index("--name") + 1]
    assert one["healthcheck"]["test"] == ["CMD", "courier", "health", "worker", "--name", name]
    environment = {"COURIER_WORKER_DRAIN": one["environment"].get("COURIER_WORKER_DRAIN", "")}
    settings = load_settings(file=None, environment=environment, cwd=Path("/nonexistent"))
    served = "custom-x" if "--scripts" in words else "slack"
    policy = settings.policy(Integration(id=served, name=served))
    longest_s = policy.deadline_s if "--scripts" in words else policy.time_limit_s
    assert longest_s < settings.worker.drain_s < parse_duration(one["stop_grace_period"])


def test_the_alert_log_is_the_producers_to_read_and_the_queue_is_for_two() -> None:
    mounted = {
        name: {mount["target"]: mount for mount in one.get("volumes", ()) if isinstance(mount, dict)}
        for name, one in services("compose.yaml").items()
    }
    of_the_manager = {
        (name, target) for name, mounts in mounted.items() for target in mounts if target.startswith("/var/ossec")
    }
    assert of_the_manager == {
        ("producer", "/var/ossec/logs/alerts"),
        ("producer", "/var/ossec/etc"),
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
def test_scripts_may_write_where_they_may_under_the_stock_integrator(file: str) -> None:
    one = services(file)["worker-scripts"]
    uid, gid = one["user"].split(":-", 1)[0][2:], one["user"].rpartition("${")[2].partition(":-")[0]
    assert (uid, gid) == ("COURIER_UID", "COURIER_GID")
    own = f"uid=${{{uid}:-999}},gid=${{{gid}:-999}}"
    assert {mount.partition(":")[0] for mount in one["tmpfs"] if own in mount} == {"/var/ossec/logs", "/var/ossec/tmp"}


def test_redis_is_within_and_only_who_delivers_or_is_looked_at_has_a_way_out() -> None:
    file = yaml.safe_load((ROOT / "compose.yaml").read_text())
    assert file["networks"][SHARED_NETWORK] == {"internal": True}
    found = file["services"]
    assert found["redis"]["networks"] == [SHARED_NETWORK]
    assert {name for name, one in found.items() if "ports" in one} == {"flower", "grafana"}
    published = [port for one in found.values() for port in one.get("ports", ())]
    assert all(":-127.0.0.1:" in port for port in published)
    out = {name for name, one in found.items() if WAY_OUT in one.get("networks", ())}
    dedicated = {f"worker-{name}" for name in STOCK}
    assert out == {"worker-http", "worker-scripts", "flower", "prometheus", "grafana", *dedicated}


def test_each_stock_integration_has_a_service_of_its_own_to_scale() -> None:
    found = {name: one for name, one in services("compose.yaml").items() if one.get("profiles") == ["dedicated"]}
    assert {one["command"] for one in found.values()} == {f"worker --integration {one} --name {one}" for one in STOCK}
    assert not any("container_name" in one for one in ALL.values()), "a name of one's own cannot be scaled"


@pytest.mark.parametrize("file", FILES)
def test_every_variable_has_a_default_or_says_what_to_write(file: str) -> None:
    used = re.findall(r"(?<!\$)\$\{(\w+)([^}]*)\}", (ROOT / file).read_text())
    assert used
    for name, rest in used:
        assert re.match(r":?-", rest) or re.match(r":\?.{10}", rest), name
    assert not re.findall(r"(?<!\$)\$[A-Za-z_]", (ROOT / file).read_text()), "without braces there is no default"
