"""Sums up the alerts of a commit by group, so that a flood costs the ledger a few parts and not a delivery an alert.

The ledger adds the parts to the open groups in the same step in which it moves the cursor (`fold.lua`).
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from common.conditions import compile_all, parse_condition, parse_named_conditions
from common.conditions.fields import MAX_CHARS, values_at
from common.conditions.values import text_of
from common.ledger import Folds, Group, Part, Top
from common.ledger.digest_types import MAX_VALUES
from common.services.sections import digest_of, publish_section
from common.settings.digest import DIGEST, Digest, path_of
from producer.digest_parts import base_of, cut, group_values, id_of, level_of, sample_of, timestamp_of, top_value
from producer.filters.decode import InvalidAlert, decode_alert

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from common.conditions import NamedCondition
    from common.integration import Integration
    from common.ledger import Ledger
    from producer.config_file import ConfigFile
    from producer.cursors.subscription import Subscription
    from producer.source import Line

    Decode = Callable[[bytes], dict[str, Any]]
    Alerts = list[tuple[int, dict[str, Any]]]

WHOLE: Final = Digest(by=())
"""What a held window ends with if the integration has no digest: one for all alerts."""


class Folder:
    """Folds the alerts of one integration. `prefix` begins the names of its groups: changed terms make new groups."""

    def __init__(
        self, integration: Integration, digest: Digest | None, named: Mapping[str, NamedCondition], decode: Decode
    ) -> None:
        """Raises ConditionError. Without a `digest`, only held alerts are folded."""
        self._folds_all, self._terms, self._decode = digest is not None, digest or WHOLE, decode
        self._folds_held = bool(integration.hold and integration.hold.then_digest)
        self._by = [(field, path_of(field)) for field in self._terms.by]
        self._top = [(field, path_of(field)) for field in self._terms.top]
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
        groups: dict[Group, list[Alerts]] = {}
        known: dict[tuple[int, tuple[str, ...]], Group] = {}  # to hash the values of each group once
        ends_ms = tuple(
            round(end.timestamp() * 1000) for end in self._terms.ends_after(datetime.fromtimestamp(now_ms / 1000, UTC))
        )
        for line in lines:
            until_ms = held.get(line.id, 0)
            alert = self._folded(line, until_ms)
            if alert is None:
                deliveries.append(line)
                continue
            key = until_ms, tuple(", ".join(_texts(alert, path)) for _, path in self._by)
            group = known.get(key) or known.setdefault(key, self._group(key[1], until_ms, ends_ms))
            single, rest = groups.setdefault(group, [[], []])
            if len(single) < group.first:
                deliveries.append(line)
                single.append((len(deliveries), alert))
            else:
                rest.append((0, alert))
        if not groups:
            return lines, None, held
        parts = [
            part
            for number, (single, rest) in enumerate(groups.values(), start=1)
            for part in (
                *(self._part(number, at, [alert]) for at, alert in single),
                *([self._part(number, 0, [alert for _, alert in rest])] if rest else ()),
            )
        ]
        last_until = max(held.values(), default=0) if self._folds_held else 0
        others = (self._others(0, ends_ms), self._others(last_until, ends_ms))
        left = held if not self._folds_held else {}
        return deliveries, Folds(groups=[*groups], parts=parts, others=others), left

    def _folded(self, line: Line, until_ms: int) -> dict[str, Any] | None:
        """Return the alert of a line if it is folded, None if it is a delivery."""
        if not (self._folds_held if until_ms else self._folds_all):
            return None
        try:
            alert = self._decode(line.raw)
        except InvalidAlert:  # which the filters accepted
            return None
        return alert if until_ms or self._matches(alert) else None

    def _group(self, values: tuple[str, ...], until_ms: int, ends_ms: tuple[int, ...]) -> Group:
        identity = hashlib.sha256(json.dumps(values).encode()).hexdigest()[:32]
        shown = group_values({field: text for (field, _), text in zip(self._by, values, strict=True)})
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

    def _part(self, group: int, delivery: int, alerts: Sequence[dict[str, Any]]) -> Part:
        highest = max(map(level_of, alerts))
        newest_of_highest = next(one for one in reversed(alerts) if level_of(one) == highest)
        return Part(
            group=group,
            delivery=delivery,
            number=len(alerts),
            oldest=(timestamp_of(alerts[0]), id_of(alerts[0])),
            newest=(timestamp_of(alerts[-1]), id_of(alerts[-1])),
            level=highest,
            base=base_of(newest_of_highest),
            tops=[_top(field, path, alerts) for field, path in self._top],
            samples=[sample_of(one) for one in alerts[: self._terms.samples]],
        )


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
    decode = config.agents.decode if config.agents else decode_alert
    named = parse_named_conditions(config.conditions)
    for one in subscriptions.values():
        one.folder = folder_of(one.integration, named, decode)
    ledger.end_groups({i: one.folder.prefix if one.folder else "" for i, one in subscriptions.items()})


def _texts(alert: dict[str, Any], path: tuple[str, ...]) -> list[str]:
    """Return the values of a field without repetitions; objects are none.

    A single short text, as nearly all fields have, is found here: that takes a tenth of the time.
    """
    value: Any = alert
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    if isinstance(value, str) and len(value) < MAX_CHARS:
        return [value]
    found = (text_of(value) for value in values_at(alert, path))
    return [*dict.fromkeys(text for text in found if text is not None)]


def _top(field: str, path: tuple[str, ...], alerts: Sequence[dict[str, Any]]) -> Top:
    counted = Counter(value for alert in alerts for value in {*map(top_value, _texts(alert, path))})
    return Top(cut(field, 100), counted.most_common(MAX_VALUES), len(counted) > MAX_VALUES)
