"""The operator's operations: dead letters, pauses and status. Workers use `retain`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from common.connection.errors import as_ledger_errors
from common.ledger.base import LedgerBase, to_ms
from common.ledger.dead_letters import read_dead_letters
from common.ledger.folded import find_folded, find_held_groups
from common.ledger.keys import intake_keys, keys_of
from common.ledger.locate import locate, search_records
from common.ledger.record import encode_record, id_bytes, id_text, to_int
from common.ledger.status import read_statuses
from common.ledger.types import Position
from common.outcome import Reason

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from redis.client import Pipeline

    from common.ledger.folded import Folded
    from common.ledger.locate import Located, RecordsPage
    from common.ledger.types import DeadLetter, Status

RETAIN_LIMIT: Final = 1000
"""Maximum number of dead letters that one `retain` deletes, because a script blocks Redis while it runs."""


class OperatorOperations(LedgerBase):
    """Reads, replays, moves and deletes dead letters, pauses integrations and reads their status."""

    def dead_letters(self, integration_id: str, *, chunk: int = 500) -> Iterator[DeadLetter]:
        """Yield the dead letters, the oldest first, reading `chunk` at a time."""
        return read_dead_letters(self._calls, integration_id, chunk)

    def locate(self, wanted: Mapping[str, Sequence[str]]) -> dict[str, list[Located]]:
        """Return the deliveries with these ids (by integration) that are waiting, released or dead, and their state."""
        return locate(self._calls, wanted)

    def search_records(self, integration_id: str, text: bytes) -> Iterator[RecordsPage]:
        """Yield which records contain `text`, page by page. A record that is added meanwhile may be missed."""
        return search_records(self._calls, integration_id, text)

    def examples(self, integration_id: str) -> list[Located]:
        """Return the delivery that is due last and the newest dead letter, those of them that exist."""
        keys = keys_of(integration_id)

        def add(pipe: Pipeline) -> None:
            pipe.zrange(keys.waiting, -1, -1)
            pipe.zrange(keys.dead, -1, -1)

        waiting, dead = self._calls.ask(integration_id, add)
        return self.locate({integration_id: [*map(id_text, [*waiting, *dead])]}).get(integration_id, [])

    def find_folded(self, integration_id: str, group: str) -> Folded:
        """Return what the ledger holds of a group of alerts. Also raises LedgerDamaged."""
        return find_folded(self._calls, integration_id, group)

    def held_groups(self, integration_id: str) -> dict[int, int]:
        """Return the number of open groups of held alerts by the end of their hold in ms. Also raises LedgerDamaged."""
        return find_held_groups(self._calls, integration_id)

    def replay(self, integration_id: str, ids: Sequence[str], *, interval_s: float = 0.0, after_s: float = 0.0) -> int:
        """Move dead letters to waiting: the first is due after `after_s`, then one every `interval_s`. Return how many.

        A dead letter that cannot be read is left unchanged.
        """
        return int(self._calls.run("replay", integration_id, to_ms(after_s), to_ms(interval_s), *map(id_bytes, ids)))

    def move(self, integration_id: str, ids: Sequence[str], *, to: str) -> int:
        """Move dead letters to another integration. Return how many; an id that is already there stays dead here."""
        return int(
            self._calls.run(
                "move", integration_id, *map(id_bytes, ids), keys=[*keys_of(integration_id), *intake_keys(to)]
            )
        )

    def bury(self, integration_id: str, *, reason: str, limit: int = 1000) -> int:
        """Move up to `limit` waiting deliveries to the dead letters, where they can be read, moved or discarded.

        Open groups of alerts become deliveries first. Return how many were moved; 0 if nothing is left.
        """
        buried, closed = 0, 1
        while not buried and closed:  # groups without alerts may come before those that have some
            buried, closed = self._calls.run("bury", integration_id, reason, limit)
        return buried

    def let_go(self, integration_id: str, *, limit: int = 500) -> int:
        """End the hold of up to `limit` held deliveries: they are due now. Return how many."""
        return int(self._calls.run("let_go", integration_id, limit))

    def discard(self, integration_id: str, ids: Sequence[str]) -> int:
        """Delete dead letters and count them. Return how many."""
        return int(self._calls.run("discard", integration_id, *map(id_bytes, ids)))

    def import_dead(self, integration_id: str, letters: Sequence[DeadLetter]) -> int:
        """Add dead letters from another ledger. Return how many; an id that is here in any state is left unchanged."""
        arguments: list[str | bytes | int] = []
        for one in letters:
            arguments += (one.delivery.id, one.died_ms, encode_record(one.delivery))
        return int(self._calls.run("import", integration_id, *arguments))

    def withdraw_tests(self, integration_id: str, ids: Sequence[str]) -> int:
        """Delete deliveries of `courier test` that no worker has begun. Return how many."""
        return int(self._calls.run("withdraw", integration_id, Reason.TEST_FAILED, *map(id_bytes, ids)))

    def position(self, integration_id: str, delivery_id: str) -> Position | None:
        """Return where a delivery is, None if the ledger does not have it."""
        keys, member = keys_of(integration_id), id_bytes(delivery_id)

        def add(pipe: Pipeline) -> None:
            pipe.zrank(keys.waiting, member)
            pipe.zrank(keys.released, member)
            pipe.hget(keys.leases, delivery_id)
            pipe.zrank(keys.dead, member)

        ahead, released, token, dead = self._calls.ask(integration_id, add)
        if ahead is None and released is None and dead is None:
            return None
        return Position(
            ahead=None if ahead is None else int(ahead), is_begun=token is not None, is_dead=dead is not None
        )

    def retain(
        self, integration_id: str, *, max_age_s: float | None, max_bytes: int | None, limit: int = RETAIN_LIMIT
    ) -> int:
        """Delete up to `limit` of the oldest dead letters beyond an age or a total size. Return how many."""
        longest_ms = "" if max_age_s is None else to_ms(max_age_s)
        return int(self._calls.run("retain", integration_id, longest_ms, "" if max_bytes is None else max_bytes, limit))

    def status(self, integration_id: str) -> Status:
        """Return counts, totals, what blocks the integration, and the age of the oldest of the next 100 deliveries."""
        return self.statuses([integration_id])[integration_id]

    def statuses(self, integration_ids: Collection[str]) -> dict[str, Status]:
        """Return the status of each integration, in three round trips. The sample of many integrations is smaller."""
        with as_ledger_errors():
            return read_statuses(self._redis, integration_ids, self.now_ms())

    def pause(self, integration_id: str, reason: str = "", *, until_ms: int = 0) -> bool:
        """Pause an integration until it is resumed or, with `until_ms`, until this time in ms by the ledger's clock.

        A pause that it has already gets this end, and the reason if there is one. Return whether it was not paused.
        """
        control = keys_of(integration_id).control
        now_ms = self._forget_ended_pause(integration_id)

        def add(pipe: Pipeline) -> None:
            if until_ms:  # before the pause itself, which would otherwise have no end for a moment
                pipe.hset(control, "paused_until_ms", str(until_ms))
            else:
                pipe.hdel(control, "paused_until_ms")
            pipe.hsetnx(control, "paused_ms", str(now_ms))

        *_, is_new = self._calls.ask(integration_id, add)
        if is_new or reason:
            self._calls.ask(integration_id, lambda pipe: pipe.hset(control, "pause_reason", reason))
        return bool(is_new)

    def resume(self, integration_id: str) -> bool:
        """Resume an integration. Return whether it was paused."""
        self._forget_ended_pause(integration_id)
        (deleted,) = self._calls.ask(integration_id, partial(_delete_pause, keys_of(integration_id).control))
        return bool(deleted)

    def _forget_ended_pause(self, integration_id: str) -> int:
        """Delete a pause that has ended by itself. Return the ledger's time in ms."""
        control, now_ms = keys_of(integration_id).control, self.now_ms()
        (until_ms,) = self._calls.ask(integration_id, lambda pipe: pipe.hget(control, "paused_until_ms"))
        if until_ms is not None and 0 < to_int(until_ms) <= now_ms:
            self._calls.ask(integration_id, partial(_delete_pause, control))
        return now_ms


def _delete_pause(control: str, pipe: Pipeline) -> None:
    pipe.hdel(control, "paused_ms", "pause_reason", "paused_until_ms")
