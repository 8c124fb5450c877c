"""The end of something that lasts for a time: a silence, a pause, or the hold of a window."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from common.ledger import Ledger


def end_ms(start_ms: int, for_s: float | None, until: datetime | None) -> int:
    """Return the end in ms since the epoch, from a duration in seconds or a time with its zone.

    Raises ValueError unless exactly one is given, and if the end is not after the start.
    """
    if (for_s is None) == (until is None):
        raise ValueError("give the end: either for how long, or until when")
    ends_ms = round(until.timestamp() * 1000) if until else start_ms + round(1000 * (for_s or 0))
    if ends_ms <= start_ms:
        raise ValueError("the end must be after the start")
    return ends_ms


def held_with_groups(
    ledger: Ledger, integration_id: str, held: Mapping[int, int], *, open_groups: int
) -> dict[int, int]:
    """Return how many deliveries are held until when (ms), with those that open groups of held alerts become.

    `held` and `open_groups` are of the integration's status. Raises LedgerUnavailable, LedgerMisconfigured or
    LedgerDamaged.
    """
    groups = ledger.held_groups(integration_id) if open_groups else {}
    return dict(sorted((Counter(held) + Counter(groups)).items()))


def release_held(ledger: Ledger, integration_id: str) -> int:
    """Release all held deliveries, some at a time, because a script blocks Redis while it runs. Return how many.

    Raises LedgerUnavailable, LedgerMisconfigured or LedgerDamaged.
    """
    released = 0
    while changed := ledger.let_go(integration_id):
        released += changed
    return released
