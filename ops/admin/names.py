"""Which integrations a word means that an operator wrote: an id, or a name that several blocks may have.

One rule for every command: a word means all configured blocks with that id or name. One that left the configuration is
meant only where no configured one has its name, or where it is asked for.
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
"""Stands behind the id of an integration that left every ossec.conf."""


class Resolved(NamedTuple):
    """The ids that are meant, and those that left the configuration and are left alone though they match."""

    ids: tuple[str, ...]
    left_alone: tuple[str, ...] = ()


def resolve(listed: Mapping[str, CatalogueEntry], words: Sequence[str], *, removed: bool = False) -> Resolved:
    """Return whom `words` mean, each id once; with `removed` only such as left the configuration.

    Raises CourierError for a word that means nobody, or only a removed one whose name a configured one has.
    """
    ids: dict[str, None] = {}
    left_alone: dict[str, None] = {}
    for word in words:
        live, gone = _split(listed, matching(listed, [word]))
        if removed:
            if not gone:
                raise CourierError(f"{word!r} did not leave the configuration: {_and(live)}; leave --removed out")
            ids |= dict.fromkeys(gone)
            continue
        if not live:
            _refuse_successors(listed, word, gone)
        ids |= dict.fromkeys(live or gone)
        left_alone |= dict.fromkeys(gone if live else ())
    return Resolved(tuple(ids), tuple(left_alone))


def matching(listed: Mapping[str, CatalogueEntry], words: Iterable[str]) -> tuple[str, ...]:
    """Return all with one of these ids or names, removed ones included. Raises CourierError for a word of nobody."""
    found: dict[str, None] = {}
    for word in words:
        here = [one for one, what in listed.items() if word in {one, what.name}]
        if not here:
            raise unknown(word, listed)
        found |= dict.fromkeys(here)
    return tuple(found)


def in_configuration(configuration: Configuration, words: Sequence[str], *, file: Path) -> list[Integration]:
    """Return those of an ossec.conf that `words` mean, all if there are none. Raises CourierError."""
    by_id = {one.id: one for one in configuration.integrations}
    listed = {one.id: CatalogueEntry(one.name, ("here",)) for one in by_id.values()}
    refused = "; some are refused, see `courier check`" if configuration.refused else ""
    for word in words:
        if not any(word in {one.id, one.name} for one in by_id.values()):
            raise CourierError(f"{unknown(word, listed, f' in {file}')}{refused}")
    return [by_id[one] for one in (matching(listed, words) if words else by_id)]


def label(integration_id: str, what: CatalogueEntry | None) -> str:
    """Return the id, marked if it left the configuration."""
    return f"{integration_id} {REMOVED}" if what and what.removed else integration_id


def unknown(word: str, listed: Mapping[str, CatalogueEntry], where: str = "") -> CourierError:
    """Return the error for a word of nobody, with a suggestion; `where` is text such as ` in ossec.conf`."""
    there = ", ".join(label(one, what) for one, what in listed.items()) or "none"
    names = {*listed, *(what.name for what in listed.values())}
    close = get_close_matches(word, sorted(names), n=1)
    return CourierError(
        f"there is no integration {word!r}{where}; there are: {there}"
        + (f"; did you mean {close[0]!r}?" if close else "")
    )


def _split(listed: Mapping[str, CatalogueEntry], ids: Iterable[str]) -> tuple[list[str], list[str]]:
    live, gone = list[str](), list[str]()
    for one in ids:
        (gone if listed[one].removed else live).append(one)
    return live, gone


def _refuse_successors(listed: Mapping[str, CatalogueEntry], word: str, gone: Sequence[str]) -> None:
    names = {listed[one].name for one in gone}
    heirs = [one for one, what in listed.items() if what.name in names and not what.removed]
    if heirs:
        raise CourierError(
            f"{word!r} left the configuration; {_and(heirs)} {'has' if len(heirs) == 1 else 'have'} its name now: "
            "name that, or add --removed"
        )


def _and(ids: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(ids[:-1]), ids[-1])))
