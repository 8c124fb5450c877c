"""Publishes what processes report about themselves in Redis, and fetches what others published.

One hash for each name, for example of a worker. Each process that reports under the name has a field with its report
as JSON, so that two processes of one name do not hide each other. Counters are fields `n:NAME` of the same hash: they
belong to the name and grow through all processes that ever had it.

Reports are telemetry: a lost one is harmless, and a value that another client wrote spoils one report and nothing else.
"""

from __future__ import annotations

from contextlib import suppress
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Final, Generic, NamedTuple, TypeVar

import msgspec

from common.connection.errors import as_ledger_errors
from common.json_depth import check_depth
from common.ledger.damage import unless_damaged
from common.ledger.record import to_int

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from redis import Redis
    from redis.client import Pipeline

Content = TypeVar("Content", bound=msgspec.Struct)

Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
"""A number in a report: a time in ms since the epoch, or a size."""

NO_COUNTERS: Final[Mapping[str, int]] = MappingProxyType({})

_COUNTER: Final = "n:"


class Published(NamedTuple, Generic[Content]):
    """What is published under one name: the last report of each process, and the counters."""

    reports: dict[str, Content]
    counters: dict[str, int]


class ReportStore(Generic[Content]):
    """The reports of one kind of process. Every method raises LedgerUnavailable or LedgerMisconfigured."""

    def __init__(self, prefix: str, content: type[Content], *, expire_s: int | None) -> None:
        """`prefix` precedes the name in the key. A key expires `expire_s` after its last report; None means never."""
        self._prefix, self._expire_s = prefix, expire_s
        self._decode = msgspec.json.Decoder(content).decode

    def publish(
        self, client: Redis, name: str, process: str, report: Content, *, added: Mapping[str, int] = NO_COUNTERS
    ) -> None:
        """Replace the report of a process, and add to the counters of its name."""
        key = self._prefix + name
        with as_ledger_errors(), client.pipeline(transaction=False) as pipe:
            for counter, number in added.items():
                pipe.hincrby(key, _COUNTER + counter, number)
            pipe.hset(key, process, msgspec.json.encode(report))
            if self._expire_s is not None:
                pipe.expire(key, self._expire_s)
            _replies(pipe, None)

    def fetch(self, client: Redis, name: str) -> Published[Content]:
        """Return what is published under one name, empty if nothing is."""
        with as_ledger_errors(), client.pipeline(transaction=False) as pipe:
            pipe.hgetall(self._prefix + name)
            (fields,) = _replies(pipe, {})
        return self.decode(fields)

    def fetch_all(self, client: Redis) -> dict[str, Published[Content]]:
        """Return what is published under each name, sorted by name."""
        with as_ledger_errors(), client.pipeline(transaction=False) as pipe:
            keys: list[bytes] = sorted(client.scan_iter(match=f"{self._prefix}*", count=1000))
            for key in keys:
                pipe.hgetall(key)
            found = _replies(pipe, {})
        names = [key.decode("utf-8", "replace").removeprefix(self._prefix) for key in keys]
        return {name: self.decode(fields) for name, fields in zip(names, found, strict=True)}

    def delete(self, client: Redis, name: str, processes: Collection[str]) -> None:
        """Delete the reports of processes that have ended."""
        if processes:
            with as_ledger_errors():
                client.hdel(self._prefix + name, *processes)

    def decode(self, fields: Mapping[bytes, bytes]) -> Published[Content]:
        """Return the content of a hash, without malformed reports such as those of another version of Courier."""
        published: Published[Content] = Published({}, {})
        for field, value in fields.items():
            name = field.decode("utf-8", "replace")
            if name.startswith(_COUNTER):
                published.counters[name.removeprefix(_COUNTER)] = to_int(value)
                continue
            with suppress(ValueError, RecursionError):
                check_depth(value)
                published.reports[name] = self._decode(value)
        return published


def _replies(pipe: Pipeline, default: object) -> list[Any]:
    """Run the commands; a key that another client wrote gives the default."""
    return [unless_damaged(reply, default) for reply in pipe.execute(raise_on_error=False)]
