"""A producer with everything around it, on a log of either source."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from cryptography.fernet import Fernet
from msgspec.structs import replace

from common.registry.encryption import Cipher
from common.registry.published import PublishedRegistry
from producer.config_file import ConfigFile
from producer.cursors.backup import CursorBackup
from producer.cursors.signatures import CursorSigner
from producer.loop import Producer
from producer.quarantine import Quarantine
from tests.support.fakes import Clock, CommitOnly, policy, settings_for
from tests.support.ledger import Ledger
from tests.support.sources import ListLog, read_all

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import redis

    from common.integration import Integration
    from common.settings.schema import Policy
    from producer.health import ProducerHealth
    from producer.loop import Start
    from tests.support.sources import FileSource, ListSource, Log

NODE = "wazuh-1"
SLACK_BLOCK = "<integration><name>slack</name><hook_url>https://h.example/a</hook_url>{}</integration>"
SHUFFLE_BLOCK = "<integration><name>shuffle</name><hook_url>https://s.example/a</hook_url></integration>"


def alert(number: int, level: int = 5) -> bytes:
    return json.dumps({"id": str(number), "rule": {"level": level, "id": "1"}, "location": "x"}).encode()


class ConfigWithConditions(ConfigFile):
    """An ossec.conf whose integrations have `conditions`: `only` and `except_`, by id."""

    def __init__(self, path: Path, conditions: Mapping[str, Mapping[str, tuple[str, ...]]]) -> None:
        super().__init__(settings_for(path), lambda: time.time() + 60)  # no file is being written
        self._conditions = conditions

    def load(self) -> tuple[Integration, ...]:
        return self._with_conditions(super().load())

    def reload(self, *, forced: bool = False) -> tuple[Integration, ...] | None:
        changed = super().reload(forced=forced)
        return None if changed is None else self._with_conditions(changed)

    def _with_conditions(self, integrations: tuple[Integration, ...]) -> tuple[Integration, ...]:
        return tuple(replace(one, **self._conditions.get(one.id, {})) for one in integrations)


class World:
    """A log, producers that read it, and their dependencies; `limits` changes the policy of every integration.

    `conditions` are those of the integrations, by id, from the next read of the configuration on. `source` is that of
    the latest producer.
    """

    source: ListSource | FileSource

    def __init__(
        self,
        client: redis.Redis,
        directory: Path,
        *blocks: str,
        log: Callable[[Path], Log] = ListLog,
        node: str = NODE,
        health: ProducerHealth | None = None,
        **limits: Any,
    ) -> None:
        self.health = health
        directory.mkdir(exist_ok=True)
        self.config = directory / "ossec.conf"
        self.write(*blocks or (SLACK_BLOCK.format(""),))
        self.client, self.clock, self.log, self.limits = client, Clock(), log(directory), limits
        self.key, self.node, self.ledger = Fernet.generate_key(), node, Ledger(client)
        self.dispatcher = CommitOnly(self.ledger)
        self.conditions: dict[str, dict[str, tuple[str, ...]]] = {}
        self._sources: list[ListSource | FileSource] = []

    def write(self, *blocks: str) -> None:
        self.config.write_text(f"<ossec_config>{''.join(blocks)}</ossec_config>")

    def append(self, *lines: bytes) -> None:
        self.log.append(*lines)

    def producer(self, start: Start | None = None) -> Producer:
        self.source = self.log.open()
        self._sources.append(self.source)
        return Producer(
            node=self.node,
            source=self.source,
            config=ConfigWithConditions(self.config, self.conditions),
            registry=PublishedRegistry(self.client, Cipher(self.key)),
            policy=self.policy,
            ledger=self.ledger,
            dispatcher=self.dispatcher,  # type: ignore[arg-type]  # notes instead of releasing
            client=self.client,
            quarantine=Quarantine(self.config.with_name("aside.jsonl"), 10_000, self.clock),
            cursor_backup=CursorBackup(self.config.with_name("places.json")),
            signer=CursorSigner(Cipher(self.key), self.node),
            now=self.clock,
            commit_delay_s=0.05,
            start=start,
            health=self.health,
        )

    def policy(self, _integration: Integration) -> Policy:
        return policy(**self.limits)

    def settle(self, producer: Producer) -> None:
        """Step, a second at a time, until nothing is left to read."""
        for _ in range(100):
            self.clock.now_s += 1
            if not producer.run_once():
                return

    def waiting(self, integration_id: str = "slack") -> list[str]:
        ids: Any = self.client.zrange(f"courier:{{{integration_id}}}:waiting", 0, -1)
        return sorted(one.decode() for one in ids)

    def ids(self, *numbers: int) -> list[str]:
        """Return the delivery ids of these lines of the log."""
        source = self.log.open()
        lines = read_all(source, source.beginning())
        source.close()
        return sorted(f"{self.node}:{lines[number].id}" for number in numbers)

    def cursor(self, integration_id: str = "slack") -> str:
        return self.ledger.cursor(integration_id, self.node).partition(" ")[0]

    def lines_before(self, cursor: str) -> int:
        """Return how many lines of the log are before a cursor."""
        source = self.log.open()
        number = len(read_all(source, source.beginning())) - len(read_all(source, cursor))
        source.close()
        return number

    def committed(self, integration_id: str = "slack") -> int:
        """Return how many lines are before the committed cursor."""
        return self.lines_before(self.cursor(integration_id))

    def close(self) -> None:
        for source in self._sources:
            source.close()
