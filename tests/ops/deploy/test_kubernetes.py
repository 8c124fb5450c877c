"""Tests of the manifests against the schemas of Kubernetes and KEDA, and against Courier's commands and settings."""

from __future__ import annotations

import copy
import shutil
import tomllib
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

import ops
from common.integration import Integration
from common.metrics import TABLE
from common.settings.load import load_settings
from common.settings.sources import FIXED, SETTINGS_VARIABLE
from ops.admin.redis_roles import ROLES
from ops.cli.main import COMMANDS
from tests.ops.monitoring.test_rules_and_dashboard import metrics_in
from tests.support.tools import needs, run
from workers.transports.script.process_groups import GRACE_S

FOLDER = Path(ops.__file__).parent / "deploy/kubernetes"
VERSIONS = ("1.29", "1.31", "1.33")
Manifest = dict[str, Any]

KUSTOMIZATION: Manifest = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
MANIFESTS: list[Manifest] = [
    manifest for file in KUSTOMIZATION["resources"] for manifest in yaml.safe_load_all((FOLDER / file).read_text())
]
OURS = [manifest for manifest in MANIFESTS if manifest["kind"] != "ScaledObject"]
DEPLOYMENTS = [manifest for manifest in MANIFESTS if manifest["kind"] == "Deployment"]
CONTAINERS = [one for manifest in DEPLOYMENTS for one in manifest["spec"]["template"]["spec"]["containers"]]
ROLE_OF = {role.name: role for role in ROLES}
(SCALED,) = (manifest for manifest in MANIFESTS if manifest["kind"] == "ScaledObject")


def named(manifest: Manifest) -> str:
    return f"{manifest['kind']}-{manifest['metadata']['name']}"


def variables(container: Manifest) -> dict[str, str]:
    return {one["name"]: one["value"] for one in container["env"]}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("manifest", OURS, ids=named)
def test_manifest_is_valid_for_kubernetes(manifest: Manifest, version: str) -> None:
    kubernetes_validate.validate(manifest, version, strict=True)


def test_validator_refuses_a_misspelt_field() -> None:
    wrong = copy.deepcopy(DEPLOYMENTS[0])
    wrong["spec"]["template"]["spec"]["containers"][0]["imagePullPolicies"] = "Always"
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSIONS[-1], strict=True)


def test_scaling_is_valid_for_keda() -> None:
    from cloudcoil.models.keda.v1alpha1 import ScaledObject  # noqa: PLC0415 — takes 2 s, which no other test should wait

    read = ScaledObject.model_validate(SCALED)
    assert (
        read.model_dump(by_alias=True, exclude_unset=True, mode="json") == SCALED
    )  # a misspelt field would be missing


def test_every_file_is_in_the_kustomization() -> None:
    there = {path.name for path in FOLDER.iterdir()} - {"kustomization.yaml"}
    assert there == {*KUSTOMIZATION["resources"], *KUSTOMIZATION["configMapGenerator"][0]["files"]}
    assert {image["name"] for image in KUSTOMIZATION["images"]} == {one["image"] for one in CONTAINERS}


def test_deleting_courier_keeps_the_managers_namespace() -> None:
    assert KUSTOMIZATION["namespace"] == "wazuh"
    assert "Namespace" not in {manifest["kind"] for manifest in MANIFESTS}


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=named)
def test_every_pod_is_locked_down(deployment: Manifest) -> None:
    pod = deployment["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert "fsGroup" not in pod["securityContext"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False
    assert (
        deployment["spec"]["selector"]["matchLabels"].items()
        <= deployment["spec"]["template"]["metadata"]["labels"].items()
    )
    for container in pod["containers"]:
        held = container["securityContext"]
        assert held["readOnlyRootFilesystem"]
        assert held["allowPrivilegeEscalation"] is False
        assert held["capabilities"] == {"drop": ["ALL"]}
        assert container["resources"]["limits"]["memory"]
        writable = {m["mountPath"] for m in container["volumeMounts"] if not m.get("readOnly")}
        of_scripts = {"/var/ossec/logs", "/var/ossec/tmp"} if "--scripts" in container["args"] else set()
        assert writable == {"/var/lib/courier", "/tmp"} | of_scripts
        assert {m["name"] for m in container["volumeMounts"]} <= {volume["name"] for volume in pod["volumes"]}


def test_scripts_run_as_the_managers_user() -> None:
    for deployment in DEPLOYMENTS:
        pod = deployment["spec"]["template"]["spec"]
        for container in pod["containers"]:
            user = container["securityContext"].get("runAsUser"), container["securityContext"].get("runAsGroup")
            (of_the_manager,) = pod["securityContext"].get("supplementalGroups", [None])
            assert user == ((of_the_manager,) * 2 if "--scripts" in container["args"] else (None, None))


@pytest.mark.parametrize("container", CONTAINERS, ids=lambda one: str(one["name"]))
def test_containers_use_existing_commands_and_settings(container: Manifest) -> None:
    command, *_ = container["args"]
    assert command in COMMANDS
    known = {key.variable for key in FIXED.values()}
    for name in set(variables(container)) - {SETTINGS_VARIABLE}:
        assert name in known or name.removesuffix("_FILE") in known


def test_pods_mount_settings_and_secrets_read_only() -> None:
    for container in CONTAINERS:
        mounts = {one["name"]: one.get("readOnly") for one in container["volumeMounts"]}
        assert mounts["settings"] is True
        assert [readonly for name, readonly in mounts.items() if name.startswith("secrets")] == [True]


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=named)
def test_each_container_has_only_the_secrets_of_its_role(deployment: Manifest) -> None:
    pod = deployment["spec"]["template"]["spec"]
    volumes = {volume["name"]: volume["secret"] for volume in pod["volumes"] if "secret" in volume}
    for one in pod["containers"]:
        role = ROLE_OF[one["args"][0]]
        (mount,) = (mount for mount in one["volumeMounts"] if mount["name"] in volumes)
        assert mount["readOnly"]
        assert volumes[mount["name"]]["secretName"] == f"courier-{role.name}"
        assert "items" not in volumes[mount["name"]]
        assert variables(one)["COURIER_REDIS_URL"] == f"redis://{role.name}@redis:6379/0"
        files = {v for k, v in variables(one).items() if k.endswith("_FILE")}
        assert files == {f"{mount['mountPath']}/{file}" for file in ("redis.password", *role.secrets)}


@pytest.mark.parametrize("role", ["flower", "console"])
def test_the_pages_are_reached_through_the_ingress_only(role: str) -> None:
    (policy,) = (one for one in MANIFESTS if named(one) == f"NetworkPolicy-courier-{role}")
    (service,) = (one for one in MANIFESTS if named(one) == f"Service-courier-{role}")
    (container,) = (one for one in CONTAINERS if one["args"] == [role])
    (port,) = container["ports"]
    assert service["spec"]["selector"] == policy["spec"]["podSelector"]["matchLabels"]
    assert service["spec"]["ports"] == [{"name": "http", "port": port["containerPort"], "targetPort": port["name"]}]
    (allowed,) = policy["spec"]["ingress"]
    assert allowed["ports"] == [{"port": port["containerPort"]}]


def test_the_console_restarts_for_its_own_failures_only() -> None:
    (console,) = (one for one in CONTAINERS if one["args"] == ["console"])
    assert console["readinessProbe"]["httpGet"] == {"path": "/health", "port": "http"}
    assert console["livenessProbe"]["httpGet"]["path"].startswith("/static/"), "a restart does not bring Redis back"


def test_workers_can_drain_before_they_are_killed(tmp_path: Path) -> None:
    shutil.copy(FOLDER / "courier.toml", tmp_path)  # the checkout may be writable by others
    for deployment in DEPLOYMENTS:
        pod = deployment["spec"]["template"]["spec"]
        for one in pod["containers"]:
            if one["args"][0] != "worker":
                continue
            given = {name: value for name, value in variables(one).items() if name == "COURIER_WORKER_DRAIN_TIMEOUT"}
            settings = load_settings(file=tmp_path / "courier.toml", environment=given, cwd=Path("/nonexistent"))
            runs_scripts = "--scripts" in one["args"]
            served = "custom-x" if runs_scripts else "slack"
            policy = settings.policy(Integration(id=served, name=served))
            longest_s = policy.script_timeout_s if runs_scripts else policy.request_timeout_s
            assert longest_s < settings.worker.drain_timeout_s < pod["terminationGracePeriodSeconds"] - GRACE_S
    assert tomllib.loads((FOLDER / "courier.toml").read_text())


def test_scaling_uses_an_existing_deployment_and_metric() -> None:
    target = SCALED["spec"]["scaleTargetRef"]["name"]
    (scaled,) = (one for one in DEPLOYMENTS if one["metadata"]["name"] == target)
    assert "replicas" not in scaled["spec"], "KEDA's; applying the manifests again would set it back"
    (trigger,) = SCALED["spec"]["triggers"]
    assert trigger["metricType"] == "AverageValue", "the fallback needs it, and an age must not multiply"
    asked = metrics_in(trigger["metadata"]["query"])
    assert "courier_overdue_seconds" in asked
    assert asked <= {metric.full_name for metric in TABLE}
    (budget,) = (one for one in MANIFESTS if one["kind"] == "PodDisruptionBudget")
    assert budget["spec"]["minAvailable"] < SCALED["spec"]["minReplicaCount"]


@needs("promtool", "prometheus")
def test_scaling_age_excludes_blocked_deliveries(tmp_path: Path) -> None:
    query = SCALED["spec"]["triggers"][0]["metadata"]["query"]
    rules = {"groups": [{"name": "scaling", "rules": [{"record": "age", "expr": query}]}]}
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(rules))
    ages = {"slack": 60, "shuffle": 500, "pagerduty": 600, "maltiverse": 700, "custom-x": 900, "manager": 950}
    held = {
        "courier_breaker_open": "shuffle",
        "courier_paused": "pagerduty",
        "courier_target_pause_remaining_seconds": "maltiverse",
    }
    series = [
        {"series": f'courier_overdue_seconds{{integration="{one}"}}', "values": f"{age}"} for one, age in ages.items()
    ]
    series += [{"series": f'{name}{{integration="{one}"}}', "values": "1"} for name, one in held.items()]
    check = {"expr": "age", "eval_time": "0m", "exp_samples": [{"labels": "age", "value": 60}]}
    nothing = check | {"exp_samples": [{"labels": "age", "value": 0}]}
    tests = {
        "rule_files": ["rules.yml"],
        "tests": [
            {"input_series": series, "promql_expr_test": [check]},
            {"input_series": series[1:], "promql_expr_test": [nothing]},
        ],
    }
    (tmp_path / "tests.yml").write_text(yaml.safe_dump(tests))
    done = run("promtool", "test", "rules", tmp_path / "tests.yml")
    assert done.returncode == 0, done.stdout


def test_network_policies_allow_only_what_is_needed() -> None:
    policies = {one["metadata"]["name"]: one["spec"] for one in MANIFESTS if one["kind"] == "NetworkPolicy"}
    everyone = policies["courier"]
    labels = [one["spec"]["template"]["metadata"]["labels"] for one in DEPLOYMENTS]
    assert all(everyone["podSelector"]["matchLabels"].items() <= one.items() for one in labels)
    assert everyone["policyTypes"] == ["Ingress", "Egress"]
    ports = {port["containerPort"] for one in CONTAINERS for port in one["ports"] if port["name"].startswith("metrics")}
    assert {port["port"] for rule in everyone["ingress"] for port in rule["ports"]} == ports


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=named)
def test_containers_of_a_pod_have_a_health_file_each(deployment: Manifest) -> None:
    containers = deployment["spec"]["template"]["spec"]["containers"]
    paths = [variables(one).get("COURIER_HEALTH_PATH", "/tmp/courier.health") for one in containers]
    assert len(set(paths)) == len(containers)
    assert all(Path(path).parent == Path("/tmp") for path in paths)
    for one in containers:
        if one["args"][0] in {"producer", "worker"}:
            assert one["readinessProbe"]["exec"] == {"command": ["courier-health"]}
            assert "exec" not in one["livenessProbe"], "a restart does not bring Redis back"
