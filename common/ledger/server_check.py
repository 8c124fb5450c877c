"""Checks the Redis server: no eviction, an append-only file, enough free memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from redis.exceptions import ResponseError

from common.connection.errors import NO_CLUSTER, as_ledger_errors
from common.errors import LedgerMisconfigured, LedgerUnavailable

if TYPE_CHECKING:
    from redis import Redis

MEMORY_HIGH_WATERMARK: Final = 0.9
"""Intake pauses above this share of `maxmemory`. A full Redis refuses every write, even those that would free memory:
release, publish to Celery, settle."""

_NO_EVICTION: Final = "noeviction"


def check(client: Redis) -> list[str]:
    """Raise LedgerMisconfigured if Redis is a cluster or may evict keys. Return warnings about settings that risk data.

    Raises LedgerUnavailable also if Redis responds but cannot write to its disk, because it then refuses PING.
    """
    with as_ledger_errors():
        client.ping()
        cluster: Any = client.info("cluster")
        memory: Any = client.info("memory")
        persistence: Any = client.info("persistence")
    if cluster.get("cluster_enabled"):
        raise LedgerMisconfigured(NO_CLUSTER)
    if reason := _evicts(memory):
        raise LedgerMisconfigured(reason)
    # While Redis loads its append-only file it reports aof_enabled:0.
    if not persistence.get("aof_enabled") and not persistence.get("loading"):
        return ["Redis has no append-only file: a restart of Redis loses deliveries; set appendonly yes"]
    return []


def disk_error(client: Redis) -> str:
    """Return why Redis refuses all writes, '' if it does not. Raises LedgerUnavailable if it does not respond."""
    try:
        with as_ledger_errors():
            client.ping()
    except LedgerUnavailable as error:
        if not isinstance(error.__cause__, ResponseError):
            raise
        return str(error)
    return ""


def intake_block_reason(client: Redis) -> str:
    """Return why intake must pause, '' if it need not: Redis is nearly full or may evict keys."""
    with as_ledger_errors():
        memory: Any = client.info("memory")
    used, limit = int(memory.get("used_memory", 0)), int(memory.get("maxmemory", 0))
    if limit and used > MEMORY_HIGH_WATERMARK * limit:
        return (
            f"Redis uses {used / 2**20:.0f} of its {limit / 2**20:.0f} MiB; when full, it refuses "
            "even the writes that free memory: raise maxmemory, or lower max_backlog_bytes"
        )
    return _evicts(memory)


def _evicts(memory: dict[str, Any]) -> str:
    policy = memory.get("maxmemory_policy", _NO_EVICTION)
    if policy == _NO_EVICTION:
        return ""
    return (
        f"Redis has maxmemory-policy {policy} and could evict deliveries; "
        "set it to noeviction (redis.conf, or CONFIG SET maxmemory-policy noeviction)"
    )
