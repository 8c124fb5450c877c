"""The published registry: which integrations exist, so that workers anywhere know what a delivery is for.

One hash, `courier:integrations`: the id of each integration → its sealed description, and `version`, which grows with
every change. An integration that left every ossec.conf stays, marked as removed: what it had waiting is still delivered
and its dead letters can still be read.

Beside it a second hash, `courier:catalogue`, says in clear what an operator's command needs without the key: the id of
each integration → its name and the nodes that have it configured. Nothing is delivered by it.

A version is the time of its publication in microseconds, and never the same for two contents. A plain counter would be:
a Redis that lost its data, or its last second, counts from where it was, and a worker that compares versions would
miss what is published then.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import msgspec
from redis import WatchError

from common.depth import check_depth
from common.integration import MANAGER_ID, Integration
from common.ledger.errors import translated
from common.secret import Secret
from common.urls import normalised

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from redis import Redis

    from common.vault import Vault

KEY: Final = "courier:integrations"
VERSION: Final = b"version"
CATALOGUE: Final = "courier:catalogue"

MANAGER: Final = Integration(id=MANAGER_ID, name=MANAGER_ID)

ALL_NODES: Final = ("*",)
"""Stands for every node: the built-in integration is nobody's alone."""


class Entry(msgspec.Struct, frozen=True):
    """One integration of the registry, and the manager nodes that have it configured."""

    integration: Integration
    nodes: tuple[str, ...] = ()

    @property
    def removed(self) -> bool:
        """Whether no node has it configured any more."""
        return not self.nodes


class Registry(msgspec.Struct, frozen=True):
    """What was published: `version` 0 means nothing yet. The built-in `manager` is always there."""

    version: int
    entries: dict[str, Entry]

    def get(self, integration_id: str) -> Integration | None:
        """Return an integration, removed ones included, None if there never was one of that id."""
        entry = self.entries.get(integration_id)
        return entry.integration if entry else None


class Listed(msgspec.Struct, frozen=True):
    """What the catalogue says of an integration: its name in ossec.conf, and the nodes that have it configured."""

    name: str
    nodes: tuple[str, ...] = ()

    @property
    def removed(self) -> bool:
        """Whether it left every ossec.conf."""
        return not self.nodes


def _enc_hook(value: object) -> str:
    if isinstance(value, Secret):
        return value.reveal()
    raise NotImplementedError  # the word by which msgspec is told that this is no value of ours


def _dec_hook(kind: type, value: Any) -> Any:
    return kind(value)


_encoder = msgspec.json.Encoder(enc_hook=_enc_hook, order="sorted")
_decoder = msgspec.json.Decoder(Entry, dec_hook=_dec_hook)
_encode_listed = msgspec.json.Encoder(order="sorted").encode
_decode_listed = msgspec.json.Decoder(Listed).decode


def published_ids(client: Redis) -> list[str]:
    """Return the ids of all integrations that were ever published, and `manager`, without needing the key."""
    with translated():
        names: Any = client.hkeys(KEY)
    return _ids(names)


def catalogue(client: Redis) -> dict[str, Listed]:
    """Return what is known without the key of every integration that was ever published, and of `manager`, by id.

    One that the catalogue does not describe counts as configured, with its id as its name.
    """
    with translated(), client.pipeline(transaction=False) as pipe:
        pipe.hkeys(KEY)
        pipe.hgetall(CATALOGUE)
        keys, described = pipe.execute()
    return {one: _listed(one, described.get(one.encode())) for one in _ids(keys)}


def _ids(keys: Iterable[bytes]) -> list[str]:
    return sorted({key.decode() for key in keys if key != VERSION} | {MANAGER_ID})


def _listed(integration_id: str, described: bytes | None) -> Listed:
    if described is not None and integration_id != MANAGER_ID:
        with suppress(ValueError):
            check_depth(described)
            return _decode_listed(described)
    return Listed(integration_id, ALL_NODES)


class PublishedRegistry:
    """The registry in Redis. Methods raise LedgerUnavailable, LedgerUnfit, and SettingsError for a wrong key.

    `now` is the time of day in nanoseconds.
    """

    def __init__(self, client: Redis, vault: Vault, now: Callable[[], int] = time.time_ns) -> None:
        self._redis = client
        self._vault = vault
        self._now = now

    def target(self, integration: Integration) -> str:
        """Return the digest of the credential: integrations with the same one share their target's limits."""
        credential = integration.api_key or integration.hook_url
        whose = ("of", normalised(credential.reveal())) if credential else ("id", integration.id)
        return self._vault.digest("target", integration.name, *whose)

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
        return Registry(version, entries | {MANAGER_ID: Entry(MANAGER, ALL_NODES)})

    def publish(self, node: str, integrations: Iterable[Integration]) -> Registry:
        """Make these the integrations of `node`; return the whole registry.

        Where two nodes describe one id differently, the last to publish wins. The version grows only with a change,
        and two nodes that publish at once both succeed.
        """
        wanted = {i.id: i for i in integrations}
        with translated(), self._redis.pipeline(transaction=True) as pipe:
            while True:
                try:
                    pipe.watch(KEY)  # type: ignore[no-untyped-call]  # redis-py left it untyped
                    before = self.load()
                    after = _merged(before, node, wanted)
                    changed = {k: e for k, e in after.items() if before.entries.get(k) != e}
                    listed: dict[Any, Any] = {
                        k: _encode_listed(Listed(e.integration.name, e.nodes)) for k, e in after.items()
                    }
                    known: Any = pipe.hgetall(CATALOGUE)
                    is_listed = known == {k.encode(): text for k, text in listed.items()}
                    if not changed and before.version and is_listed:
                        return before
                    fields: dict[Any, Any] = {k: self._vault.seal(_encoder.encode(e)) for k, e in changed.items()}
                    fields[VERSION] = max(before.version + 1, self._now() // 1000)
                    pipe.multi()
                    if listed:
                        pipe.hset(CATALOGUE, mapping=listed)
                    if stale := [key for key in known if key.decode() not in listed]:
                        pipe.hdel(CATALOGUE, *stale)
                    if changed or not before.version:
                        pipe.hset(KEY, mapping=fields)
                    pipe.execute()
                except WatchError:
                    continue
                return self.load()


def _merged(before: Registry, node: str, wanted: dict[str, Integration]) -> dict[str, Entry]:
    others = {k: tuple(n for n in e.nodes if n != node) for k, e in before.entries.items() if k != MANAGER_ID}
    kept = {k: Entry(before.entries[k].integration, nodes) for k, nodes in others.items() if k not in wanted}
    ours = {k: Entry(i, tuple(sorted({*others.get(k, ()), node}))) for k, i in wanted.items()}
    return kept | ours
