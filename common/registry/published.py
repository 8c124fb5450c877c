"""The published registry: producers publish their integrations in Redis, and workers on any host read them.

The hash `courier:integrations` maps the id of each integration to its encrypted entry, with its service, credential,
filters and policy; its field `version` grows with every change. The entry `manager` has the policy of the built-in
integration. An integration that is no longer in any ossec.conf stays, marked as removed: its queued deliveries are
still sent, and its dead letters can still be read.

The hash `courier:catalogue` holds, unencrypted, what operators' commands need without the key: for each id the name and
the nodes that have the integration configured, with the names of settings in which they differ. Deliveries never use
it.

A version is the time of its publication in microseconds, so that two contents never have the same version. A counter
would not guarantee this: if Redis loses its data, or the last second of it, the counter repeats old numbers, and
workers, which compare versions, would miss a change.

An encrypted entry includes the id, the nodes and the version of its publication. So an entry that is copied to another
field is rejected, and so is an entry older than one that the process has already seen. For a rejected entry the process
keeps the last good one, if it has one, and logs a warning. Producers publish missing or rejected entries of their
integrations again.
"""

from __future__ import annotations

import logging
import time
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from msgspec import UNSET
from redis import WatchError

from common.connection.errors import as_ledger_errors
from common.connection.urls import normalised
from common.errors import SettingsError
from common.integration import MANAGER_ID
from common.registry.description import Description, Shared
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
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from redis import Redis

    from common.integration import Integration
    from common.registry.encryption import Cipher
    from common.settings.published_policy import PublishedPolicy

KEY_MISMATCH_GRACE_NS: Final = 15 * 10**9
"""How long a process keeps running when its key, which worked before, cannot decrypt any entry. A producer repairs the
registry within 5 s, so a client that overwrites all entries does not stop the workers; a new key still does."""

NO_POLICIES: Final[Mapping[str, PublishedPolicy]] = MappingProxyType({})

_log = logging.getLogger("courier.registry")


class PublishedRegistry:
    """The registry in Redis. Methods raise LedgerUnavailable, LedgerMisconfigured, and SettingsError for a wrong key.

    `now` returns the time since 1970 in nanoseconds.
    """

    def __init__(self, client: Redis, cipher: Cipher, now: Callable[[], int] = time.time_ns) -> None:
        self._redis = client
        self._cipher = cipher
        self._now = now
        self._seen: dict[str, Entry] = {}
        self._rejected: dict[bytes, str] = {}
        self._has_published = False
        self._key_mismatch_since_ns: int | None = None
        self._checked: object = None  # the content of both hashes when `repair` last found them correct

    def target(self, integration: Integration) -> str:
        """Return a digest of the credential. Integrations with the same credential share the limits of their target."""
        credential = integration.api_key or integration.hook_url
        owner = ("of", normalised(credential.reveal())) if credential else ("id", integration.id)
        return self._cipher.digest("target", integration.service, *owner)

    def version(self) -> int:
        """Return the current version. Cheap enough for polling."""
        with as_ledger_errors():
            held: Any = self._redis.hget(KEY, VERSION.decode())
        return to_version(held or b"")

    def load(self) -> Registry:
        """Return all published integrations. A rejected entry is replaced by the last good one of this process, if any.

        Raises SettingsError if no entry can be decrypted; if some could be before, only after KEY_MISMATCH_GRACE_NS.
        """
        with as_ledger_errors():
            fields: Any = self._redis.hgetall(KEY)
        return self._decrypted(fields)

    def read_one(self, integration_id: str) -> Entry | None:
        """Return the published entry of one integration, None if there is none.

        Raises SettingsError if the key is wrong, ValueError if the entry is invalid.
        """
        with as_ledger_errors():
            value: Any = self._redis.hget(KEY, integration_id)
        return None if value is None else self._entry(integration_id.encode(), value)

    def _decrypted(self, fields: dict[bytes, bytes]) -> Registry:
        rejected: dict[bytes, str] = {}
        entries: dict[str, Entry] = {}
        key_errors: list[SettingsError] = []
        encrypted = {name: value for name, value in fields.items() if name != VERSION}
        for name, value in encrypted.items():
            try:
                entry = self._entry(name, value)
                self._seen[entry.integration.id] = entries[entry.integration.id] = entry
            except SettingsError as error:
                key_errors.append(error)
                rejected[name] = "it was encrypted with another secret key"
            except ValueError as error:
                rejected[name] = str(error)
        self._check_key(key_errors if len(key_errors) == len(encrypted) else [])
        entries |= {k: entry for k, entry in self._seen.items() if k.encode() in rejected}
        self._log_rejected(rejected)
        manager = entries.get(MANAGER_ID)
        built_in = Entry(MANAGER, ALL_NODES, policy=manager.policy if manager else {})
        version = to_version(fields.get(VERSION, b""))
        return Registry(version, entries | {MANAGER_ID: built_in}, rejected, manager)

    def _check_key(self, errors: list[SettingsError]) -> None:
        """Raise if no entry can be decrypted: the key is wrong. A key that worked before gets time for a repair."""
        if not errors or self._has_published:  # after publishing, entries with this process's own key exist
            self._key_mismatch_since_ns = None
            return
        self._key_mismatch_since_ns = self._key_mismatch_since_ns or self._now()
        if not self._seen or self._now() - self._key_mismatch_since_ns >= KEY_MISMATCH_GRACE_NS:
            raise errors[0]

    def _entry(self, name: bytes, encrypted: bytes) -> Entry:
        """Return the entry of a field. Raises SettingsError if the key is wrong, ValueError if the entry is invalid."""
        entry = decode_entry(self._cipher.decrypt(encrypted))
        if entry.integration.id.encode() != name:
            raise ValueError("it belongs to another integration")
        seen = self._seen.get(entry.integration.id)
        if seen and entry.version < seen.version:
            raise ValueError("it is older than the entry that this process loaded before")
        return entry

    def _log_rejected(self, rejected: dict[bytes, str]) -> None:
        """Log each rejected entry once for each reason.

        Not with a `Condition` for each: any number of entries may come and go, and only the present ones are kept here.
        """
        for name, reason in sorted(rejected.items() - self._rejected.items()):
            shown = name.decode("ascii", "backslashreplace")[:100]
            _log.warning(
                "registry entry in Redis rejected: %s; a producer publishes it again",
                reason,
                extra={"integration": shown},
            )
        self._rejected = rejected

    def publish(
        self, node: str, integrations: Iterable[Integration], policies: Mapping[str, PublishedPolicy] = NO_POLICIES
    ) -> Registry:
        """Replace the integrations of `node`, with their policies by id; return the whole registry.

        If two nodes publish different integrations with one id, the one that changed last is in force, and both are
        kept. The version grows only with a change. Two nodes that publish at the same time both succeed. Rejected
        fields that this process cannot replace are deleted; their own producer publishes them again.
        """
        wanted = _described(integrations, policies)
        with as_ledger_errors(), self._redis.pipeline(transaction=True) as pipe:
            while True:
                try:
                    pipe.watch(KEY)  # type: ignore[no-untyped-call]  # redis-py left it untyped
                    before = self.load()
                    version = max(self._newest() + 1, self._now() // 1000)
                    after = _merged(before, node, wanted, version)
                    changed = {k: e for k, e in after.items() if not _is_published(e, before)}
                    catalogue: dict[Any, Any] = _catalogue(after)
                    current: Any = pipe.hgetall(CATALOGUE)
                    self._has_published = True
                    if not changed and not before.rejected and _is_consistent(before, current):
                        return before
                    fields: dict[Any, Any] = {k: self._cipher.encrypt(encode_entry(e)) for k, e in changed.items()}
                    fields[VERSION] = version if changed or not before.newest else before.newest
                    pipe.multi()
                    if unknown := [name for name in before.rejected if name.decode("latin-1") not in after]:
                        pipe.hdel(KEY, *unknown)
                    if catalogue:
                        pipe.hset(CATALOGUE, mapping=catalogue)
                    if stale := [key for key in current if key.decode("latin-1") not in catalogue]:
                        pipe.hdel(CATALOGUE, *stale)
                    pipe.hset(KEY, mapping=fields)
                    pipe.execute()
                except WatchError:  # another node published in between: merge with its result
                    continue
                return self.load()

    def repair(
        self,
        node: str,
        integrations: Sequence[Integration],
        published_policies: Callable[[], Mapping[str, PublishedPolicy]] = lambda: NO_POLICIES,
    ) -> bool:
        """Publish the integrations of this node again if any is missing or rejected; return whether that was so.

        Cheap while nothing changes: `published_policies` returns their policies by id, and is called only if Redis
        holds anything new. An integration that another node published since under the same id stays unchanged.
        """
        with as_ledger_errors(), self._redis.pipeline(transaction=True) as pipe:
            pipe.hgetall(KEY)
            pipe.hgetall(CATALOGUE)
            held = pipe.execute()
        if held == self._checked:
            return False
        policies = published_policies()
        wanted = _described(integrations, policies)
        registry = self._decrypted(held[0])
        published = _entries(registry)
        is_complete = all(i in published and node in published[i].nodes for i in wanted) and all(
            published[i].shared.of(node).policy for i, description in wanted.items() if description.policy
        )
        if is_complete and not registry.rejected and _is_consistent(registry, held[1]):
            self._checked = held
            return False
        self.publish(node, integrations, policies)
        return True

    def _newest(self) -> int:
        return max((entry.version for entry in self._seen.values()), default=0)


def _described(integrations: Iterable[Integration], policies: Mapping[str, PublishedPolicy]) -> dict[str, Description]:
    with_manager = [*integrations, *([MANAGER] if MANAGER_ID in policies else [])]
    return {i.id: Description(i, dict(policies.get(i.id, {}))) for i in with_manager}


def _entries(registry: Registry) -> dict[str, Entry]:
    """Return the entries as nodes published them."""
    published = {k: e for k, e in registry.entries.items() if k != MANAGER_ID}
    return published | ({MANAGER_ID: registry.manager} if registry.manager else {})


def _merged(before: Registry, node: str, wanted: dict[str, Description], version: int) -> dict[str, Entry]:
    merged = {k: e.shared.without(node) for k, e in _entries(before).items() if k not in wanted}
    for k, description in wanted.items():
        entry = _entries(before).get(k)
        merged[k] = (entry.shared if entry else Shared(description)).with_node(node, description)
    return {k: Entry.of(shared, version) for k, shared in merged.items()}


def _is_published(entry: Entry, registry: Registry) -> bool:
    before = _entries(registry).get(entry.integration.id)
    is_accepted = entry.integration.id.encode() not in registry.rejected
    return is_accepted and before is not None and before.is_equivalent_to(entry)


def _catalogue(entries: dict[str, Entry]) -> dict[str, bytes]:
    found = {k: e for k, e in entries.items() if k != MANAGER_ID}
    return {
        k: encode_catalogue_entry(CatalogueEntry(e.integration.name, e.nodes, e.shared.differences() or UNSET))
        for k, e in found.items()
    }


def _is_consistent(registry: Registry, catalogue: dict[bytes, bytes]) -> bool:
    """Return whether the version and the catalogue match the entries."""
    is_current = catalogue == {k.encode(): text for k, text in _catalogue(registry.entries).items()}
    return is_current and registry.version > 0 and registry.version == (registry.newest or registry.version)
