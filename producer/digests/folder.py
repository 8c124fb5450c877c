"""Sums up the alerts of a commit by group, so that a flood costs the ledger a few parts and not a delivery an alert.

The ledger adds the parts to the open groups in the same step in which it moves the cursor (`fold.lua`).
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from common.conditions import compile_all, parse_condition, parse_named_conditions
from common.ledger import Folds, Group, Part, Top
from common.ledger.digest_types import MAX_VALUES
from common.services.sections import digest_of, publish_section
from common.settings.digest import DIGEST, Digest, path_of
from producer.digests.fields import FieldReader, texts
from producer.digests.parts import base_of, cut, group_values, id_of, level_number, sample_of, timestamp_of, top_value
from producer.filters.decode import InvalidAlert, decode_alert

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from common.conditions import NamedCondition
    from common.integration import Integration
    from common.ledger import Ledger
    from producer.config_file import ConfigFile
    from producer.cursors.subscription import Subscription
    from producer.digests.fields import Value
    from producer.source import Line

    Decode = Callable[[bytes], dict[str, Any]]
    Row = tuple[Value, ...]

WHOLE: Final = Digest(by=())
"""What a held window ends with if the integration has no digest: one for all alerts."""


@dataclass(slots=True, eq=False)
class _Alerts:
    """Alerts of one group, each as its line and what `FieldReader` reads of it. `singles` begin with the delivery."""

    group: Group
    singles: list[tuple[int, Line, Row]] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)


class Folder:
    """Folds the alerts of one integration. `prefix` begins the names of its groups: changed terms make new groups."""

    def __init__(
        self, integration: Integration, digest: Digest | None, named: Mapping[str, NamedCondition], decode: Decode
    ) -> None:
        """Raises ConditionError. Without a `digest`, only held alerts are folded."""
        self._folds_all, self._terms, self._decode = digest is not None, digest or WHOLE, decode
        self._folds_held = bool(integration.hold and integration.hold.then_digest)
        self._fields = FieldReader([path_of(field) for field in (*self._terms.by, *self._terms.top)], decode)
        self._tops_at = 1 + len(self._terms.by)  # where the values of `top` begin in what it returns
        conditions = [parse_condition(text, names=named) for text in self._terms.match]
        self._matches = compile_all(conditions)
        terms = publish_section(DIGEST, self._terms).values.reveal()
        self.prefix = f"{hashlib.sha256(terms.encode()).hexdigest()[:8]}:"

    def fold(
        self, lines: Sequence[Line], held: Mapping[str, int], now_ms: int
    ) -> tuple[Sequence[Line], Folds | None, Mapping[str, int]]:
        """Return the lines that are deliveries, what is folded, and the ends of the holds of these deliveries.

        `held` are ends of holds in ms by the id of a line, `now_ms` is the time of the ledger. The first lines of each
        group are deliveries, too, and the ledger decides which of them it folds.
        """
        deliveries: list[Line] = []
        groups: dict[Group, _Alerts] = {}
        known: dict[tuple[int, tuple[Value, ...]], _Alerts] = {}  # to hash the values of each group once
        ends_ms = tuple(
            round(end.timestamp() * 1000) for end in self._terms.ends_after(datetime.fromtimestamp(now_ms / 1000, UTC))
        )
        for line in lines:
            until_ms = held.get(line.id, 0) if held else 0  # the id costs a checksum
            row = self._folded(line, until_ms)
            if row is None:
                deliveries.append(line)
                continue
            key = until_ms, row[1 : self._tops_at]
            found = known.get(key)
            if found is None:
                group = self._group(_values(key[1]), until_ms, ends_ms)
                found = known[key] = groups.setdefault(group, _Alerts(group))
            if len(found.singles) < found.group.first:
                deliveries.append(line)
                found.singles.append((len(deliveries), line, row))
            else:
                found.lines.append(line)
                found.rows.append(row)
        if not groups:
            return lines, None, held
        parts = [part for number, one in enumerate(groups.values(), start=1) for part in self._parts(number, one)]
        last_until = max(held.values(), default=0) if self._folds_held else 0
        others = (self._others(0, ends_ms), self._others(last_until, ends_ms))
        left = held if not self._folds_held else {}
        return deliveries, Folds(groups=[*groups], parts=parts, others=others), left

    def group_of(self, line: Line, until_ms: int) -> Group | None:
        """Return the group of a line's alert, held until `until_ms` unless that is 0; None if it is not folded."""
        row = self._folded(line, until_ms)
        return None if row is None else self._group(_values(row[1 : self._tops_at]), until_ms, ())

    def _folded(self, line: Line, until_ms: int) -> Row | None:
        """Return what an alert is folded by, None if it is a delivery."""
        if not (self._folds_held if until_ms else self._folds_all):
            return None
        try:
            if self._terms.match and not until_ms and not self._matches(self._decode(line.raw)):
                return None
            return self._fields.read(line.raw)
        except InvalidAlert:  # which the filters accepted
            return None

    def _group(self, values: tuple[str, ...], until_ms: int, ends_ms: tuple[int, ...]) -> Group:
        identity = hashlib.sha256(json.dumps(values).encode()).hexdigest()[:32]
        shown = group_values(dict(zip(self._terms.by, values, strict=True)))
        return self._named(identity, until_ms, ends_ms, values=shown)

    def _others(self, until_ms: int, ends_ms: tuple[int, ...]) -> Group:
        return self._named("others", until_ms, ends_ms, others=True)

    def _named(
        self, name: str, until_ms: int, ends_ms: tuple[int, ...], *, values: str = "{}", others: bool = False
    ) -> Group:
        terms = self._terms
        if until_ms:
            name, first, least, every_ms, ends_ms = f"held{until_ms}:{name}", 0, 1, 0, (until_ms,)
        else:
            first, least, every_ms = terms.first, terms.min_alerts, round(1000 * terms.every_s)
        return Group(
            group=f"{self.prefix}{name}",
            values=values,
            first=first,
            min=least,
            every_ms=every_ms,
            ends_ms=ends_ms,
            samples=terms.samples,
            others=others,
        )

    def _parts(self, group: int, alerts: _Alerts) -> Iterator[Part]:
        for delivery, line, row in alerts.singles:
            yield self._part(group, delivery, [line], [row])
        if alerts.lines:
            yield self._part(group, 0, alerts.lines, alerts.rows)

    def _part(self, group: int, delivery: int, lines: Sequence[Line], rows: Sequence[Row]) -> Part:
        """Sum up some alerts. Only those that it shows something of are decoded as a whole."""
        columns = [*zip(*rows, strict=True)]
        highest = max(map(level_number, {*columns[0]}))
        newest_of_highest = next(n for n in reversed(range(len(rows))) if level_number(rows[n][0]) == highest)
        samples, last = range(min(self._terms.samples, len(lines))), len(lines) - 1
        whole = {n: decode_alert(lines[n].raw) for n in {0, newest_of_highest, last, *samples}}
        return Part(
            group=group,
            delivery=delivery,
            number=len(lines),
            oldest=(timestamp_of(whole[0]), id_of(whole[0])),
            newest=(timestamp_of(whole[last]), id_of(whole[last])),
            level=highest,
            base=base_of(whole[newest_of_highest]),
            tops=[_top(field, values) for field, values in zip(self._terms.top, columns[self._tops_at :], strict=True)],
            samples=[sample_of(whole[n]) for n in samples],
        )


def _values(row: tuple[Value, ...]) -> tuple[str, ...]:
    return tuple(", ".join(texts(value)) for value in row)


def folder_of(integration: Integration, named: Mapping[str, NamedCondition], decode: Decode) -> Folder | None:
    """Return what folds an integration's alerts, None if nothing does. Raises ConfigError and ConditionError."""
    digest = digest_of(integration)
    if digest is None and not (integration.hold and integration.hold.then_digest):
        return None
    return Folder(integration, digest, named, decode)


def set_folders(subscriptions: Mapping[str, Subscription], config: ConfigFile, ledger: Ledger) -> None:
    """Fold as the configuration says from now on, and close the groups of other terms.

    Raises LedgerUnavailable and LedgerMisconfigured.
    """
    named = parse_named_conditions(config.conditions)
    for one in subscriptions.values():
        one.folder = folder_of(one.integration, named, config.decode)
    ledger.end_groups({i: one.folder.prefix if one.folder else "" for i, one in subscriptions.items()})


def _top(field: str, values: Sequence[Value]) -> Top:
    counted: dict[str, int] = {}
    for value, number in Counter(values).items():
        for text in (top_value(value),) if isinstance(value, str) else {*map(top_value, texts(value))}:
            counted[text] = counted.get(text, 0) + number
    most = sorted(counted.items(), key=itemgetter(1), reverse=True)[:MAX_VALUES]
    return Top(cut(field, 100), most, len(counted) > MAX_VALUES)
