"""What `courier silence` and `courier status` show of silences, and the conditions that its short options stand for."""

from __future__ import annotations

import random
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final

import msgspec

from common.conditions import parse_condition
from common.errors import ConditionError, CourierError
from common.silences import (
    MAX_SILENCES,
    Silence,
    State,
    compile_silence,
    fetch_counts,
    fetch_silences,
    new_silence_id,
    read_silences,
    write_silence,
)
from common.silences.model import check_silence, limit_problems
from common.timestamps import time_text
from ops.admin import names

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from common.registry.entries import CatalogueEntry
    from common.silences import Stored
    from ops.admin.session import LedgerSession

FIELDS: Final = {"rule": "rule.id", "group": "rule.groups", "agent": "agent.name"}
"""Short option → the field that it compares."""


FIELDS_OF_OPTIONS: Final = {"why": "--reason", "author": "--author", "end_ms": "--for or --until"}
"""Field of a silence → the options that set it, for errors."""

IGNORED: Final = "ignored"
"""The state of a silence that has not ended and that producers do not apply."""


class SilencedReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a silence kept from one integration; times in ms since the epoch. `rules` has numbers by rule id."""

    count: int
    first_ms: int
    last_ms: int
    announced_ms: int | None
    rules: dict[str, int]


class SilenceReport(msgspec.Struct, frozen=True, kw_only=True):
    """One silence. `node` is empty if a command added it, else the node whose courier.toml has it."""

    id: str
    state: str
    match: list[str]
    integrations: list[str]
    start: str
    start_ms: int
    end: str
    end_ms: int
    why: str
    author: str
    announce: bool
    node: str
    count: int
    silenced: dict[str, SilencedReport]


class Silences(msgspec.Struct, frozen=True):
    """All silences, the one that ends last first, and why each malformed entry or silence in Redis is ignored."""

    silences: list[SilenceReport]
    ignored: dict[str, str]


def read_all(session: LedgerSession, states: Iterable[State] = State) -> Silences:
    """Return the silences in these states with what they kept back, in two round trips.

    Raises LedgerUnavailable and LedgerMisconfigured.
    """
    stored = read_silences(fetch_silences(session.client))
    now_ms, wanted = session.ledger.now_ms(), set(states)
    chosen = [one for one in stored.silences.values() if one.state(now_ms) in wanted]
    counts = fetch_counts(session.client, [(i, one.id) for one in chosen for i in session.ids])
    ignored = stored.refused | dict(_without_effect(stored, now_ms))
    reports = []
    for one in sorted(chosen, key=lambda one: (-one.end_ms, one.id)):
        silenced = {
            integration_id: SilencedReport(
                count=found.number,
                first_ms=found.first_ms,
                last_ms=found.last_ms,
                announced_ms=found.closed_ms or None,
                rules=found.rules,
            )
            for (integration_id, silence_id), found in counts.items()
            if silence_id == one.id
        }
        reports.append(_report(one, IGNORED if one.id in ignored else one.state(now_ms), silenced))
    return Silences(reports, ignored)


def _without_effect(stored: Stored, now_ms: int) -> Iterator[tuple[str, str]]:
    """Yield each silence that has not ended and that producers ignore, and why."""
    for one in stored.surplus:
        if one.state(now_ms) is not State.ENDED:
            yield one.id, f"there are more than {MAX_SILENCES} silences; end some of them"
    for one in stored.silences.values():
        if not one.node and one.state(now_ms) is not State.ENDED:  # those of a file may use names that it defines
            try:
                compile_silence(one)
            except ConditionError as error:
                yield one.id, str(error)


def check_room(session: LedgerSession) -> None:
    """Raise CourierError if no silence can be added."""
    now_ms = session.ledger.now_ms()
    silences = read_silences(fetch_silences(session.client)).silences.values()
    if sum(one.state(now_ms) is not State.ENDED for one in silences) >= MAX_SILENCES:
        raise CourierError(f"{MAX_SILENCES:,} silences run or will run, and Courier applies no more; end some of them")


def _report(one: Silence, state: str, silenced: dict[str, SilencedReport]) -> SilenceReport:
    return SilenceReport(
        id=one.id,
        state=state,
        match=[*one.match],
        integrations=[*one.integrations],
        start=time_text(one.start_ms),
        start_ms=one.start_ms,
        end=time_text(one.end_ms),
        end_ms=one.end_ms,
        why=one.why,
        author=one.author,
        announce=one.announce,
        node=one.node,
        count=sum(found.count for found in silenced.values()),
        silenced=silenced,
    )


def find(session: LedgerSession, silence_id: str) -> Silence:
    """Return a silence. Raises CourierError if there is none with this id."""
    stored = read_silences(fetch_silences(session.client))
    if problem := stored.refused.get(silence_id):
        raise CourierError(f"silence {silence_id!r} is ignored: {problem}")
    if silence_id not in stored.silences:
        raise CourierError(f"there is no silence {silence_id!r}; `courier silence list --all` shows all")
    return stored.silences[silence_id]


def conditions(short: Mapping[str, Sequence[str]], match: Sequence[str], *, prefix: str = "--") -> tuple[str, ...]:
    """Return the conditions of `--rule`, `--group`, `--agent` (`short`, by name) and `--match`, each checked.

    `prefix` is what the names of these have in front in errors. Raises CourierError.
    """
    texts = {f"{prefix}{name}": f"{FIELDS[name]} = {', '.join(values)}" for name, values in short.items() if values}
    one = f"{prefix}match"
    given = [*texts.items(), *((f"{one} {n}" if len(match) > 1 else one, text) for n, text in enumerate(match, 1))]
    for option, text in given:
        try:
            parse_condition(text, where=option)
        except ConditionError as error:
            hint = "; the names in courier.toml's [conditions] are known only there: write what they say"
            raise CourierError(f"{error}{hint if '@' in text else ''}") from error
    return tuple(text for _, text in given)


def check_integrations(patterns: Sequence[str], listed: Mapping[str, CatalogueEntry]) -> None:
    """Raise CourierError for a pattern that matches no known integration by id or name."""
    for pattern in patterns:
        known = {name for one, what in listed.items() for name in (one, what.name)}
        if not any(fnmatchcase(name, pattern) for name in known):
            raise names.unknown(pattern, listed)


def add(session: LedgerSession, fields: Mapping[str, Any], *, says: Mapping[str, str] = FIELDS_OF_OPTIONS) -> Silence:
    """Store a new silence with these fields of `Silence` and an id of its own, and return it.

    `says` is how errors name the fields. Raises CourierError if it is not valid, names an unknown integration or has
    ended, or if there are too many.
    """
    check_integrations(fields["integrations"], session.listed)
    check_room(session)
    if fields["end_ms"] <= session.ledger.now_ms():
        raise CourierError("the end is in the past")
    while True:
        silence = _checked({"id": new_silence_id(random.SystemRandom().choice), **fields}, says)
        if write_silence(session.client, silence, is_new=True):
            return silence


def end(session: LedgerSession, silence_id: str) -> bool:
    """End a silence now. Return whether it had not ended.

    Raises CourierError if there is none with this id, and if it is in a courier.toml.
    """
    silence = find(session, silence_id)
    if silence.node:
        raise CourierError(f"silence {silence.id} is in courier.toml on {silence.node}; remove it there, and it ends")
    now_ms = session.ledger.now_ms()
    if silence.state(now_ms) is State.ENDED:
        return False
    write_silence(session.client, silence.ended(now_ms), is_new=False)
    return True


def _checked(fields: Mapping[str, Any], says: Mapping[str, str]) -> Silence:
    given = {one: fields[one] for one in ("match", "integrations", "why", "author", "end_ms")}
    for field, problem in limit_problems(**given):
        raise CourierError(f"{says.get(field, field)} {problem}")
    try:
        silence = msgspec.convert(fields, Silence)
        check_silence(silence)
    except ValueError as error:
        problem = str(error)
        for field, name in says.items():
            problem = problem.replace(f"`$.{field}`", name)
        raise CourierError(f"the silence is not valid: {problem}") from None
    return silence
