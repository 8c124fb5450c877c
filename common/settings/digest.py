"""The section `[integrations.ID.digest]`: which alerts are folded into digests, by what, and how often one is sent."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final
from zoneinfo import ZoneInfo

import msgspec

from common.conditions.model import Exists
from common.conditions.parser import parse_condition
from common.errors import ConditionError
from common.settings.schema import NameOverrides
from common.settings.values import Reader, duration, integer, optional, quoted, require_non_empty

DIGEST: Final = "digest"
"""The name of the section."""

DAY_S: Final = 86_400.0
"""The only `every` that `at` goes with."""

MAX_FIELDS: Final = 5
MAX_SAMPLES: Final = 10
"""Bound what the ledger keeps of a group (`common.ledger.digest_types`)."""

_TIME: Final = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")


def _fields() -> Reader[tuple[str, ...]]:
    """Read a list of up to MAX_FIELDS paths of fields, in the notation of conditions."""

    def parse(raw: object) -> tuple[str, ...]:
        items = [raw] if isinstance(raw, str) else raw
        if not isinstance(items, list):
            raise ValueError(f"{quoted(raw)} is not a list")  # noqa: TRY004 — one kind of bad input
        paths = tuple(_field(require_non_empty(one)) for one in items)
        if len(paths) > MAX_FIELDS:
            raise ValueError(f"there are {len(paths)} fields, and {MAX_FIELDS} are the most")
        if len({*paths}) < len(paths):
            raise ValueError("a field is there twice")
        return paths

    return Reader(f'a list of up to {MAX_FIELDS} fields, such as ["rule.id", "agent.name"]', parse, list)


def _field(text: str) -> str:
    """Return a field in its normal form. Raises ValueError."""
    try:
        terms = parse_condition(text).terms
    except ConditionError as error:
        raise ValueError(f"{quoted(text)} is not a field: {error}") from None
    if len(terms) != 1 or terms[0].negated or not isinstance(terms[0].test, Exists):
        raise ValueError(f"{quoted(text)} is a condition and not a field")
    return str(terms[0].test)


def path_of(field: str) -> tuple[str, ...]:
    """Return the keys that lead to a field which the reader of `by` and `top` has returned."""
    test = parse_condition(field).terms[0].test
    return test.path if isinstance(test, Exists) else ()


def _time_of_day() -> Reader[str]:
    def parse(raw: object) -> str:
        value = require_non_empty(raw)
        if not _TIME.fullmatch(value):
            raise ValueError(f"{quoted(value)} is not a time of day")
        return value

    return Reader('a time of day such as "08:00"', parse, str)


def _zone() -> Reader[str]:
    def parse(raw: object) -> str:
        try:
            return ZoneInfo(require_non_empty(raw)).key
        except (OSError, KeyError, ValueError):  # a folder; ZoneInfoNotFoundError; a path, or no text
            raise ValueError(f"{quoted(raw)} is not a time zone") from None

    return Reader('an IANA name such as "Europe/Berlin"', parse, str)


def _conditions() -> Reader[tuple[str, ...]]:
    """Read a list of conditions, or one; whether they can be read is checked later, with the named ones."""

    def parse(raw: object) -> tuple[str, ...]:
        items = [raw] if isinstance(raw, str) else raw
        if not isinstance(items, list):
            raise ValueError(f"{quoted(raw)} is not a list")  # noqa: TRY004 — one kind of bad input
        return tuple(map(require_non_empty, items))

    return Reader("a list of conditions, as for `only`", parse, list)


class Digest(msgspec.Struct, frozen=True, kw_only=True):
    """Alerts with the same values of `by` are one group; without fields, all of them are.

    In each window of `every_s` the first `first` alerts of a group are delivered one by one, the others are folded. If
    there are at least `min_alerts` of these when the window ends, they become one delivery, with `samples` of them and
    the most frequent values of the fields `top`. With `at`, windows end at this time of day in `zone`. Only alerts that
    meet all conditions of `match` are folded.
    """

    by: Annotated[tuple[str, ...], _fields()] = ("rule.id",)
    first: Annotated[int, integer(0, 20)] = 0
    every_s: Annotated[float, duration("1s", "7d")] = 600.0
    at: Annotated[str | None, optional(_time_of_day())] = None
    zone: Annotated[str, _zone()] = "UTC"
    min_alerts: Annotated[int, integer(1, 1_000_000), NameOverrides(key="min")] = 1
    samples: Annotated[int, integer(0, MAX_SAMPLES)] = 5
    top: Annotated[tuple[str, ...], _fields()] = ("agent.name", "data.srcip")
    match: Annotated[tuple[str, ...], _conditions()] = ()

    def ends_after(self, moment: datetime) -> tuple[datetime, ...]:
        """Return the next two times at which windows end, in UTC; none without `at`, since windows then differ.

        A time that the clock skips counts as if it did not skip it (PEP 495).
        """
        if self.at is None:
            return ()
        hour, minute = map(int, self.at.split(":"))
        local = moment.astimezone(ZoneInfo(self.zone)).replace(hour=hour, minute=minute, second=0, microsecond=0)
        days = (local + timedelta(days=number) for number in range(-1, 4))  # in local time: days of 23 to 25 hours
        return tuple(end for one in days if (end := one.astimezone(UTC)) > moment)[:2]


def digest_problems(digest: Digest) -> list[tuple[str, str]]:
    """Return the key and the problem of values that contradict each other."""
    if digest.at is not None and digest.every_s != DAY_S:
        return [("at", 'goes with every = "24h" alone: write that, or remove at')]
    return []
