"""Reads the open groups of alerts of an integration, which become digests. It reads only, and needs no script."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Final

import msgspec

from common.connection.errors import as_ledger_errors
from common.json_depth import check_depth
from common.ledger.damage import unless_damaged
from common.ledger.keys import digest_key, groups_key
from common.ledger.record import MAX_TIME_MS, id_text, to_int

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from redis import Redis

MAX_STATE_BYTES: Final = 64 * 1024
"""As `digest_types` says."""

_Number = Annotated[float, msgspec.Meta(ge=0, le=2**53)]  # Lua writes whole numbers as it likes
_TimeMs = Annotated[float, msgspec.Meta(ge=0, le=MAX_TIME_MS)]


class OpenGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Alerts with the same `values`, which are texts by field. Times are in ms since the epoch.

    `number` alerts were folded since the window began, and `given` delivered one by one. `others` is the group of all
    alerts whose groups would have been too many.
    """

    group: str
    values: dict[str, str]
    from_ms: int
    ends_ms: int
    number: int
    given: int
    level: int
    others: bool


class _State(msgspec.Struct, rename={"from_ms": "from"}):
    """What `fold.lua` writes of a group, as far as it is shown."""

    values: str
    number: _Number
    from_ms: _TimeMs = 0
    given: _Number = 0
    level: _Number = 0
    others: bool = False


_decode_state: Final = msgspec.json.Decoder(_State).decode
_decode_values: Final = msgspec.json.Decoder(dict[str, str | int | float | bool | None]).decode


def read_open_groups(client: Redis, integration_id: str, limit: int) -> list[OpenGroup]:
    """Return up to `limit` groups, those that end first at the beginning, without malformed ones.

    Raises LedgerUnavailable or LedgerMisconfigured.
    """
    with as_ledger_errors(), client.pipeline(transaction=False) as pipe:
        pipe.zrange(groups_key(integration_id), 0, limit - 1, withscores=True)
        found: Sequence[tuple[bytes, float]] = unless_damaged(pipe.execute(raise_on_error=False)[0], [])
        if not found:
            return []
        pipe.hmget(digest_key(integration_id), [group for group, _ in found])
        states: Sequence[bytes | None] = unless_damaged(pipe.execute(raise_on_error=False)[0], [None] * len(found))
    return list(_readable(found, states))


def _readable(found: Sequence[tuple[bytes, float]], states: Sequence[bytes | None]) -> Iterator[OpenGroup]:
    for (group, ends_ms), raw in zip(found, states, strict=True):
        if raw is not None:
            with suppress(ValueError, RecursionError):
                yield decode_group(group, ends_ms, raw)


def decode_group(group: bytes, ends_ms: float, raw: bytes) -> OpenGroup:
    """Return a group from its name, the end of its window and its state. Raises ValueError or RecursionError."""
    if len(raw) > MAX_STATE_BYTES:
        raise ValueError("its state is too long")
    check_depth(raw)
    state = _decode_state(raw)
    return OpenGroup(
        group=id_text(group),
        values={name: "" if one is None else str(one) for name, one in _decode_values(state.values).items()},
        from_ms=int(state.from_ms),
        ends_ms=max(0, to_int(ends_ms)),
        number=int(state.number),
        given=int(state.given),
        level=int(state.level),
        others=state.others,
    )
