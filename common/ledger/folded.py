"""Finds what the ledger holds of a group of alerts, for `courier explain`: its digests and its open window."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import msgspec

from common.digest import window_of
from common.ledger.keys import digest_key, groups_key, keys_of
from common.ledger.locate import Located, locate
from common.ledger.record import id_text, to_int

if TYPE_CHECKING:
    from redis.client import Pipeline

    from common.ledger.calls import Calls


HELD: Final = b":held"
"""In the names of groups of held alerts, as in `let_go.lua`."""


class OpenGroup(msgspec.Struct, frozen=True, rename={"from_ms": "from"}):
    """What an open group has of its window, which began at `from_ms`: `number` folded alerts.

    `oldest` and `newest` are the timestamp and the id of the first and the last of them, None without one. `ends_ms`,
    which is no member of the state, is when the window ends; 0 if the next release closes the group.
    """

    from_ms: int
    number: int
    oldest: tuple[str, str] | None = None
    newest: tuple[str, str] | None = None
    ends_ms: int = 0


class Folded(msgspec.Struct, frozen=True):
    """What the ledger holds of a group: its digests that have not ended, and its open window, None if it has none."""

    digests: tuple[Located, ...]
    window: OpenGroup | None


def find_folded(calls: Calls, integration_id: str, group: str) -> Folded:
    """Return what the ledger holds of a group. Raises LedgerUnavailable, LedgerMisconfigured and LedgerDamaged.

    It reads the ids of all deliveries, which are few where alerts are folded. A state that no script has written counts
    as none.
    """

    def add(pipe: Pipeline) -> None:
        pipe.hkeys(keys_of(integration_id).records)
        pipe.zscore(groups_key(integration_id), group)
        pipe.hget(digest_key(integration_id), group)

    stored, ends, state = calls.ask(integration_id, add)
    ids = [one for one in map(id_text, stored) if (window := window_of(one)) and window.group == group]
    return Folded(
        tuple(locate(calls, {integration_id: ids}).get(integration_id, ())),
        _open_group(state, ends),
    )


def find_held_groups(calls: Calls, integration_id: str) -> dict[int, int]:
    """Return the number of open groups of held alerts by the end of their hold in ms. Raises as `find_folded`."""
    (found,) = calls.ask(
        integration_id, lambda pipe: pipe.zrange(groups_key(integration_id), 1, "+inf", byscore=True, withscores=True)
    )
    return dict(Counter(to_int(ends) for group, ends in found if HELD in group))


def _open_group(state: bytes | None, ends: Any) -> OpenGroup | None:
    if state is None or ends is None:
        return None
    try:
        found = msgspec.json.decode(state, type=OpenGroup)
    except (msgspec.MsgspecError, RecursionError):
        return None
    return msgspec.structs.replace(found, ends_ms=to_int(ends))
