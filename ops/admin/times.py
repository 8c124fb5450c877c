"""Reads points in time as operators write them, in commands and in the console."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from common.settings.units import parse_duration

if TYPE_CHECKING:
    from datetime import tzinfo

TIMES: Final = "2026-01-31T08:00:00, 2026-01-31T08:00:00Z, now, or an age: 30s, 5m, 2h, 3d"


def parse_time(text: str, now: datetime, *, zone: tzinfo | None = None) -> datetime:
    """Return a point in time: ISO 8601, an age such as `2h` (two hours before `now`), or `now`.

    A time without a zone is in `zone`, by default in local time. Raises ValueError.
    """
    if text == "now":
        return now
    if text[-1:].isalpha() and text[-1:] not in "zZ":
        age_s = parse_duration(text)
        try:
            return now - timedelta(seconds=age_s)
        except OverflowError:
            raise ValueError("it is too long ago") from None
    moment = datetime.fromisoformat(text)
    try:
        return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone()
    except (OverflowError, OSError):
        raise ValueError("it is out of range") from None
