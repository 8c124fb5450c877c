"""The Compose system of the tests: its settings, the manager's folder beside it, and the messages that arrived."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client.parser import text_string_to_metric_families

from common.settings.schema import POLICY_KEYS
from ops.standalone.embedded_redis import free_port
from tests.e2e.compose.engine import ROOT, Project
from tests.e2e.compose.manager import Manager
from tests.support.recorder import eventually

if TYPE_CHECKING:
    from prometheus_client.samples import Sample

UID, GID = 1500, 1501
PORT, CONSOLE_PORT, GRAFANA_PORT, TLS_PORT = free_port(), free_port(), free_port(), free_port()
HEALTHY_LIMIT_S = 60.0
ARTIFACTS = ROOT / "artifacts"
SCRAPE = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:9464/metrics', timeout=10).read().decode())"

SETTINGS = """[integrations.default]
lease = "15s"
retry_delay = "1s"
{rate_limits}
[integrations.virustotal]
endpoint = "http://target:8080/virustotal"
{rate_limits}
[integrations.slack]
{rate_limits}
"""

_HERE = Path(__file__).parent


class Stack:
    """The Compose system, the manager's folder beside it, and the messages that arrived."""

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
            "COURIER_CONSOLE_PUBLISH": f"127.0.0.1:{CONSOLE_PORT}",
            "COURIER_CONSOLE_FLOWER_URL": f"http://127.0.0.1:{PORT}/",
            "COURIER_GRAFANA_PUBLISH": f"127.0.0.1:{GRAFANA_PORT}",
            "COURIER_REDIS_PUBLISH": f"127.0.0.1:{TLS_PORT}",
            "COURIER_TLS": str(folder / "tls"),
            "TEST_RECORD": str(record),
            "TEST_TARGET": str(_HERE / "target.py"),
        }
        self.project = Project("courier-e2e", ROOT / "compose.yaml", _HERE / "target.yaml", **self.variables)
        self.healthy_after_s = 0.0

    def up(self) -> None:
        """Start it and wait until every service is healthy, for at most a minute."""
        start_s = time.monotonic()
        self.project.compose("up", "--detach")
        self.project.wait_until_healthy(HEALTHY_LIMIT_S)
        self.healthy_after_s = time.monotonic() - start_s
        print(f"all services healthy after {self.healthy_after_s:.0f} s")

    def arrived(self, service: str) -> Counter[str]:
        """Return how often each alert arrived."""
        lines = self._messages.read_text().splitlines() if self._messages.exists() else []
        return Counter(one.partition(" ")[2] for one in lines if one.startswith(f"{service} "))

    def wait_until_all_arrived(self, *services: str, limit_s: float = 240) -> None:
        """Wait until all written alerts have arrived, and print how many arrived twice."""
        for service in services or ("slack",):

            def is_complete(service: str = service) -> bool:
                return self._missing(service) == 0

            eventually(is_complete, limit_s=limit_s)
            times = self.arrived(service)
            print(f"{service}: {len(times)} arrived, none lost, {times.total() - len(times)} twice")
            assert set(times) == self.manager.written[service]

    def wait_for(self, count: int) -> None:
        """Wait until that many alerts have arrived at Slack."""
        eventually(lambda: len(self.arrived("slack")) >= count, limit_s=120)

    def _missing(self, service: str) -> int:
        return len(self.manager.written[service] - set(self.arrived(service)))

    def accepted(self) -> dict[str, int]:
        """Return the number of different messages at the target of each integration, and of the manager's events."""
        arrived = {"slack": "slack", "custom-ticket": "ticket", "virustotal": "virustotal"}
        return {one: len(self.arrived(name)) for one, name in arrived.items()} | {
            "manager": len(set(self.manager.events))
        }

    def delivered(self) -> dict[str, int]:
        """Return the number of delivered deliveries of each integration, by the exporter."""
        samples = self.metrics("exporter")
        wanted = [s for s in samples if s.name == "courier_deliveries_total" and s.labels["outcome"] == "delivered"]
        return {s.labels["integration"]: int(s.value) for s in wanted}

    def metrics(self, service: str) -> list[Sample]:
        """Return the metrics of a container of this service."""
        text = self.project.compose("exec", "-T", service, "python", "-c", SCRAPE)
        return [one for family in text_string_to_metric_families(text) for one in family.samples]

    def secret(self, name: str) -> str:
        """Return one of the secrets that `init` created, read in the same way as by an operator."""
        read = ("run", "--rm", "-T", "--no-deps", "--entrypoint", "cat", "init")
        return self.project.compose(*read, f"/run/courier/{name}").strip()
