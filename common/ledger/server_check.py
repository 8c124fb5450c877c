"""What the ledger needs of the Redis server itself: that it evicts nothing, keeps a log and has memory to spare."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from common.connection.errors import NO_CLUSTER, as_ledger_errors
from common.errors import LedgerMisconfigured, LedgerUnavailable

if TYPE_CHECKING:
    from redis import Redis

MEMORY_HIGH_WATERMARK: Final = 0.9
"""The part of `maxmemory` at which nothing more is enqueued. A Redis that is quite full refuses every write, also those
that would empty it: releasing, publishing to Celery, settling."""

_NO_EVICTION: Final = "noeviction"


def check(client: Redis) -> list[str]:
    """Raise LedgerMisconfigured if Redis is a cluster or may evict keys; return warnings about what is merely unwise.

    Raises LedgerUnavailable also while Redis answers but cannot write to its disk: it refuses PING then.
    """
    with as_ledger_errors():
        client.ping()
        cluster: Any = client.info("cluster")
        memory: Any = client.info("memory")
        persistence: Any = client.info("persistence")
    if cluster.get("cluster_enabled"):
        raise LedgerMisconfigured(NO_CLUSTER)
    if why := _evicts(memory):
        raise LedgerMisconfigured(why)
    # While a server loads its log it says that it has none.
    if not persistence.get("aof_enabled") and not persistence.get("loading"):
        return ["Redis keeps no append-only file: a restart of it loses deliveries; set appendonly yes"]
    return []


def disk_error(client: Redis) -> str:
    """Return why Redis refuses all changes, empty if it does not."""
    try:
        with as_ledger_errors():
            client.ping()
    except LedgerUnavailable as error:
        return str(error)
    return ""


def intake_block_reason(client: Redis) -> str:
    """Return why nothing should be added to this Redis right now, empty if there is no reason."""
    with as_ledger_errors():
        memory: Any = client.info("memory")
    used, most = int(memory.get("used_memory", 0)), int(memory.get("maxmemory", 0))
    if most and used > MEMORY_HIGH_WATERMARK * most:
        return (
            f"Redis uses {used / 2**20:.0f} of its {most / 2**20:.0f} MiB; it would soon refuse what empties it: "
            "raise maxmemory, or lower max_backlog_bytes"
        )
    return _evicts(memory)


def _evicts(memory: dict[str, Any]) -> str:
    policy = memory.get("maxmemory_policy", _NO_EVICTION)
    if policy == _NO_EVICTION:
        return ""
    return (
        f"Redis has maxmemory-policy {policy} and would throw deliveries away; "
        "set it to noeviction (redis.conf, or CONFIG SET maxmemory-policy noeviction)"
    )
