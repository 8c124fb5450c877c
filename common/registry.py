"""The published registry: which integrations exist, so that workers anywhere know what a delivery is for.

One hash, `courier:integrations`: the id of each integration → its sealed description, and `version`, which grows with
every change. An integration that left ossec.conf stays, marked as removed: its deliveries can still be read and ended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from common.integration import MANAGER_ID, Integration
from common.ledger.errors import translated
from common.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Iterable

    from redis import Redis

    from common.vault import Vault

KEY: Final = "courier:integrations"
VERSION: Final = b"version"

MANAGER: Final = Integration(id=MANAGER_ID, name=MANAGER_ID)


class Entry(msgspec.Struct, frozen=True):
    """One integration of the registry, and whether it is still configured."""

    integration: Integration
    removed: bool = False


class Registry(msgspec.Struct, frozen=True):
    """What was published: `version` 0 means nothing yet. The built-in `manager` is always there."""

    version: int
    entries: dict[str, Entry]

    def get(self, integration_id: str) -> Integration | None:
        """Return an integration, removed ones included, None if there never was one of that id."""
        entry = self.entries.get(integration_id)
        return entry.integration if entry else None


def _enc_hook(value: object) -> str:
    if isinstance(value, Secret):
        return value.reveal()
    raise NotImplementedError


def _dec_hook(kind: type, value: Any) -> Any:
    return kind(value)


_encoder = msgspec.json.Encoder(enc_hook=_enc_hook, order="sorted")
_decoder = msgspec.json.Decoder(Entry, dec_hook=_dec_hook)


class PublishedRegistry:
    """The registry in Redis. Methods raise LedgerUnavailable, LedgerUnfit, and SettingsError for a wrong key."""

    def __init__(self, client: Redis, vault: Vault) -> None:
        self._redis = client
        self._vault = vault

    def version(self) -> int:
        """Return the version that is published now; cheap, for polling."""
        with translated():
            held: Any = self._redis.hget(KEY, VERSION.decode())
        return int(held or 0)

    def load(self) -> Registry:
        """Return everything that is published."""
        with translated():
            fields: Any = self._redis.hgetall(KEY)
        version = int(fields.pop(VERSION, 0))
        entries = {k.decode(): _decoder.decode(self._vault.open(v)) for k, v in fields.items()}
        return Registry(version, entries | {MANAGER_ID: Entry(MANAGER)})

    def publish(self, integrations: Iterable[Integration]) -> Registry:
        """Make these the configured integrations, others removed. The version grows only if something changed."""
        before = self.load()
        wanted = {i.id: Entry(i) for i in integrations}
        gone = {
            k: Entry(e.integration, removed=True)
            for k, e in before.entries.items()
            if k not in wanted and k != MANAGER_ID
        }
        after = wanted | gone
        if before.version and after == {k: e for k, e in before.entries.items() if k != MANAGER_ID}:
            return before
        sealed: dict[Any, Any] = {k: self._vault.seal(_encoder.encode(e)) for k, e in after.items()}
        with translated(), self._redis.pipeline(transaction=True) as pipe:
            if sealed:
                pipe.hset(KEY, mapping=sealed)
            pipe.hincrby(KEY, VERSION.decode(), 1)
            pipe.execute()
        return self.load()
