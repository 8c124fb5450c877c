"""Two servers share the integrations of one manager: each has a producer, which reads the same log, and a worker."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from ops.standalone.embedded_redis import EmbeddedServer
from tests.support.processes import Courier, Manager
from tests.support.recorder import Recorder, eventually

if TYPE_CHECKING:
    from pathlib import Path


class Shard:
    """A server with one integration of its own; all shards read the same log."""

    def __init__(self, stack: ExitStack, folder: Path, log: Path) -> None:
        folder.mkdir()
        server = EmbeddedServer(folder / "redis")
        server.start()
        stack.callback(server.stop)
        self.target = stack.enter_context(Recorder())
        manager = Manager(folder, self.target)
        own = {"COURIER_REDIS_URL": server.url, "COURIER_STATE_DIR": str(manager.state)}
        files = ("--config", str(manager.config), "--alerts", str(log))
        self.producer = stack.enter_context(Courier(folder, "producer", *files, "--node", "wazuh-1", **own))
        stack.enter_context(Courier(folder, "worker", "--http", **own))
        eventually(lambda: "new integration; reading starts" in self.producer.log)


def test_two_redis_servers_share_the_integrations_of_one_manager(tmp_path: Path) -> None:
    (tmp_path / "manager").mkdir()
    with ExitStack() as stack:
        nobody = stack.enter_context(Recorder())
        manager = Manager(tmp_path / "manager", nobody)
        shards = [Shard(stack, tmp_path / name, manager.alerts) for name in ("one", "two")]
        manager.append(50)
        for shard in shards:

            def has_all(shard: Shard = shard) -> bool:
                return len(shard.target.bodies) >= manager.written

            eventually(has_all)
            assert sorted(shard.target.ids) == sorted(manager.ids)
