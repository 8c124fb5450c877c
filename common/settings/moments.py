"""Readers of keys whose value is a time, and of `start_at`, which can be a time or a position in the alert log."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, NamedTuple, TypeVar

from common.settings.values import Reader, quoted, require_text

E = TypeVar("E", bound=StrEnum)

_POSITION: Final = re.compile(
    r"([0-9]{4}/[A-Z][a-z]{2}/ossec-alerts-[0-9]{2}(?:-[0-9]{3,6})?\.json|[^/:]+\.json):([0-9]{1,18})"
)


class LogPosition(NamedTuple):
    """A position in the alert log, FILE:BYTE, such as `2026/Jan/ossec-alerts-31.json:1234`.

    `file` is the path of a dated log, relative to the folder of the current log and without the suffix of a compressed
    file. A name without a folder means the current log.
    """

    file: str
    offset: int

    def __str__(self) -> str:
        return f"{self.file}:{self.offset}"


def utc_time(raw: object) -> datetime | None:
    """Return a time (of TOML, or ISO 8601 text) in UTC, or None for what is not one or has no UTC offset."""
    try:
        time = raw if isinstance(raw, datetime) else datetime.fromisoformat(require_text(raw))
        return time.astimezone(UTC) if time.tzinfo else None
    except (ValueError, OverflowError):
        return None


def utc_text(time: datetime) -> str:
    """Return a time in UTC as settings write it, such as `2026-01-31T08:00:00Z`."""
    return time.isoformat().replace("+00:00", "Z")


def moment() -> Reader[datetime]:
    """Read a time with its UTC offset."""

    def parse(raw: object) -> datetime:
        if (time := utc_time(raw)) is None:
            raise ValueError(f"{quoted(raw)} is not a time with UTC offset")
        return time

    return Reader('a time such as "2026-01-31T08:00:00Z"', parse, utc_text)


def start_position(words: type[E]) -> Reader[E | datetime | LogPosition]:
    """Read one word of a closed list, a time with UTC offset, or a position in the alert log."""

    def parse(raw: object) -> E | datetime | LogPosition:
        if raw in list(words):
            return words(str(raw))
        if isinstance(raw, str) and (found := _POSITION.fullmatch(raw)):
            return LogPosition(found[1], int(found[2]))
        if (time := utc_time(raw)) is None:
            raise ValueError(f"{quoted(raw)} is not one of the words, a time with UTC offset or a position")
        return time

    def show(value: E | datetime | LogPosition) -> str:
        return utc_text(value) if isinstance(value, datetime) else str(value)

    choices = " or ".join(f'"{word}"' for word in words)
    example = '"2026/Jan/ossec-alerts-31.json:1234"'
    return Reader(f'{choices}, a time such as "2026-01-31T08:00:00Z" or a position such as {example}', parse, show)
