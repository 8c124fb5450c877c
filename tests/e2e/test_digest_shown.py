"""Real processes fold a flood, and the services that the demo simulates show the digests that they get of it."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from ops.demo.chats import CHATS
from ops.demo.faults import Faults
from ops.demo.target import Route, Target
from tests.support.processes import Courier, Manager
from tests.support.recorder import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ops.standalone.embedded_redis import EmbeddedServer

ALERTS = 60
DIGEST = '\n[integrations.{name}.digest]\nby = ["rule.id"]\nevery = "2s"\n'
CHAT = '\n[integrations.{name}]\nservice = "{name}"\nhook_url = "{address}/{name}"\n' + DIGEST
PAGER = '\n[integrations.pagerduty]\nservice = "pagerduty"\napi_key = "k"\nendpoint = "{address}/pagerduty"\n' + DIGEST


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Target]:
    """The simulated services, each with an integration of its own name."""
    target = Target(socket_path=tmp_path / "queue", faults=Faults({}))
    target.routes.update({name: Route(name, name) for name in (*CHATS, "slack", "pagerduty")})
    target.start()
    yield target
    target.stop()


@pytest.mark.slow
@pytest.mark.usefixtures("client")  # empties the server
@pytest.mark.timeout(300)
def test_every_alert_is_in_a_digest_that_each_service_shows(
    server: EmbeddedServer, services: Target, tmp_path: Path
) -> None:
    address = services.address
    manager = Manager(tmp_path, SimpleNamespace(url=f"{address}/slack"))
    toml = tmp_path / "courier.toml"
    chats = (CHAT.format(name=name, address=address) for name in CHATS)
    toml.write_text("".join([DIGEST.format(name="slack"), PAGER.format(name="pagerduty", address=address), *chats]))
    settings = {"COURIER_REDIS_URL": server.url, "COURIER_SETTINGS": str(toml), "COURIER_STATE_DIR": str(manager.state)}

    def shown() -> Counter[str]:
        """Return how many alerts the digests of each integration stand for, by their titles."""
        counts = Counter[str]()
        for one in services.inbox.after(0):
            number, word, _ = one.title.split(" ", 2)
            assert (word, one.accepted) == ("more:", True)
            counts[one.integration] += int(number)
        return counts

    with Courier(tmp_path, "producer", *manager.files(), **settings) as producer:
        eventually(lambda: producer.log.count("reading starts") == len(services.routes))
        with Courier(tmp_path, "worker", "--http", **settings):
            manager.append(ALERTS)
            eventually(lambda: shown() == Counter(dict.fromkeys(services.routes, ALERTS)))
    digests = services.inbox.after(0)
    assert len(digests) < 3 * len(services.routes)
    rows = {one.integration: dict(one.body["rows"]) for one in digests if one.integration in CHATS}
    for name in set(CHATS) - {"googlechat"}:  # its rows are lines of its text
        assert rows[name]["rule.id"] == "5712"
        assert rows[name]["Top agent.name"].startswith("web01 (")
    assert len({one.body["dedup_key"] for one in digests if one.integration == "pagerduty"}) == 1
