"""The keys of `[[silences]]`: for a time, alerts that meet conditions are counted and not sent."""

from __future__ import annotations

import json
from datetime import datetime
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec

from common.settings.definition import non_empty, texts
from common.settings.moments import moment
from common.settings.schema import Key, keys_of
from common.settings.values import boolean

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from common.settings.values import Displayed

SILENCES: Final = "silences"

REQUIRED: Final = ("until", "why")


class SilenceTable(msgspec.Struct, frozen=True, kw_only=True):
    """What a table says; None for what it does not say."""

    match: Annotated[tuple[str, ...] | None, texts()] = None
    integrations: Annotated[tuple[str, ...] | None, texts()] = None
    start: Annotated[datetime | None, moment()] = None
    until: Annotated[datetime | None, moment()] = None
    why: Annotated[str | None, non_empty()] = None
    author: Annotated[str | None, non_empty()] = None
    announce: Annotated[bool | None, boolean()] = None


_MEANT: Final = {
    "reason": "write why",
    "comment": "write why",
    "end": "write until",
    "integration": "write integrations",
    "rule": 'write match = ["rule.id = 5710"]',
    "rule_id": 'write match = ["rule.id = 5710"]',
    "group": 'write match = ["rule.groups = sshd"]',
    "agent": 'write match = ["agent.name = web01"]',
    "for": "write until, with the time of the end",
}
"""What to write instead of the options of `courier silence add`, and of keys of other programs."""

SILENCE_KEYS: Final[dict[str, Key]] = dict(keys_of(SilenceTable, SILENCES, "1"))


def unknown_silence_key(path: tuple[str, ...]) -> str:
    """Return the error for a key under `[[silences]]` that does not exist, or for what is no list of tables."""
    if len(path) < 3:  # noqa: PLR2004 — section, number, key
        return f"{SILENCES} is a list of tables; write [[{SILENCES}]] and the keys of each silence below"
    _, number, key = path
    if not key:
        return f"silence {number} is empty; write its keys below [[{SILENCES}]], or remove it"
    near = get_close_matches(key, SILENCE_KEYS, n=1)
    hint = f"did you mean {near[0]}?" if near else f"the keys are {', '.join(SILENCE_KEYS)}"
    hint = _MEANT.get(key, hint)
    return f"there is no key {SILENCES}.{number}.{json.dumps(key)[1:-1]}; {hint}"


def shown_silences(silences: Mapping[str, SilenceTable]) -> Iterator[tuple[str, Displayed]]:
    """Yield the dotted name of each key that a table has, and its value for display."""
    for number, silence in silences.items():
        for key in SILENCE_KEYS.values():
            if (value := getattr(silence, key.field)) is not None:
                yield f"{SILENCES}.{number}.{key.name}", key.reader.show(value)


def silence_tables(tables: Mapping[tuple[str, ...], Mapping[str, Any]]) -> dict[str, SilenceTable]:
    """Return the silences among all parsed tables, by number."""
    return {path[1]: SilenceTable(**fields) for path, fields in tables.items() if path[0] == SILENCES}
