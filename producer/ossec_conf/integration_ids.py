"""The stable id of an integration, made from its block in ossec.conf.

An id names a cursor and a backlog, so it must not change when blocks are reordered or filters are edited. It is the
block's name. If several blocks share a name, six hex digits of a digest of their credentials follow; if the
credentials are equal too, the digest covers all settings; identical blocks are numbered. For an id that never changes,
set it explicitly: `<integration id="soc">`, an attribute that the stock daemon ignores.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from hashlib import sha256
from typing import TYPE_CHECKING, Final, NamedTuple

from common.integration import MANAGER_ID

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MAX_ID_CHARACTERS: Final = 64

RESERVED: Final = frozenset({MANAGER_ID, "default", "version"})
"""The built-in integration, the settings' table for all integrations, and a field of the registry."""

_SUFFIX_DIGITS: Final = 6
_LONGEST_NAME: Final = MAX_ID_CHARACTERS - len("-123456-9999")
_CREDENTIALS: Final = ("hook_url", "api_key")


class IdSource(NamedTuple):
    """The input for one block's id. `settings` holds its elements and their texts, independent of their order."""

    settings: tuple[tuple[str, tuple[str, ...]], ...]
    explicit_id: str | None = None

    @classmethod
    def of(cls, pairs: Iterable[tuple[str, str]], explicit_id: str | None) -> IdSource:
        """Make one from the pairs of element and text in the block, and its `id` attribute if it has one."""
        texts: dict[str, tuple[str, ...]] = {}
        for name, text in pairs:
            texts[name] = (*texts.get(name, ()), text)
        return cls(tuple(sorted(texts.items())), explicit_id)

    @property
    def name(self) -> str:
        """The block's name as written, empty if it has none."""
        return dict(self.settings).get("name", ("",))[-1]

    @property
    def slug(self) -> str:
        """The block's name with only characters that an id can have; empty if it has no name."""
        return re.sub(r"[^A-Za-z0-9_.-]", "_", self.name)[:_LONGEST_NAME]

    def by_credentials(self) -> str:
        """Return the slug and a digest of the credentials."""
        texts = dict(self.settings)
        return f"{self.slug}-{_digest([texts.get(name, ('',))[-1] for name in _CREDENTIALS])}"

    def by_settings(self) -> str:
        """Return the slug and a digest of all settings."""
        return f"{self.slug}-{_digest(self.settings)}"


def check_id(text: str) -> None:
    """Raise ValueError, saying what to write, unless a block may have this id."""
    if not re.fullmatch(rf"[A-Za-z0-9][A-Za-z0-9_.-]{{0,{MAX_ID_CHARACTERS - 1}}}", text):
        letters = "letters, digits, _, . and -, the first a letter or digit"
        raise ValueError(f"is not an id: write 1 to {MAX_ID_CHARACTERS} {letters}")
    if text in RESERVED:
        raise ValueError("is reserved: write another id")


def assign_ids(sources: Sequence[IdSource]) -> list[str | None]:
    """Return the id of each block, all different; None for one whose own `id` an earlier block has."""
    ids: list[str | None] = [None] * len(sources)
    taken: set[str] = set()
    for at, source in enumerate(sources):
        if source.explicit_id is not None and source.explicit_id not in taken:
            ids[at] = source.explicit_id
            taken.add(source.explicit_id)
    unnamed = [at for at, source in enumerate(sources) if source.explicit_id is None]
    for at, name in zip(unnamed, _derived([sources[at] for at in unnamed], taken), strict=True):
        ids[at] = name
    return ids


def _derived(sources: Sequence[IdSource], taken: set[str]) -> list[str]:
    """Return for each block the shortest of its names that no other block has."""
    names = [source.slug for source in sources]
    for longer in (IdSource.by_credentials, IdSource.by_settings):
        often = Counter(names)
        shared = [often[name] > 1 or name in taken or name in RESERVED for name in names]
        names = [longer(source) if more else name for source, name, more in zip(sources, names, shared, strict=True)]
    return _numbered(names, taken)


def _numbered(names: Sequence[str], taken: set[str]) -> list[str]:
    """Return the names, with a number appended to each that an earlier block or an explicit id already has."""
    used, seen = {*taken, *names}, Counter(taken)
    result = []
    for name in names:
        seen[name] += 1
        unique = name
        while seen[name] > 1 and (unique := f"{name}-{seen[name]}") in used:
            seen[name] += 1
        used.add(unique)
        result.append(unique)
    return result


def _digest(value: object) -> str:
    return sha256(json.dumps(value).encode()).hexdigest()[:_SUFFIX_DIGITS]
