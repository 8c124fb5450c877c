"""Checks that every container is hardened, by `docker inspect`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.e2e.compose.stack import GID, UID

if TYPE_CHECKING:
    from collections.abc import Iterable

UNCHECKED_SERVICES = {"target", "init"}
USERS = {f"{UID}:{GID}", "10002:10002", "65534:65534", "472:0"}
"""Courier's, Redis's, Prometheus's and Grafana's; root is none of them (Grafana's group 0 gives it nothing here)."""


def check_containers(containers: Iterable[dict[str, Any]]) -> None:
    """Fail with the name of a service that has more rights than it needs."""
    for one in containers:
        service = one["Config"]["Labels"]["com.docker.compose.service"]
        if service not in UNCHECKED_SERVICES:
            check_container(service, one)
            _check_mounts(service, {m["Destination"]: m for m in one["Mounts"]})


def check_container(service: str, one: dict[str, Any]) -> None:
    """Fail if a container has more rights than it needs."""
    host = one["HostConfig"]
    assert host["ReadonlyRootfs"], service
    assert host["CapDrop"] == ["ALL"], service
    assert not host["CapAdd"], service
    assert not host["Privileged"], service
    assert "no-new-privileges:true" in host["SecurityOpt"], service
    assert one["Config"]["User"] in USERS, service
    assert all([host["Memory"], host["NanoCpus"], host["PidsLimit"]]), service
    assert host["Init"], service
    assert host["RestartPolicy"]["Name"] == "unless-stopped", service
    assert host["LogConfig"]["Type"] == "json-file", service
    assert {"max-size", "max-file"} <= set(host["LogConfig"]["Config"]), service
    assert one["Config"]["Healthcheck"]["Test"], service


def _check_mounts(service: str, mounts: dict[str, dict[str, Any]]) -> None:
    assert all(not m["RW"] for m in mounts.values() if m["Type"] == "bind"), service
    assert ("/var/ossec/queue/sockets" in mounts) == (service in {"worker-manager", "worker-scripts"}), service
    assert ("/var/ossec/integrations" in mounts) == (service == "worker-scripts"), service
    assert ("/var/ossec/logs/alerts" in mounts) == (service == "producer"), service
