"""What a worker process tells about itself: a heartbeat, and for how long it leaves work lying.

One hash a process, `courier:worker:NAME@HOST`, which goes away five minutes after the process. As with a node's report
nothing is decided by it inside Courier: it is for `courier health`, which a container engine asks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from common.ledger.errors import translated

if TYPE_CHECKING:
    from redis import Redis

_PREFIX: Final = "courier:worker:"

EXPIRE_S: Final = 300
"""A report that is not renewed for this long is forgotten: containers come and go under names of their own."""


class WorkerReport(msgspec.Struct, frozen=True, kw_only=True):
    """One process as last told. Times are milliseconds of the ledger's clock.

    `begun` counts deliveries since the process started, `running` are those under way. `idle_since_ms` is the first
    moment since which work lay in its queues while it began and ran nothing, 0 if there is none.
    """

    seen_ms: int
    begun: int
    running: int
    idle_since_ms: int


def tell(client: Redis, worker: str, report: WorkerReport) -> None:
    """Replace what `worker` (NAME@HOST) has told. Raises LedgerUnavailable or LedgerUnfit."""
    key = _PREFIX + worker
    mapping: dict[Any, Any] = msgspec.structs.asdict(report)
    with translated(), client.pipeline(transaction=False) as pipe:
        pipe.hset(key, mapping=mapping)
        pipe.expire(key, EXPIRE_S)
        pipe.execute()


def told(client: Redis, worker: str) -> WorkerReport | None:
    """Return what `worker` last told, None if it is long ago. Raises LedgerUnavailable or LedgerUnfit."""
    with translated():
        fields: Any = client.hgetall(_PREFIX + worker)
    if not fields:
        return None
    return msgspec.convert({k.decode(): v.decode() for k, v in fields.items()}, WorkerReport, strict=False)
