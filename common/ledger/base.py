"""What all operations of the ledger share: the client, the server's state, and the ids that a release returns."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from common.errors import LedgerDamaged
from common.ledger import server_check
from common.ledger.calls import Calls
from common.ledger.keys import keys_with_limits
from common.ledger.record import id_bytes, id_text, is_usable_id

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from redis import Redis

    from common.ledger.scripts import Call
    from common.ledger.types import Release

_log = logging.getLogger("courier.ledger")


class LedgerBase:
    """The base of the operations; `Ledger` documents errors and `clock`."""

    def __init__(self, client: Redis, *, clock: Callable[[], float] | None = None) -> None:
        self._redis, self._calls = client, Calls(client, clock)

    def check_server(self) -> list[str]:
        """Raise LedgerMisconfigured if Redis may evict keys. Return warnings about settings that risk data."""
        return server_check.check(self._redis)

    def disk_error(self) -> str:
        """Return why Redis refuses all writes, '' if it does not."""
        return server_check.disk_error(self._redis)

    def intake_block_reason(self) -> str:
        """Return why intake must pause, '' if it need not. Cheap enough to call every second."""
        return server_check.intake_block_reason(self._redis)

    def now_ms(self) -> int:
        """Return the ledger's time in ms since the epoch."""
        return self._calls.now_ms()

    def _tasks(self, released: Mapping[str, Any]) -> dict[str, list[list[str]]]:
        """Return the ids of each task from the results of `release`."""
        tasks: dict[str, list[list[str]]] = {}
        for integration_id, result in released.items():
            if isinstance(result, LedgerDamaged):
                continue
            per_task, *ids = result
            if names := self._usable_ids(integration_id, ids):
                tasks[integration_id] = [names[at : at + per_task] for at in range(0, len(names), per_task)]
        return tasks

    def _usable_ids(self, integration_id: str, ids: Sequence[bytes]) -> list[str]:
        """Return the ids that a queue message can carry. The others become dead letters."""
        names = [id_text(i) for i in ids]
        if unusable := [name for name in names if not is_usable_id(name)]:
            self._bury_unreadable(integration_id, unusable)
            names = [name for name in names if is_usable_id(name)]
        return names

    def _bury_unreadable(self, integration_id: str, ids: Sequence[str]) -> None:
        """Move released deliveries that no worker can read to the dead letters."""
        number = self._calls.run("bury_unreadable", integration_id, *map(id_bytes, ids))
        _log.error(
            "unreadable deliveries moved to dead letters: another program writes to Redis; see `courier dead list`",
            extra={"integration": integration_id, "deliveries": number},
        )


def release_calls(wanted: Mapping[str, Release]) -> dict[str, Call]:
    """Return the keys and arguments of `release` for each integration."""
    return {i: (keys_with_limits(i, terms.limits.target), terms.script_args()) for i, terms in wanted.items()}


def to_ms(seconds: float) -> int:
    """Return whole milliseconds."""
    return round(seconds * 1000)
