"""Tests of what kubectl generates from the kustomize folder and the guide's overlay, as the cluster would get it."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

import ops
from ops.admin.redis_roles import ROLES
from tests.ops.deploy.test_kubernetes import (
    FOLDER,
    KUSTOMIZATION,
    MANIFESTS,
    SCALED,
    VERSIONS,
    Manifest,
    named,
    variables,
)
from tests.support.guide import Shell, blocks
from tests.support.tools import needs, run

KNOWS_THE_GUIDE = 27
# There is no cluster: kubectl runs with client-side checks only.
WITHOUT_CLUSTER = """case " $* " in
  *" create "*) exec {kubectl} "$@" --dry-run=client --output yaml ;;
  *" apply --kustomize "*) shift 2; exec {kubectl} kustomize "$@" ;;
  *" kustomize "*) exec {kubectl} "$@" ;;
  *) echo "this needs a cluster: kubectl $*" >&2; exit 1 ;;
esac"""
MOUNTED = ("producer", "worker", "flower", "console", "exporter")
"""The roles of pods; only the administrator has the operator's password."""

GUIDE = (Path(ops.__file__).parent / "docs/kubernetes.md").read_text()


def built(folder: Path) -> dict[str, Manifest]:
    done = run("kubectl", "kustomize", folder)
    assert done.returncode == 0, done.stdout
    return {named(one): one for one in yaml.safe_load_all(done.stdout)}


def pod_of(deployment: Manifest) -> Manifest:
    pod: Manifest = deployment["spec"]["template"]["spec"]
    return pod


def is_taken(manifests: dict[str, Manifest]) -> None:
    for name, manifest in manifests.items():
        assert manifest["metadata"]["namespace"] == "wazuh", name
        for version in VERSIONS if manifest["kind"] != "ScaledObject" else ():
            kubernetes_validate.validate(manifest, version, strict=True)


@needs("kubectl", "kubernetes-client")
def test_kustomization_builds_and_references_exist() -> None:
    manifests = built(FOLDER)
    (settings,) = (name for name in manifests if name.startswith("ConfigMap-courier-"))
    assert set(manifests) == {named(one) for one in MANIFESTS} | {settings}
    is_taken(manifests)
    for deployment in (one for one in manifests.values() if one["kind"] == "Deployment"):
        pod = pod_of(deployment)
        assert {volume["configMap"]["name"] for volume in pod["volumes"] if "configMap" in volume} == {
            settings.removeprefix("ConfigMap-")
        }
        assert {one["image"] for one in pod["containers"]} == {f"courier:{KUSTOMIZATION['images'][0]['newTag']}"}
    assert f"Deployment-{SCALED['spec']['scaleTargetRef']['name']}" in manifests


@needs("kubectl", "kubernetes-client")
def test_overlay_of_a_second_manager_is_separate(tmp_path: Path) -> None:
    version = json.loads(run("kubectl", "version", "--client", "-o", "json").stdout)["clientVersion"]
    minor = int(version["minor"].rstrip("+"))
    if minor < KNOWS_THE_GUIDE:
        pytest.skip(f"kubectl 1.{minor} is older than 1.{KNOWS_THE_GUIDE}: its kustomize lacks what the guide writes")
    (overlay,) = re.findall(r"```yaml\n# worker-0/kustomization.yaml\n(.*?)```", GUIDE, re.DOTALL)
    (tmp_path / "kustomization.yaml").write_text(overlay)
    for name in ("beside-manager.yaml", "courier.toml"):
        shutil.copy(FOLDER / name, tmp_path)
    manifests = built(tmp_path)
    is_taken(manifests)
    (second,) = (one for one in manifests.values() if one["kind"] == "Deployment")
    first = built(FOLDER)["Deployment-courier-beside-manager"]
    assert second["metadata"]["name"] == "courier-beside-manager-worker-0"
    labels = second["spec"]["template"]["metadata"]["labels"]
    assert first["spec"]["selector"]["matchLabels"].items() - labels.items(), "the first would take its pods"
    assert labels["app.kubernetes.io/name"] == "courier-beside-manager", "the network policies go by it"
    producers = [variables(pod_of(one)["containers"][0])["COURIER_PRODUCER_NODE"] for one in (first, second)]
    assert len(set(producers)) == 2
    volumes = [{one["name"]: one for one in pod_of(deployment)["volumes"]} for deployment in (first, second)]
    assert volumes[0]["ossec"] != volumes[1]["ossec"]
    for role in ("producer", "worker"):
        assert volumes[0][f"secrets-{role}"] == volumes[1][f"secrets-{role}"]


@needs("kubectl", "kubernetes-client")
def test_every_command_of_the_page_works(tmp_path: Path) -> None:
    page = blocks(Path(ops.__file__).parent / "docs/kubernetes.md")
    assert len(page) == 2
    kubectl = WITHOUT_CLUSTER.format(kubectl=shutil.which("kubectl"))
    courier = f'exec "{sys.executable}" -m ops.cli.main "$@"'
    operator = Shell(tmp_path, instead={}, tools={"kubectl": kubectl, "courier": courier})
    secret, output = (operator.run(block) for block in page)
    made = [yaml.safe_load(one) for one in re.split(r"^(?=apiVersion:)", secret, flags=re.MULTILINE)[1:]]
    for role in ROLES:
        given = [one for one in made if one["metadata"]["name"] == f"courier-{role.name}"]
        assert [set(one["data"]) for one in given] == (
            [{"redis.password", *role.secrets}] if role.name in MOUNTED else []
        )
    assert {one["metadata"]["name"] for one in made} == {f"courier-{name}" for name in (*MOUNTED, "redis")}
    assert {one["metadata"]["namespace"] for one in made} == {"wazuh"}
    applied = list(yaml.safe_load_all(output))
    assert {named(one) for one in applied} >= {named(one) for one in MANIFESTS}
