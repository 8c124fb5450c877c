"""The report of a node's producer: counters and a heartbeat, for `courier status` and metrics.

One hash for each node, `courier:node:NAME`. It is telemetry only: nothing depends on it, and a lost update is harmless.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import msgspec

from common.connection.errors import as_ledger_errors
from common.json_depth import check_depth
from common.ledger.damage import unless_damaged
from common.ledger.record import to_int

if TYPE_CHECKING:
    from collections.abc import Mapping

    from redis import Redis

_PREFIX: Final = "courier:node:"

INTEGRATION_LAGS: Final = "readings"
"""Field of the hash that holds the IntegrationLag of each integration, as JSON by id."""

FOREIGN_WRITE: Final = "foreign:"
"""Prefix of the counters of foreign writes; a ForeignWrite follows."""


class ForeignWrite(StrEnum):
    """What another client changed in Redis and a producer restored."""

    CURSOR = "cursor"
    REGISTRY = "registry"


class IntegrationLag(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How one integration reads on its node: its lag, whether backpressure pauses it, and the limits of its backlog."""

    lag_bytes: int = 0
    lag_s: float = 0.0
    backpressured: bool = False
    max_backlog: int = 0
    max_backlog_bytes: int = 0


class ProducerReport(msgspec.Struct, frozen=True, kw_only=True):
    """The last report of the producer of `node`: counters (`lines`, `matched`, `bad:REASON`) and texts (`config`)."""

    node: str
    counters: dict[str, int]
    texts: dict[str, str]

    @property
    def integration_lags(self) -> dict[str, IntegrationLag]:
        """The lag of each integration, by id; empty if a producer of another version wrote another format."""
        try:
            text = self.texts.get(INTEGRATION_LAGS) or "{}"
            check_depth(text)
            return _decode_integration_lags(text)
        except ValueError:
            return {}

    def integer(self, name: str) -> int:
        """Return the text `name` as a number, 0 if it is missing or not a number."""
        text = self.texts.get(name, "")
        return int(text) if text.isdecimal() else 0


def encode_integration_lags(lags: Mapping[str, IntegrationLag]) -> str:
    """Return the value of the field INTEGRATION_LAGS."""
    return msgspec.json.encode(lags).decode()


def publish_producer_report(client: Redis, node: str, *, added: Mapping[str, int], texts: Mapping[str, str]) -> None:
    """Add to a node's counters and replace its texts. Raises LedgerUnavailable or LedgerMisconfigured."""
    key = _PREFIX + node
    with as_ledger_errors(), client.pipeline(transaction=False) as pipe:
        for name, number in added.items():
            pipe.hincrby(key, f"n:{name}", number)
        if texts:
            mapping: dict[Any, Any] = dict(texts)
            pipe.hset(key, mapping=mapping)
        for response in pipe.execute(raise_on_error=False):
            unless_damaged(response, None)  # a value of another client only spoils this report, never an alert


def fetch_producer_report(client: Redis, node: str) -> ProducerReport | None:
    """Return the report of one node, None if it never published one.

    Raises LedgerUnavailable or LedgerMisconfigured.
    """
    key = _PREFIX + node
    with as_ledger_errors():
        fields: Any = client.hgetall(key)
    return _decoded(key, fields) if fields else None


def fetch_producer_reports(client: Redis) -> list[ProducerReport]:
    """Return the reports of all nodes, sorted by name. Raises LedgerUnavailable or LedgerMisconfigured."""
    with as_ledger_errors(), client.pipeline(transaction=False) as pipe:
        keys: list[bytes] = sorted(client.scan_iter(match=f"{_PREFIX}*", count=1000))
        for key in keys:
            pipe.hgetall(key)
        found: list[Any] = [unless_damaged(response, {}) for response in pipe.execute(raise_on_error=False)]
    return [_decoded(key.decode("utf-8", "replace"), fields) for key, fields in zip(keys, found, strict=True)]


_decode_integration_lags: Final = msgspec.json.Decoder(dict[str, IntegrationLag]).decode


def _decoded(key: str, fields: Mapping[bytes, bytes]) -> ProducerReport:
    texts = {k.decode("utf-8", "replace"): v.decode("utf-8", "replace") for k, v in fields.items()}
    return ProducerReport(
        node=key.removeprefix(_PREFIX),
        counters={k[2:]: to_int(v) for k, v in texts.items() if k.startswith("n:")},
        texts={k: v for k, v in texts.items() if not k.startswith("n:")},
    )
