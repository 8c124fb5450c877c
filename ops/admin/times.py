"""Points in time as operators write them, in commands and in the console, and as lines of the alert log have them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from common.settings.units import parse_duration
from common.timestamps import written_at_s

if TYPE_CHECKING:
    from datetime import tzinfo

    from producer.source import Batch

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


def last_written_s(batch: Batch) -> float | None:
    """Return when the last line with a timestamp was written, in seconds since the epoch; None if no line has one."""
    return next(filter(None, (written_at_s(line.raw) for line in reversed(batch.lines))), None)
