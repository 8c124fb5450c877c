"""The line of every key in a TOML file: the standard parser does not tell it, and an operator wants to know.

It looks at one line at a time. A line inside a text of several lines could pass for a key: then the number is off,
but never the value, which is not read here.
"""

from __future__ import annotations

import tomllib


def line_numbers(text: str) -> dict[tuple[str, ...], int]:
    """Return where each key, and each table that leads to it, is first written; lines count from 1."""
    lines: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), start=1):
        if line.lstrip().startswith("["):
            table = found = path_of(line)
        else:
            key, equals, _ = line.partition("=")
            found = (*table, *path_of(f"{key} = 0")) if equals else ()
        for depth in range(1, len(found) + 1):
            lines.setdefault(found[:depth], number)
    return lines


def path_of(fragment: str) -> tuple[str, ...]:
    """Return the names that lead into a one-line document, none if it is no TOML."""
    try:
        document = tomllib.loads(fragment)
    except ValueError:
        return ()
    names = []
    while isinstance(document, dict) and document:
        (name,) = document
        names.append(name)
        document = document[name]
    return tuple(names)
