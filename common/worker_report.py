"""What a worker process tells about itself: a heartbeat, and for how long it leaves work lying.

One hash a process, `courier:worker:NAME@HOST`, which goes away five minutes after the process. As with a node's report
nothing is decided by it inside Courier: it is for `courier health`, which a container engine asks.
"""

from __future__ import annotations

from contextlib import suppress
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
    return _decoded(fields) if fields else None


def all_told(client: Redis) -> dict[str, WorkerReport]:
    """Return what every worker told lately, by NAME@HOST. Raises LedgerUnavailable or LedgerUnfit.

    What is no report, as a worker of another version may leave it, is left out.
    """
    with translated(), client.pipeline(transaction=False) as pipe:
        keys: list[bytes] = sorted(client.scan_iter(match=f"{_PREFIX}*", count=1000))
        for key in keys:
            pipe.hgetall(key)
        found: list[Any] = pipe.execute()
    reports: dict[str, WorkerReport] = {}
    for key, fields in zip(keys, found, strict=True):
        with suppress(msgspec.ValidationError, UnicodeDecodeError):
            reports[key.decode().removeprefix(_PREFIX)] = _decoded(fields)
    return reports


def _decoded(fields: Any) -> WorkerReport:
    return msgspec.convert({k.decode(): v.decode() for k, v in fields.items()}, WorkerReport, strict=False)
