"""The silences that the producer applies: reads them, publishes those of courier.toml, and announces ended ones."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from common.conditions import NO_NAMES, parse_named_conditions
from common.errors import ConditionError, LedgerDamaged
from common.printable import printable
from common.silences import (
    MAX_SILENCES,
    AppliedSilence,
    closing_message,
    compile_silence,
    delete_silences,
    fetch_counts,
    fetch_silences,
    file_changes,
    precedence,
    read_silences,
    write_silence,
)
from producer.filters.decode import decode_alert
from producer.read_result import Silenced

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from redis import Redis

    from common.integration import Integration
    from common.ledger import Ledger
    from common.silences import Silence
    from producer.config_file import ConfigFile
    from producer.cursors.subscription import Subscription
    from producer.read_result import ReadResult
    from producer.source import Line

CLOSE_AFTER_MS: Final = 2_000
"""A closing message is queued this long after the end, so that every producer has committed what it silenced."""

COUNTS_UNTIL_MS: Final = 60_000
"""A silence that has kept nothing back this long after its end needs no message, and is not looked at again."""

RULE_CHARS: Final = 40
"""Characters of a rule's id that are kept: in an alert it can be any text."""

_log = logging.getLogger("courier.producer")


class RunningSilences:
    """The silences that run at one moment, for each integration that they are about, the first one first."""

    def __init__(
        self,
        silences: Sequence[AppliedSilence],
        integrations: Iterable[Integration],
        closed: Collection[tuple[str, str]] = (),
        decode: Callable[[bytes], dict[str, Any]] = decode_alert,
    ) -> None:
        """`closed` has pairs of an integration and a silence that it has had the closing message of."""
        self._decode = decode
        about = {
            i.id: tuple(one for one in silences if one.is_about(i) and (i.id, one.silence.id) not in closed)
            for i in integrations
        }
        self._by_integration = {i: found for i, found in about.items() if found}

    def apply(self, ids: Sequence[str], line: Line, reading: ReadResult) -> Sequence[str]:
        """Return the integrations of `ids` that get an alert, and add it to what is silenced for the others."""
        if self._by_integration.keys().isdisjoint(ids):
            return ids
        alert = self._decode(line.raw)  # once for all integrations
        left = []
        for integration_id in ids:
            silences = self._by_integration.get(integration_id, ())
            if found := next((one.silence for one in silences if one.holds(alert)), None):
                matches = len(reading.matches.get(integration_id, ()))
                silenced = Silenced(matches, found.id, found.delete_ms, _rule_id(alert))
                reading.silenced[integration_id].append(silenced)
            else:
                left.append(integration_id)
        return left


class Silences:
    """The silences of one node. `now` is monotonic, in seconds.

    Methods raise LedgerUnavailable or LedgerMisconfigured.
    """

    def __init__(self, client: Redis, ledger: Ledger, node: str, now: Callable[[], float]) -> None:
        self._client, self._ledger, self._node, self._now = client, ledger, node, now
        self._fields: Mapping[bytes, bytes] | None = None
        self._names: Mapping[str, Sequence[str]] = {}
        self._silences: dict[str, Silence] = {}
        self._applied: list[AppliedSilence] = []
        self._integrations: Sequence[Integration] = ()
        self._surplus: tuple[Silence, ...] = ()
        self._refused: dict[str, str] = {}
        self._closed: set[tuple[str, str]] = set()
        self._ledger_ms, self._read_at_s = 0, now()
        self._decode: Callable[[bytes], dict[str, Any]] = decode_alert
        self._running: tuple[list[AppliedSilence], RunningSilences | None] = ([], None)

    def refresh(self, config: ConfigFile, subscriptions: Collection[Subscription]) -> None:
        """Once a second: read all silences, publish those of courier.toml, and announce those that have ended."""
        names = config.conditions
        fields = fetch_silences(self._client)
        self._ledger_ms, self._read_at_s = self._ledger.now_ms(), self._now()
        if fields != self._fields or names != self._names:
            self._fields, self._names = fields, names
            self._read(fields)
        changes = file_changes(
            config.silences, self._silences, self._node, self._ledger_ms, all_known=config.is_complete
        )
        for silence in changes:
            write_silence(self._client, silence, is_new=False)
            _log.info("silence of courier.toml published", extra={"silence": silence.id, "end_ms": silence.end_ms})
        if changes:
            self._fields = fetch_silences(self._client)
            self._read(self._fields)
        self._integrations = [one.integration for one in subscriptions]
        self._running = ([], None)
        self._decode = config.decode
        for one in subscriptions:
            self._closed |= {(one.integration.id, silence_id) for silence_id in one.closed}
        self._delete_old()
        self._announce()

    def running(self) -> RunningSilences | None:
        """Return the silences that run now, None if none does."""
        if not self._applied:
            return None
        now_ms = self._ledger_ms + 1000 * (self._now() - self._read_at_s)
        running = [one for one in self._applied if one.runs_at(int(now_ms))]
        if running != self._running[0]:
            self._running = (running, RunningSilences(running, self._integrations, self._closed, self._decode))
        return self._running[1]

    def _read(self, fields: Mapping[bytes, bytes]) -> None:
        """Read and compile the silences that concern this node; log each that is refused, once."""
        stored = read_silences(fields)
        refused, self._silences, applied = stored.refused, stored.silences, []
        own_names = parse_named_conditions(self._names)
        for silence in stored.silences.values():
            try:
                if silence.node in {"", self._node}:
                    applied.append(compile_silence(silence, own_names if silence.node else NO_NAMES))
            except ConditionError as error:
                refused[silence.id] = str(error)
        running = (one for one in stored.surplus if one.end_ms > self._ledger_ms)
        refused |= {one.id: f"there are more than {MAX_SILENCES} silences; end some of them" for one in running}
        self._surplus = stored.surplus
        self._applied = sorted(applied, key=lambda one: precedence(one.silence))
        for silence_id, problem in refused.items():
            if self._refused.get(silence_id) != problem:
                _log.error("silence ignored: %s: %s", printable(silence_id[:100]), printable(problem))
        self._refused = refused

    def _delete_old(self) -> None:
        """Delete silences that ended 30 days ago, and of more than MAX_SILENCES those that ended first."""
        old = [one.id for one in self._silences.values() if one.delete_ms < self._ledger_ms]
        old += [one.id for one in self._surplus if one.end_ms <= self._ledger_ms]
        if old:
            delete_silences(self._client, old)

    def _announce(self) -> None:
        """Queue the closing messages of silences that have ended."""
        ended = [
            one
            for one in self._applied
            if one.silence.announce and one.silence.end_ms + CLOSE_AFTER_MS <= self._ledger_ms
        ]
        if not ended:
            return
        pairs = {(i.id, one.silence.id): one.silence for one in ended for i in self._integrations if one.is_about(i)}
        pairs = {pair: silence for pair, silence in pairs.items() if pair not in self._closed}
        counted = fetch_counts(self._client, pairs)
        for (integration_id, silence_id), silence in pairs.items():
            counts = counted.get((integration_id, silence_id))
            if counts and not counts.closed_ms:
                message = closing_message(silence, integration_id, counts, self._node)
                with suppress(LedgerDamaged):  # logged by the ledger
                    self._ledger.close_silence(integration_id, silence_id, counts.number, *message)
            elif counts or silence.end_ms + COUNTS_UNTIL_MS <= self._ledger_ms:
                self._closed.add((integration_id, silence_id))


def _rule_id(alert: Mapping[str, Any]) -> str:
    rule = alert.get("rule")
    rule_id = rule.get("id", "") if isinstance(rule, dict) else ""
    return printable(rule_id[:RULE_CHARS])[:RULE_CHARS] if isinstance(rule_id, str) else ""
