"""The stable identity of an integration, made from its block in ossec.conf.

An id names a cursor and a backlog, so it must not move when blocks are reordered or filters are edited. It is the
block's name; where several blocks share a name, the name and six hex digits that tell their credentials apart; where
these are equal too, digits over all settings; and blocks that are wholly the same are numbered. Whoever wants an id
that nothing moves writes it himself: `<integration id="soc">`, an attribute that the stock daemon ignores.
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
    """What one block's id is made of. `settings` are its elements and their texts, without the order of elements."""

    settings: tuple[tuple[str, tuple[str, ...]], ...]
    explicit_id: str | None = None

    @classmethod
    def of(cls, pairs: Iterable[tuple[str, str]], explicit_id: str | None) -> IdSource:
        """Make a claim from the pairs of element and text in the block, and its own `id` if it has one."""
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
        """The block's name as an id may have it, empty if it has none."""
        return re.sub(r"[^A-Za-z0-9_.-]", "_", self.name)[:_LONGEST_NAME]

    def by_credentials(self) -> str:
        """Return the slug and a suffix that only another service or account changes."""
        texts = dict(self.settings)
        return f"{self.slug}-{_digest([texts.get(name, ('',))[-1] for name in _CREDENTIALS])}"

    def by_settings(self) -> str:
        """Return the slug and a suffix that any other text in the block changes."""
        return f"{self.slug}-{_digest(self.settings)}"


def check_id(text: str) -> None:
    """Raise ValueError, saying what to write, unless a block may have this id."""
    if not re.fullmatch(rf"[A-Za-z0-9][A-Za-z0-9_.-]{{0,{MAX_ID_CHARACTERS - 1}}}", text):
        letters = "letters, digits, _, . and -, the first a letter or digit"
        raise ValueError(f"is no id: write 1 to {MAX_ID_CHARACTERS} {letters}")
    if text in RESERVED:
        raise ValueError("is reserved: write another id")


def assign_ids(sources: Sequence[IdSource]) -> list[str | None]:
    """Return the id of each block, all different; None for one whose own `id` an earlier block has."""
    ids: list[str | None] = [None] * len(sources)
    taken: set[str] = set()
    for at, claim in enumerate(sources):
        if claim.explicit_id is not None and claim.explicit_id not in taken:
            ids[at] = claim.explicit_id
            taken.add(claim.explicit_id)
    unnamed = [at for at, claim in enumerate(sources) if claim.explicit_id is None]
    for at, name in zip(unnamed, _derived([sources[at] for at in unnamed], taken), strict=True):
        ids[at] = name
    return ids


def _derived(sources: Sequence[IdSource], taken: set[str]) -> list[str]:
    """Return the shortest name of each that no other has."""
    names = [claim.slug for claim in sources]
    for longer in (IdSource.by_credentials, IdSource.by_settings):
        often = Counter(names)
        shared = [often[name] > 1 or name in taken or name in RESERVED for name in names]
        names = [longer(claim) if more else name for claim, name, more in zip(sources, names, shared, strict=True)]
    return _numbered(names, taken)


def _numbered(names: Sequence[str], taken: set[str]) -> list[str]:
    """Return the names, with a number at each that an earlier one or an explicit id has already."""
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
