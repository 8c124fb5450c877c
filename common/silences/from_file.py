"""Publishes the `[[silences]]` of a node's courier.toml, and ends those that were removed from it."""

from __future__ import annotations

from hashlib import sha256
from itertools import count
from typing import TYPE_CHECKING, Final

import msgspec

from common.silences.model import Silence

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_DIGEST_CHARS: Final = 7


class FileSilence(msgspec.Struct, frozen=True, kw_only=True):
    """A silence of courier.toml, whose conditions are valid. Without `start_ms` it starts when it is first published.

    Times are ms since the epoch.
    """

    match: tuple[str, ...]
    integrations: tuple[str, ...]
    start_ms: int | None
    end_ms: int
    why: str
    author: str
    announce: bool

    def _first_id(self, node: str) -> str:
        """Return an id that is the same at each start. It changes with everything except the reason and the author."""
        content = (node, self.match, self.integrations, self.start_ms, self.end_ms, self.announce)
        return f"t{sha256(msgspec.json.encode(content)).hexdigest()[:_DIGEST_CHARS]}"

    def published(self, node: str, stored: Mapping[str, Silence], now_ms: int) -> Silence:
        """Return what to publish, with the id that it has or gets.

        If it was ended early because it was gone from the file, and is back now, it gets another id: what ended has
        ended, and its closing message is queued.
        """
        first = self._first_id(node)
        names = (first if n == 1 else f"{first}-{n}" for n in count(1))
        silence_id = next(name for name in names if name not in stored or stored[name].end_ms == self.end_ms)
        held = stored.get(silence_id)
        started_ms = held.start_ms if held else min(now_ms, self.end_ms)
        return Silence(
            id=silence_id,
            match=self.match,
            integrations=self.integrations,
            start_ms=started_ms if self.start_ms is None else self.start_ms,
            end_ms=self.end_ms,
            why=self.why,
            author=self.author,
            announce=self.announce,
            node=node,
        )


def file_changes(
    wanted: Iterable[FileSilence], stored: Mapping[str, Silence], node: str, now_ms: int, *, all_known: bool
) -> list[Silence]:
    """Return the silences to write to Redis, so that those of `node` are as its file says.

    With `all_known` false, a part of the file could not be read: no silence is ended because it is missing.
    """
    published = {one.id: one for one in (silence.published(node, stored, now_ms) for silence in wanted)}
    changed = [one for one in published.values() if one != stored.get(one.id) and one.end_ms > now_ms]
    gone = [one for one in stored.values() if one.node == node and one.id not in published and one.end_ms > now_ms]
    return changed + [one.ended(now_ms) for one in gone if all_known]
