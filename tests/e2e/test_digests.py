"""What becomes of digests when targets fail and operators act: two producers, a worker, one delivery with its count."""

from __future__ import annotations

import json
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import pytest
from click.testing import CliRunner

from common.ledger import Ledger, Unaccounted, unaccounted
from ops.cli.main import courier
from ops.standalone.embedded_redis import EmbeddedServer
from tests.support.processes import Courier
from tests.support.recorder import Recorder, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NODES: Final = ("n1", "n2")
TABLES: Final = {
    "failing": 'digest.every = "1s"',
    "refusing": 'digest.every = "1s"',
    "falling": 'digest.every = "1s"\nfallback = "spare"',
    "paused": 'digest.every = "1s"',
    "nightly": 'hold = {in = "now", then = "digest"}',
    "silenced": 'digest.every = "1s"',
    "buried": 'digest.every = "1h"',
    "shared": 'digest.every = "3s"\ndigest.first = 2',
    "spare": "",
}
HEAD: Final = """
[windows]
now = {{from = "{begin:%H:%M}", to = "{end:%H:%M}"}}

[integrations.default]
retry_delay = "200ms"
retry_delay_max = "1s"
breaker_failures = 0
"""
TABLE: Final = """
[integrations.{id}]
service = "webhook"
hook_url = "{url}"
only = ["rule.description = {id}"]
{more}
"""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


class System:
    """Two managers, a worker and one target for each integration, whose answer is `answers[ID]`."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self._folder, self._written = folder, 0
        self.answers = dict.fromkeys(TABLES, 200)
        self.targets = {
            one: stack.enter_context(Recorder(partial(lambda name, _: self.answers[name], one))) for one in TABLES
        }
        self.server = EmbeddedServer(folder / "redis")
        self.server.start()
        stack.callback(self.server.stop)
        (folder / "ossec.conf").write_text("<ossec_config></ossec_config>")
        now = datetime.now(UTC)
        tables = (TABLE.format(id=one, url=self.targets[one].url, more=more) for one, more in TABLES.items())
        head = HEAD.format(begin=now - timedelta(hours=2), end=now + timedelta(hours=8))
        (folder / "courier.toml").write_text(head + "".join(tables))
        for node in NODES:
            self.log(node).touch()
            producer = stack.enter_context(Courier(folder / node, "producer", **self._settings(node)))
            eventually(partial(has_started, producer))
        stack.enter_context(Courier(folder, "worker", "--http", **self._settings("n1")))
        self._client = stack.enter_context(self.server.client())
        self.ledger = Ledger(self._client)

    def log(self, node: str) -> Path:
        folder = self._folder / node
        folder.mkdir(exist_ok=True)
        return folder / "alerts.json"

    def append(self, integration_id: str, count: int, node: str = "n1") -> list[str]:
        """Write alerts for one integration to a manager's log, and return their ids."""
        numbers = range(self._written, self._written + count)
        self._written += count
        now = datetime.now(UTC)
        ids = [f"{int(now.timestamp())}.{number}" for number in numbers]
        rule = {"level": 5, "id": "5712", "description": integration_id}
        alerts = ({"timestamp": f"{now:%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "+0000", "id": one, "rule": rule} for one in ids)
        with self.log(node).open("ab") as log:
            log.writelines(json.dumps(one | {"location": "x"}).encode() + b"\n" for one in alerts)
        return ids

    def courier(self, *arguments: str) -> str:
        found = CliRunner().invoke(courier, arguments, env=self._settings("n1"))
        assert found.exit_code == 0, found.output
        return found.stdout

    def explained(self, integration_id: str, alert_id: str) -> dict[str, Any]:
        """Return what is said about an alert and an integration."""
        report = json.loads(self.courier("explain", alert_id, "--integration", integration_id, "--json"))
        (found,) = report["integrations"]
        return dict(found)

    def counts(self, integration_id: str) -> list[int]:
        """Return the counts of the digests that a target has got."""
        alerts = [json.loads(body) for body in self.targets[integration_id].bodies]
        return [one["courier"]["digest"]["count"] for one in alerts if "courier" in one]

    def status(self, integration_id: str) -> Any:
        return self.ledger.status(integration_id)

    def dead(self, integration_id: str) -> list[dict[str, Any]]:
        """Wait for dead letters and return them."""
        eventually(lambda: self.status(integration_id).dead)
        lines = self.courier("dead", "list", "--integration", integration_id, "--json").splitlines()
        return [json.loads(line) for line in lines]

    def _settings(self, node: str) -> dict[str, str]:
        return {
            "COURIER_REDIS_URL": self.server.url,
            "COURIER_SETTINGS": str(self._folder / "courier.toml"),
            "COURIER_STATE_DIR": str(self._folder / "state"),
            "COURIER_PRODUCER_CONFIG": str(self._folder / "ossec.conf"),
            "COURIER_PRODUCER_ALERTS": str(self.log(node)),
            "COURIER_PRODUCER_NODE": node,
        }


def has_started(producer: Courier) -> bool:
    return producer.log.count("reading starts") == len(TABLES)


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with ExitStack() as stack:
        made = System(stack, tmp_path_factory.mktemp("digests"))
        yield made
        statuses = made.ledger.statuses([*TABLES])
        nothing = Unaccounted(alerts=0, deliveries=0)
        assert {one: unaccounted(status) for one, status in statuses.items()} == dict.fromkeys(TABLES, nothing)


def test_two_managers_fold_into_one_group(system: System) -> None:
    for node in NODES:
        system.append("shared", 10, node)
    eventually(lambda: sum(system.counts("shared")) == 18)
    singles = [body for body in system.targets["shared"].bodies if b'"courier"' not in body]
    assert (len(singles), len(system.counts("shared"))) == (2, 1)


def test_a_digest_is_retried_and_explained_and_in_the_history(system: System) -> None:
    system.answers["failing"] = 503
    ids = system.append("failing", 5)
    eventually(lambda: system.status("failing").failed == 1)
    said = system.explained("failing", ids[-1])
    assert said["text"].startswith("in digest digest:")
    assert "its retry is due" in said["text"] or "in flight" in said["text"] or "released" in said["text"]
    system.answers["failing"] = 200
    eventually(lambda: system.counts("failing") == [5])
    eventually(lambda: not system.status("failing").released)
    (entry,) = map(json.loads, system.courier("history", "failing", "--json").splitlines())
    assert (entry["count"], entry["outcome"], entry["alert_id"]) == (5, "delivered", ids[-1])
    assert entry["rule"]["description"] == "5 more: failing"
    said = system.explained("failing", ids[-1])
    assert said["text"].startswith(f"in digest {entry['delivery']} of alerts with rule.id 5712: delivered ")
    assert (said["digest"]["id"], said["digest"]["count"], said["digest"]["certain"]) == (entry["delivery"], 5, True)
    probable = system.explained("failing", ids[0])
    assert probable["text"].startswith(f"probably in digest {entry['delivery']} ")
    assert probable["digest"] == said["digest"] | {"certain": False}


def test_a_digest_dies_and_is_exported_imported_replayed_and_moved(system: System, tmp_path: Path) -> None:
    system.answers["refusing"] = 400
    system.append("refusing", 4)
    (letter,) = system.dead("refusing")
    assert letter["delivery"].startswith("digest:")
    file = tmp_path / "dead.jsonl"
    system.courier("dead", "export", str(file), "--integration", "refusing")
    system.courier("dead", "discard", letter["delivery"], "--yes")
    assert system.status("refusing").dead == 0
    system.courier("dead", "import", str(file))
    system.courier("dead", "replay", letter["delivery"], "--to", "spare", "--yes")
    eventually(lambda: 4 in system.counts("spare"))
    system.courier("dead", "import", str(file))
    system.answers["refusing"] = 200
    system.courier("dead", "replay", letter["delivery"], "--yes")
    eventually(lambda: system.counts("refusing") == [4])


def test_a_digest_goes_to_the_fallback(system: System) -> None:
    system.answers["falling"] = 400
    system.append("falling", 6)
    eventually(lambda: 6 in system.counts("spare"))
    (letter,) = system.dead("falling")
    assert system.targets["falling"].bodies == []
    system.courier("dead", "discard", letter["delivery"], "--yes")


def test_windows_end_while_an_integration_is_paused(system: System) -> None:
    system.courier("pause", "paused", "--reason", "x")
    system.append("paused", 3)
    eventually(lambda: system.status("paused").waiting == 1)
    system.append("paused", 2)
    eventually(lambda: system.status("paused").waiting == 2)
    assert system.counts("paused") == []
    system.courier("resume", "paused")
    eventually(lambda: sorted(system.counts("paused")) == [2, 3])


def test_a_held_window_is_one_digest_that_an_operator_can_release(system: System) -> None:
    ids = system.append("nightly", 7)
    eventually(lambda: system.status("nightly").in_groups == 7)
    text = system.courier("explain", ids[3], "--integration", "nightly")
    assert "nightly: probably in an open digest of all alerts, whose window ends " in text
    system.courier("release", "nightly", "--yes")
    eventually(lambda: system.counts("nightly") == [7])


def test_a_silenced_alert_is_not_folded(system: System) -> None:
    system.courier("silence", "add", "--rule", "5712", "--integration", "silenced", "--for", "1h", "--reason", "x")

    def totals() -> tuple[int, int]:
        found = system.status("silenced").totals
        return found.get("folded", 0), found.get("silenced", 0)

    def is_in_force() -> bool:
        number = sum(totals()) + len(system.append("silenced", 1))  # in this order
        eventually(lambda: sum(totals()) == number)
        return totals()[1] > 0

    eventually(is_in_force)
    folded, silenced = totals()
    system.append("silenced", 3)
    eventually(lambda: totals() == (folded, silenced + 3))


def test_bury_ends_open_groups(system: System) -> None:
    system.append("buried", 8)
    eventually(lambda: system.status("buried").in_groups == 8)
    system.courier("dead", "bury", "buried", "--yes")
    (letter,) = system.dead("buried")
    assert system.status("buried").in_groups == 0
    system.courier("dead", "replay", letter["delivery"], "--yes")
    eventually(lambda: system.counts("buried") == [8])
