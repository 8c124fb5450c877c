"""The published registry: which integrations exist, so that workers anywhere know what a delivery is for.

One hash, `courier:integrations`: the id of each integration → its sealed description, and `version`, which grows with
every change. An integration that left every ossec.conf stays, marked as removed: what it had waiting is still delivered
and its dead letters can still be read.

Beside it a second hash, `courier:catalogue`, says in clear what an operator's command needs without the key: the id of
each integration → its name and the nodes that have it configured. Nothing is delivered by it.

A version is the time of its publication in microseconds, and never the same for two contents. A plain counter would be:
a Redis that lost its data, or its last second, counts from where it was, and a worker that compares versions would
miss what is published then.

What is sealed says which integration it is, its nodes and the version with which it was published. So an entry counts
for nothing under another field, and a process takes none that is older than one that it has seen. An entry that it
cannot take it leaves as it was, or out, and logs; producers publish again what of theirs is missing or bad.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, Final

from redis import WatchError

from common.connection.errors import as_ledger_errors
from common.connection.urls import normalised
from common.errors import SettingsError
from common.integration import MANAGER_ID
from common.registry.entries import (
    ALL_NODES,
    CATALOGUE,
    KEY,
    MANAGER,
    VERSION,
    CatalogueEntry,
    Entry,
    Registry,
    decode_entry,
    encode_catalogue_entry,
    encode_entry,
    to_version,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from redis import Redis

    from common.integration import Integration
    from common.registry.encryption import Cipher

KEY_MISMATCH_GRACE_NS: Final = 15 * 10**9
"""How long a process whose key fitted goes on though no entry can be opened any more. A producer repairs within 5 s, so
that somebody who overwrites every entry does not end the workers. A new key still does."""

_log = logging.getLogger("courier.registry")


class PublishedRegistry:
    """The registry in Redis. Methods raise LedgerUnavailable, LedgerMisconfigured, and SettingsError for a wrong key.

    `now` is the time of day in nanoseconds.
    """

    def __init__(self, client: Redis, cipher: Cipher, now: Callable[[], int] = time.time_ns) -> None:
        self._redis = client
        self._cipher = cipher
        self._now = now
        self._seen: dict[str, Entry] = {}
        self._rejected: dict[bytes, str] = {}
        self._has_published = False
        self._key_mismatch_since_ns: int | None = None
        self._checked: object = None

    def target(self, integration: Integration) -> str:
        """Return the digest of the credential: integrations with the same one share their target's limits."""
        credential = integration.api_key or integration.hook_url
        whose = ("of", normalised(credential.reveal())) if credential else ("id", integration.id)
        return self._cipher.digest("target", integration.name, *whose)

    def version(self) -> int:
        """Return the version that is published now; cheap, for polling."""
        with as_ledger_errors():
            held: Any = self._redis.hget(KEY, VERSION.decode())
        return to_version(held or b"")

    def load(self) -> Registry:
        """Return everything that is published. An entry that cannot be taken is as this process saw it last, if ever.

        Raises SettingsError if there are entries and none can be opened, or none any more for KEY_MISMATCH_GRACE_NS.
        """
        with as_ledger_errors():
            fields: Any = self._redis.hgetall(KEY)
        return self._opened(fields)

    def _opened(self, fields: dict[bytes, bytes]) -> Registry:
        rejected: dict[bytes, str] = {}
        entries: dict[str, Entry] = {}
        unopened: list[SettingsError] = []
        sealed = {name: value for name, value in fields.items() if name != VERSION}
        for name, value in sealed.items():
            try:
                entry = self._entry(name, value)
                self._seen[entry.integration.id] = entries[entry.integration.id] = entry
            except SettingsError as error:
                unopened.append(error)
                rejected[name] = "it was not sealed with this secret key"
            except ValueError as error:
                rejected[name] = str(error)
        self._check_key(unopened if len(unopened) == len(sealed) else [])
        entries |= {k: entry for k, entry in self._seen.items() if k.encode() in rejected}
        self._log_rejected(rejected)
        return Registry(
            to_version(fields.get(VERSION, b"")), entries | {MANAGER_ID: Entry(MANAGER, ALL_NODES)}, rejected
        )

    def _check_key(self, errors: list[SettingsError]) -> None:
        """Raise if no entry can be opened: it is another key's. One that fitted before gets time for a repair."""
        if not errors or self._has_published:
            self._key_mismatch_since_ns = None
            return
        self._key_mismatch_since_ns = self._key_mismatch_since_ns or self._now()
        if not self._seen or self._now() - self._key_mismatch_since_ns >= KEY_MISMATCH_GRACE_NS:
            raise errors[0]

    def _entry(self, name: bytes, sealed: bytes) -> Entry:
        """Return what a field holds. Raises SettingsError if it is not sealed with our key, ValueError if it is bad."""
        entry = decode_entry(self._cipher.decrypt(sealed))
        if entry.integration.id.encode() != name:
            raise ValueError("it is the entry of another integration")
        seen = self._seen.get(entry.integration.id)
        if seen and entry.version < seen.version:
            raise ValueError("it is older than the one that was there before")
        return entry

    def _log_rejected(self, rejected: dict[bytes, str]) -> None:
        for name, why in sorted(rejected.items() - self._rejected.items()):
            shown = name.decode("ascii", "backslashreplace")[:100]
            _log.warning(
                "an entry of the registry in Redis is not taken: %s; a producer publishes it again",
                why,
                extra={"integration": shown},
            )
        self._rejected = rejected

    def publish(self, node: str, integrations: Iterable[Integration]) -> Registry:
        """Make these the integrations of `node`; return the whole registry.

        Where two nodes describe one id differently, the last to publish wins. The version grows only with a change,
        and two nodes that publish at once both succeed. Fields that cannot be taken, and that nobody here knows, go:
        their own producer publishes them again.
        """
        wanted = {i.id: i for i in integrations}
        with as_ledger_errors(), self._redis.pipeline(transaction=True) as pipe:
            while True:
                try:
                    pipe.watch(KEY)  # type: ignore[no-untyped-call]  # redis-py left it untyped
                    before = self.load()
                    version = max(self._newest() + 1, self._now() // 1000)
                    after = _merged(before, node, wanted, version)
                    changed = {k: e for k, e in after.items() if not _is_published(e, before)}
                    listed: dict[Any, Any] = _catalogue(after)
                    known: Any = pipe.hgetall(CATALOGUE)
                    self._has_published = True
                    if not changed and not before.rejected and _is_consistent(before, known):
                        return before
                    fields: dict[Any, Any] = {k: self._cipher.encrypt(encode_entry(e)) for k, e in changed.items()}
                    fields[VERSION] = version if changed or not before.newest else before.newest
                    pipe.multi()
                    if strange := [name for name in before.rejected if name.decode("latin-1") not in after]:
                        pipe.hdel(KEY, *strange)
                    if listed:
                        pipe.hset(CATALOGUE, mapping=listed)
                    if stale := [key for key in known if key.decode("latin-1") not in listed]:
                        pipe.hdel(CATALOGUE, *stale)
                    pipe.hset(KEY, mapping=fields)
                    pipe.execute()
                except WatchError:
                    continue
                return self.load()

    def repair(self, node: str, integrations: Sequence[Integration]) -> bool:
        """Publish again what of this node's is missing or bad; return whether anything was.

        Cheap while nothing changes. What another node published since, under the same id, stays as it is.
        """
        with as_ledger_errors(), self._redis.pipeline(transaction=True) as pipe:
            pipe.hgetall(KEY)
            pipe.hgetall(CATALOGUE)
            held = pipe.execute()
        if held == self._checked:
            return False
        ours = {i.id for i in integrations}
        registry = self._opened(held[0])
        is_there = all(i in registry.entries and node in registry.entries[i].nodes for i in ours)
        if is_there and not registry.rejected and _is_consistent(registry, held[1]):
            self._checked = held
            return False
        self.publish(node, integrations)
        return True

    def _newest(self) -> int:
        return max((entry.version for entry in self._seen.values()), default=0)


def _merged(before: Registry, node: str, wanted: dict[str, Integration], version: int) -> dict[str, Entry]:
    others = {k: tuple(n for n in e.nodes if n != node) for k, e in before.entries.items() if k != MANAGER_ID}
    kept = {k: Entry(before.entries[k].integration, nodes, version) for k, nodes in others.items() if k not in wanted}
    ours = {k: Entry(i, tuple(sorted({*others.get(k, ()), node})), version) for k, i in wanted.items()}
    return kept | ours


def _is_published(entry: Entry, registry: Registry) -> bool:
    before = registry.entries.get(entry.integration.id)
    is_taken = entry.integration.id.encode() not in registry.rejected
    return is_taken and before is not None and before.says_the_same_as(entry)


def _catalogue(entries: dict[str, Entry]) -> dict[str, bytes]:
    found = {k: e for k, e in entries.items() if k != MANAGER_ID}
    return {k: encode_catalogue_entry(CatalogueEntry(e.integration.name, e.nodes)) for k, e in found.items()}


def _is_consistent(registry: Registry, catalogue: dict[bytes, bytes]) -> bool:
    """Say whether the version and the catalogue are those that belong to the entries."""
    is_listed = catalogue == {k.encode(): text for k, text in _catalogue(registry.entries).items()}
    return is_listed and registry.version > 0 and registry.version == (registry.newest or registry.version)
