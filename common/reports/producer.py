"""The report of a node's producer: a heartbeat, its configuration, lags and counters, in `courier:node:NAME`.

It never expires: `courier status` and the alert rules must go on to show a node whose producer is silent.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple

import msgspec

from common.reports.store import Count, Published, ReportStore

if TYPE_CHECKING:
    from collections.abc import Mapping

    from redis import Redis

FOREIGN_WRITE: Final = "foreign:"
"""Prefix of the counters of foreign writes; a ForeignWrite follows."""

REJECTED: Final = "bad:"
"""Prefix of the counters of rejected lines and ranges of the log; the reason follows."""

WRONG_TYPE: Final = "wrong_type:"
"""Prefix of the counters of filter fields that have another type than their filter reads; the field follows."""

EXCEPTED: Final = "excepted:"
"""Prefix of the counters of alerts that the conditions of an integration excepted; its id follows."""

_PROCESS: Final = "report"
"""A node has one producer. A second one by mistake replaces its report."""


class ForeignWrite(StrEnum):
    """What another client changed in Redis and a producer restored."""

    CURSOR = "cursor"
    REGISTRY = "registry"


class IntegrationLag(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How one integration reads on its node: its lag, whether backpressure pauses it, and the limits of its backlog."""

    lag_bytes: Count = 0
    lag_s: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    backpressured: bool = False
    max_backlog: Count = 0
    max_backlog_bytes: Count = 0


class ProducerReport(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a producer reports. Texts are empty and times 0 if there is nothing to say.

    `config` is the path of ossec.conf, `config_error` why its last change was refused, `config_digest` and
    `config_loaded_ms` belong to the active one. `intake_paused` is why nothing is committed, `foreign_writes` what
    another client changed. `lags` has each integration, by id.
    """

    seen_ms: Count = 0
    config: str = ""
    config_error: str = ""
    config_digest: Count = 0
    config_loaded_ms: Count = 0
    intake_paused: str = ""
    foreign_writes: str = ""
    lags: dict[str, IntegrationLag] = {}

    @property
    def backpressured(self) -> list[str]:
        """The ids of the integrations that backpressure pauses."""
        return sorted(one for one, lag in self.lags.items() if lag.backpressured)


class NodeReport(NamedTuple):
    """The last report of a node's producer, and the node's counters (`lines`, `matched`, `bad:REASON`, …)."""

    node: str
    report: ProducerReport
    counters: dict[str, int]


_store: Final = ReportStore("courier:node:", ProducerReport, expire_s=None)


def publish_producer_report(client: Redis, node: str, report: ProducerReport, *, added: Mapping[str, int]) -> None:
    """Replace a node's report and add to its counters. Raises LedgerUnavailable or LedgerMisconfigured."""
    _store.publish(client, node, _PROCESS, report, added=added)


def fetch_producer_report(client: Redis, node: str) -> NodeReport:
    """Return the report of one node, with `seen_ms` 0 if there is none.

    Raises LedgerUnavailable or LedgerMisconfigured.
    """
    return _node_report(node, _store.fetch(client, node))


def fetch_producer_reports(client: Redis) -> list[NodeReport]:
    """Return the reports of all nodes, sorted by name. Raises LedgerUnavailable or LedgerMisconfigured."""
    return [_node_report(node, published) for node, published in _store.fetch_all(client).items()]


def _node_report(node: str, published: Published[ProducerReport]) -> NodeReport:
    return NodeReport(node, published.reports.get(_PROCESS, ProducerReport()), published.counters)
