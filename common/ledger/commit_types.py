"""Parameters and results of the ledger's operation `commit`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

import msgspec

from common.ledger.digest_types import Folds
from common.ledger.record import id_bytes

NO_HOLDS: Final[Mapping[str, int]] = MappingProxyType({})


class Stored(msgspec.Struct, frozen=True):
    """The commit succeeded; `stored` deliveries are new, and `folded` alerts were folded into groups."""

    stored: int
    folded: int = 0


class Stale(msgspec.Struct, frozen=True):
    """The commit was refused: the cursor is `cursor`, because another producer moved it or Redis lost data."""

    cursor: str


class Full(msgspec.Struct, frozen=True):
    """The commit was refused: the backlog has room for `room` deliveries only."""

    room: int


class Closed(msgspec.Struct, frozen=True):
    """The commit was refused: the closing message of this silence already says how many alerts it kept back."""

    silence_id: str


CommitResult = Stored | Stale | Full | Closed


class SilenceCount(msgspec.Struct, frozen=True):
    """Alerts that a silence kept from an integration, by rule id. `delete_ms` is when the ledger may forget them."""

    id: str
    delete_ms: int
    rules: dict[str, int]

    @property
    def number(self) -> int:
        """The number of alerts."""
        return sum(self.rules.values())

    def added_to(self, others: tuple[SilenceCount, ...]) -> tuple[SilenceCount, ...]:
        """Return `others` with these alerts added to those of the same silence."""
        same = next((one for one in others if one.id == self.id), None)
        rules = dict(Counter(same.rules) + Counter(self.rules)) if same else self.rules
        return (*(one for one in others if one is not same), SilenceCount(self.id, self.delete_ms, rules))


class Commit(msgspec.Struct, frozen=True, kw_only=True):
    """Parameters of a commit: store (id, alert) pairs and the new `cursor` of `node`, if that is still `expected`.

    `replayed` marks the deliveries as read from the log a second time on purpose. `counters` are added to the totals:
    `read`, `not_matched`, `excepted` and `silenced` alerts between the two cursors. `silenced` has those of each
    silence. `held_until_ms` has the ids of the deliveries that are held, with the end of their hold in ms since the
    epoch. `folds` has what is folded into groups; the ledger folds some of `deliveries`, too, as it says.
    """

    node: str
    expected: str
    cursor: str
    deliveries: Sequence[tuple[str, bytes]]
    max_backlog: int
    max_backlog_bytes: int
    replayed: bool = False
    counters: Mapping[str, int] = {}
    silenced: tuple[SilenceCount, ...] = ()
    held_until_ms: Mapping[str, int] = NO_HOLDS
    folds: Folds | None = None

    def script_args(self) -> list[str | bytes | float]:
        """Return the arguments of the script `commit`."""
        limits = (self.max_backlog, self.max_backlog_bytes, int(self.replayed))
        counted = msgspec.json.encode((dict(self.counters), [(one.delete_ms, one.rules) for one in self.silenced]))
        held = self.held_until_ms
        each = (part for one, alert in self.deliveries for part in (one, alert, held.get(one, 0)))
        folds = self.folds.script_arg() if self.folds else b""
        return [self.node, id_bytes(self.expected), self.cursor, *limits, counted, folds, *each]
