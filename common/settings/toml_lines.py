"""Finds the line number of each key in a TOML file, for error messages: the standard parser does not provide it.

It parses one line at a time. A line inside a multi-line text can look like a key: then a line number can be wrong, but
never a value, because values are not read here.
"""

from __future__ import annotations

import tomllib
from collections import Counter


def line_numbers(text: str) -> dict[tuple[str, ...], int]:
    """Return the first line of each key and of each table above it; lines count from 1.

    The tables of an array, `[[name]]`, have their number behind the name, from 1.
    """
    lines: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()
    numbers = Counter[tuple[str, ...]]()
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), start=1):
        if line.lstrip().startswith("["):
            table = found = path_of(line)
            if found and line.lstrip().startswith("[["):
                numbers[found] += 1
                table = found = (*found, str(numbers[found]))
        else:
            key, equals, _ = line.partition("=")
            found = (*table, *path_of(f"{key} = 0")) if equals else ()
        for depth in range(1, len(found) + 1):
            lines.setdefault(found[:depth], number)
    return lines


def path_of(fragment: str) -> tuple[str, ...]:
    """Return the path of the key in a one-line document, empty if the line is not TOML."""
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
