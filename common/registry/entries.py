"""The entries of the published registry and of its catalogue, as they are stored in Redis."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from common.connection.errors import as_ledger_errors
from common.integration import MANAGER_ID, Integration
from common.json_depth import check_depth
from common.registry.description import Description, Shared
from common.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Iterable

    from redis import Redis

KEY: Final = "courier:integrations"
VERSION: Final = b"version"
CATALOGUE: Final = "courier:catalogue"

MANAGER: Final = Integration(id=MANAGER_ID, name=MANAGER_ID)

ALL_NODES: Final = ("*",)
"""Means every node: the built-in integration does not belong to a single node."""


class Entry(msgspec.Struct, frozen=True):
    """One integration of the registry, its policy, and the manager nodes that have it configured.

    `version` is that of the publication; 0 if version 0.1 of Courier published it. `others` holds the descriptions of
    those nodes that differ from the one in force. `policy` is empty, and `others` too, if a version without them
    published it; such a version ignores both, so their names and forms must not change.
    """

    integration: Integration
    nodes: tuple[str, ...] = ()
    version: int = 0
    policy: dict[str, Any] = {}
    others: dict[str, Description] = {}

    def __repr__(self) -> str:
        """Leave out the policy, which holds secrets in plain text."""
        return f"Entry({self.integration!r}, nodes={self.nodes!r}, version={self.version})"

    @classmethod
    def of(cls, shared: Shared, version: int) -> Entry:
        """Return the entry for what nodes published."""
        return cls(shared.in_force.integration, shared.nodes, version, shared.in_force.policy, shared.others)

    @property
    def shared(self) -> Shared:
        """What nodes published of it."""
        return Shared(Description(self.integration, self.policy), self.nodes, self.others)

    @property
    def removed(self) -> bool:
        """Whether no node has it configured any more."""
        return not self.nodes

    def is_equivalent_to(self, other: Entry) -> bool:
        """Return whether the two differ at most in their versions, and neither is from version 0.1 of Courier."""
        return bool(self.version and other.version and self.shared == other.shared)


class Registry(msgspec.Struct, frozen=True):
    """All published integrations, always with the built-in `manager`. `version` 0 means that nothing is published.

    `manager` is the entry with the policy of the built-in one, as nodes published it; None if none did. `rejected` maps
    the name of each field that could not be used to the reason.
    """

    version: int
    entries: dict[str, Entry]
    rejected: dict[bytes, str] = {}
    manager: Entry | None = None

    @property
    def newest(self) -> int:
        """The highest version of an entry, 0 if there is none."""
        entries = [*self.entries.values(), *([self.manager] if self.manager else [])]
        return max((entry.version for entry in entries), default=0)

    def get(self, integration_id: str) -> Integration | None:
        """Return an integration, also if it is removed; None if no node ever published this id."""
        entry = self.entries.get(integration_id)
        return entry.integration if entry else None


class CatalogueEntry(msgspec.Struct, frozen=True):
    """The catalogue's entry of an integration: its name in ossec.conf, and the nodes that have it configured.

    `differing` has the names of the settings in which nodes differ from what is in force, by node; unset if in none.
    """

    name: str
    nodes: tuple[str, ...] = ()
    differing: dict[str, list[str]] | UnsetType = UNSET

    @property
    def removed(self) -> bool:
        """Whether no node has it in its ossec.conf any more."""
        return not self.nodes


def _encode_secret(value: object) -> str:
    if isinstance(value, Secret):
        return value.reveal()
    raise NotImplementedError  # tells msgspec that this type is not supported


def _decode_secret(kind: type, value: Any) -> Any:
    return kind(value)


_is_id = re.compile(rb"[A-Za-z0-9_.-]{1,64}").fullmatch
encode_entry: Final = msgspec.json.Encoder(enc_hook=_encode_secret, order="sorted").encode
_decoder = msgspec.json.Decoder(Entry, dec_hook=_decode_secret)
encode_catalogue_entry: Final = msgspec.json.Encoder(order="sorted").encode
_decode_catalogue_entry = msgspec.json.Decoder(CatalogueEntry).decode


def published_ids(client: Redis) -> list[str]:
    """Return the ids of all integrations that were ever published, and `manager`. Needs no secret key."""
    with as_ledger_errors():
        names: Any = client.hkeys(KEY)
    return _ids(names)


def catalogue(client: Redis) -> dict[str, CatalogueEntry]:
    """Return the catalogue entry of every integration that was ever published, and of `manager`, by id.

    Needs no secret key. An integration without a valid catalogue entry counts as configured, with its id as its name.
    """
    with as_ledger_errors(), client.pipeline(transaction=False) as pipe:
        pipe.hkeys(KEY)
        pipe.hgetall(CATALOGUE)
        keys, values = pipe.execute()
    return {one: _catalogue_entry(one, values.get(one.encode())) for one in _ids(keys)}


def _ids(keys: Iterable[bytes]) -> list[str]:
    return sorted({key.decode() for key in keys if _is_id(key) and key != VERSION} | {MANAGER_ID})


def to_version(text: bytes) -> int:
    """Return the version that a field of Redis holds, 0 if it is not a number."""
    return int(text) if re.fullmatch(rb"[0-9]{1,20}", text) else 0


def _catalogue_entry(integration_id: str, value: bytes | None) -> CatalogueEntry:
    if value is not None and integration_id != MANAGER_ID:
        with suppress(ValueError):
            check_depth(value)
            return _decode_catalogue_entry(value)
    return CatalogueEntry(integration_id, ALL_NODES)


def decode_entry(clear: bytes) -> Entry:
    """Return the entry of a decrypted field. Raises ValueError if no supported version of Courier writes this form."""
    try:
        return _decoder.decode(clear)
    except msgspec.MsgspecError:
        raise ValueError("its format is unknown to this version of Courier") from None
