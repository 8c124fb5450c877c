"""The silences in Redis, and what they kept back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from common.connection.errors import as_ledger_errors
from common.ledger.damage import unless_damaged
from common.ledger.keys import silenced_key
from common.ledger.record import to_int
from common.silences.model import Silence, decode_silence

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from redis import Redis

KEY: Final = "courier:silences"

MAX_SILENCES: Final = 1_000
"""Silences that are read. Of more, those that end last are read, so that ended ones keep no new one out."""

_RULE: Final = "rule:"


class Stored(NamedTuple):
    """What the hash holds: the silences by id, why each malformed entry is refused, and those above MAX_SILENCES."""

    silences: dict[str, Silence]
    refused: dict[str, str]
    surplus: tuple[Silence, ...] = ()


class SilenceCounts(NamedTuple):
    """What a silence kept from one integration; times in ms since the epoch. `rules` is by rule id, the most first.

    `closed_ms` is when the closing message was queued, 0 if it was not.
    """

    number: int
    first_ms: int
    last_ms: int
    closed_ms: int
    rules: dict[str, int]


def fetch_silences(client: Redis) -> dict[bytes, bytes]:
    """Return the hash as it is, empty if another client wrote the key.

    Raises LedgerUnavailable and LedgerMisconfigured, as all functions here do.
    """
    with as_ledger_errors(), client.pipeline(transaction=False) as pipe:
        pipe.hgetall(KEY)
        found: dict[bytes, bytes] = unless_damaged(pipe.execute(raise_on_error=False)[0], {})
    return found


def read_silences(fields: Mapping[bytes, bytes]) -> Stored:
    """Read the content of the hash."""
    found: list[Silence] = []
    refused: dict[str, str] = {}
    for field, value in fields.items():
        silence_id = field.decode("utf-8", "replace")
        try:
            found.append(decode_silence(silence_id, value))
        except ValueError as error:
            refused[silence_id] = str(error)
    if len(found) > MAX_SILENCES:
        found.sort(key=lambda one: (-one.end_ms, one.id))
    return Stored({one.id: one for one in found[:MAX_SILENCES]}, refused, tuple(found[MAX_SILENCES:]))


def write_silence(client: Redis, silence: Silence, *, is_new: bool) -> bool:
    """Store a silence. Return whether it was stored: a new one is not if its id is in use."""
    with as_ledger_errors():
        if is_new:
            return bool(client.hsetnx(KEY, silence.id, silence.encode()))
        client.hset(KEY, silence.id, silence.encode())
    return True


def delete_silences(client: Redis, ids: Collection[str]) -> None:
    """Delete silences."""
    with as_ledger_errors():
        client.hdel(KEY, *ids)


def fetch_counts(client: Redis, pairs: Collection[tuple[str, str]]) -> dict[tuple[str, str], SilenceCounts]:
    """Return what silences kept back, for each pair of integration id and silence id with an alert; in one round trip.

    What another client wrote counts as absent.
    """
    with as_ledger_errors(), client.pipeline(transaction=False) as pipe:
        for integration_id, silence_id in pairs:
            pipe.hgetall(silenced_key(integration_id, silence_id))
        replies = pipe.execute(raise_on_error=False) if pairs else []
    found = {pair: _counts(unless_damaged(reply, {})) for pair, reply in zip(pairs, replies, strict=True)}
    return {pair: counts for pair, counts in found.items() if counts.number}


def _counts(fields: Mapping[bytes, Any]) -> SilenceCounts:
    texts = {name.decode("utf-8", "replace"): value for name, value in fields.items()}
    rules = {name.removeprefix(_RULE): to_int(value) for name, value in texts.items() if name.startswith(_RULE)}
    return SilenceCounts(
        to_int(texts.get("number")),
        to_int(texts.get("first_ms")),
        to_int(texts.get("last_ms")),
        to_int(texts.get("closed")),
        dict(sorted(rules.items(), key=lambda one: (-one[1], one[0]))),
    )
