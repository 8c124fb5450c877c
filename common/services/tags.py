"""Readers of the tags and labels that an operator adds to what a service keeps, and of the ids of its lists."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from common.settings.definition import texts
from common.settings.values import Reader, integer, quoted

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from common.settings.values import Displayed

MAX_TAGS: Final = 50
"""Tags that an operator can add: more than anybody reads."""

MAX_ID: Final = 2**31 - 1
"""The highest id of a row in a database of these services."""


def tag_list(longest: int, separator: str = "") -> Reader[tuple[str, ...]]:
    """Read a list of tags of at most `longest` characters, none of which contains `separator`."""
    several = texts()

    def parse(raw: object) -> tuple[str, ...]:
        found = several.parse(raw)
        if len(found) > MAX_TAGS:
            raise ValueError(f"there are {len(found)} of them, and at most {MAX_TAGS} are allowed")
        for one in found:
            if len(one) > longest or (separator and separator in one):
                without = f" or has {quoted(separator)} in it" if separator else ""
                raise ValueError(f"{quoted(one)} has more than {longest} characters{without}")
        return found

    return Reader("a list of texts", parse, list)


def label_list(longest: int) -> Reader[tuple[str, ...]]:
    """Read a list of labels: tags without blanks."""
    plain = tag_list(longest)

    def parse(raw: object) -> tuple[str, ...]:
        found = plain.parse(raw)
        for one in found:
            if len(one.split()) != 1 or one != one.strip():
                raise ValueError(f"{quoted(one)} contains a blank, which a label cannot")
        return found

    return Reader("a list of texts without blanks", parse, list)


def id_table(names: Collection[str]) -> Reader[Mapping[str, int]]:
    """Read a table of ids by name; each name is one of `names`."""
    one_id = integer(1, MAX_ID)

    def parse(raw: object) -> Mapping[str, int]:
        if not isinstance(raw, dict):
            raise ValueError(f"{quoted(raw)} is not a table")  # noqa: TRY004 — one kind of bad input
        if unknown := [name for name in raw if name not in names]:
            raise ValueError(f"there is no {quoted(unknown[0])}")
        return {name: one_id.parse(value) for name, value in raw.items()}

    def show(table: Mapping[str, int]) -> Displayed:
        return {name: str(number) for name, number in table.items()}

    return Reader(f"a table of whole numbers for {', '.join(names)}", parse, show)
