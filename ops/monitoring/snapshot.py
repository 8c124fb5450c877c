"""Reads what a metrics scrape shows of the ledger and its server, in three round trips for all integrations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from common.connection.errors import as_ledger_errors
from common.integration import MANAGER_ID
from common.ledger import Status
from common.ledger.status import read_statuses
from common.registry.entries import KEY, VERSION

if TYPE_CHECKING:
    from redis import Redis


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """Whether deliveries are safe in this Redis. `memory_max_bytes` is 0 if unknown."""

    memory_bytes: int
    memory_max_bytes: int
    durable: bool
    evicts: bool


class Snapshot(msgspec.Struct, frozen=True):
    """The integrations by id, and the server, at the ledger's time `now_ms`."""

    integrations: dict[str, Status]
    server: Server
    now_ms: int


def take_snapshot(client: Redis) -> Snapshot:
    """Read the state of all integrations. Raises LedgerUnavailable or LedgerMisconfigured."""
    with as_ledger_errors():
        with client.pipeline(transaction=False) as pipe:
            pipe.hkeys(KEY)
            pipe.time()
            pipe.info("memory")
            pipe.info("persistence")
            names, (seconds, micros), memory, persistence = pipe.execute()
        ids = sorted({name.decode() for name in names if name != VERSION} | {MANAGER_ID})
        now_ms = seconds * 1000 + micros // 1000
        return Snapshot(read_statuses(client, ids, now_ms, brief=True), _server(memory, persistence), now_ms)


def _server(memory: Any, persistence: Any) -> Server:
    return Server(
        memory_bytes=int(memory.get("used_memory", 0)),
        memory_max_bytes=int(memory.get("maxmemory", 0)) or int(memory.get("total_system_memory", 0)),
        durable=bool(persistence.get("aof_enabled")) and persistence.get("aof_last_write_status", "ok") == "ok",
        evicts=memory.get("maxmemory_policy", "noeviction") != "noeviction",
    )
