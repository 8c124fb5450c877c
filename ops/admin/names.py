"""Resolve what an operator typed, an id or a name, to integrations. Several blocks can have the same name.

All commands use one rule: a word selects all configured blocks with that id or name. It selects an integration that was
removed from ossec.conf only if no configured one has its name, or with `--removed`.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, NamedTuple

from common.errors import CourierError
from common.registry.entries import CatalogueEntry

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from common.integration import Integration
    from producer.ossec_conf import Configuration

REMOVED = "(removed)"
"""Shown after the id of an integration that was removed from every ossec.conf."""


class Resolved(NamedTuple):
    """The selected ids, and the removed ones that match but were skipped in favour of configured ones."""

    ids: tuple[str, ...]
    skipped: tuple[str, ...] = ()


def resolve(listed: Mapping[str, CatalogueEntry], words: Sequence[str], *, removed: bool = False) -> Resolved:
    """Return the ids that `words` select, each once; with `removed`, only removed ones.

    Raises CourierError for an unknown word, or for a removed id whose name a configured integration has.
    """
    ids: dict[str, None] = {}
    skipped: dict[str, None] = {}
    for word in words:
        live, gone = _split(listed, matching(listed, [word]))
        if removed:
            if not gone:
                raise CourierError(f"{word!r} was not removed from ossec.conf: {_and(live)}; omit --removed")
            ids |= dict.fromkeys(gone)
            continue
        if not live:
            _refuse_successors(listed, word, gone)
        ids |= dict.fromkeys(live or gone)
        skipped |= dict.fromkeys(gone if live else ())
    return Resolved(tuple(ids), tuple(skipped))


def matching(listed: Mapping[str, CatalogueEntry], words: Iterable[str]) -> tuple[str, ...]:
    """Return all ids that `words` select, including removed ones. Raises CourierError for an unknown word."""
    found: dict[str, None] = {}
    for word in words:
        found_here = [one for one, what in listed.items() if word in {one, what.name}]
        if not found_here:
            raise unknown(word, listed)
        found |= dict.fromkeys(found_here)
    return tuple(found)


def in_configuration(configuration: Configuration, words: Sequence[str], *, file: Path) -> list[Integration]:
    """Return the integrations of an ossec.conf that `words` select, all if there are no words. Raises CourierError."""
    by_id = {one.id: one for one in configuration.integrations}
    listed = {one.id: CatalogueEntry(one.name, ("here",)) for one in by_id.values()}
    refused = "; some integrations are refused, see `courier check`" if configuration.refused else ""
    for word in words:
        if not any(word in {one.id, one.name} for one in by_id.values()):
            errors = [str(error) for one in configuration.refused_blocks if one.name == word for error in one.errors]
            if errors:
                raise CourierError(f"the integration {word!r} is refused: {'; '.join(errors)}")
            raise CourierError(f"{unknown(word, listed, f' in {file}')}{refused}")
    return [by_id[one] for one in (matching(listed, words) if words else by_id)]


def label(integration_id: str, what: CatalogueEntry | None) -> str:
    """Return the id, with REMOVED after it if it was removed from ossec.conf."""
    return f"{integration_id} {REMOVED}" if what and what.removed else integration_id


def unknown(word: str, listed: Mapping[str, CatalogueEntry], where: str = "") -> CourierError:
    """Return the error for an unknown word, with a suggestion; `where` is text such as ` in ossec.conf`."""
    known = ", ".join(label(one, what) for one, what in listed.items()) or "none"
    names = {*listed, *(what.name for what in listed.values())}
    close = [name for name in sorted(names) if name.casefold() == word.casefold()]
    close = close or get_close_matches(word, sorted(names), n=1)
    return CourierError(
        f"unknown integration {word!r}{where}; known integrations: {known}"
        + (f"; did you mean {close[0]!r}?" if close else "")
    )


def _split(listed: Mapping[str, CatalogueEntry], ids: Iterable[str]) -> tuple[list[str], list[str]]:
    live, gone = list[str](), list[str]()
    for one in ids:
        (gone if listed[one].removed else live).append(one)
    return live, gone


def _refuse_successors(listed: Mapping[str, CatalogueEntry], word: str, gone: Sequence[str]) -> None:
    names = {listed[one].name for one in gone}
    successors = [one for one, what in listed.items() if what.name in names and not what.removed]
    if successors:
        raise CourierError(
            f"{word!r} was removed from ossec.conf; its name is now used by {_and(successors)}: "
            "use that, or add --removed"
        )


def _and(ids: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(ids[:-1]), ids[-1])))
