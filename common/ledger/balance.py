"""Checks that the numbers of an integration add up: no alert and no delivery is missing, and none is there twice.

read = not_matched + excepted + silenced + enqueued + already_queued + folded
folded = digested + below_min + in_groups
committed + imported = delivered + skipped + discarded + expired + moved + waiting + released + dead

All names are counters in the totals, but for `in_groups`, the number of alerts in open groups, and for waiting,
released and dead, the numbers of deliveries in these states. The package's docstring says which script adds to which
counter. They hold at any moment, because each script changes both sides in one step and `read_statuses` reads them in
one transaction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from common.ledger.types import Status

READ_AS: Final = ("not_matched", "excepted", "silenced", "enqueued", "already_queued", "folded")
"""What can become of an alert that is read for an integration."""

FOLDED_AS: Final = ("digested", "below_min")
"""What becomes of an alert that is folded into a group, once the group closes."""

ADDED: Final = ("committed", "imported")
"""How deliveries get into the ledger of an integration."""

ENDED: Final = ("delivered", "skipped", "discarded", "expired", "moved")
"""How they leave it. A dead letter has not left it until an operator or `retain` deletes it."""


class Unaccounted(msgspec.Struct, frozen=True):
    """The left side of each equation less its right side: 0 if the numbers add up. `alerts` has the first two.

    More than 0: that number is missing. Less than 0: that number is counted twice, or the left side has been reset.
    """

    alerts: int
    deliveries: int


def unaccounted(status: Status) -> Unaccounted | None:
    """Return what the numbers do not account for; None while a key is damaged, because its numbers are then unknown."""
    if status.damaged:
        return None
    in_no_group = status.totals.get("folded", 0) - _sum(status.totals, FOLDED_AS) - status.in_groups
    kept = status.waiting + status.released + status.dead
    return Unaccounted(
        alerts=status.totals.get("read", 0) - _sum(status.totals, READ_AS) + in_no_group,
        deliveries=_sum(status.totals, ADDED) - _sum(status.totals, ENDED) - kept,
    )


def _sum(totals: Mapping[str, int], names: tuple[str, ...]) -> int:
    return sum(totals.get(name, 0) for name in names)
