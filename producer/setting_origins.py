"""Where a value of courier.toml comes from: its table, and the file and line for an error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec  # noqa: TC002 — a NamedTuple keeps the types of its fields

from common.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from common.settings.sources import KeyPath


class TableValue(NamedTuple):
    """The value of one key of a table, and its path."""

    path: KeyPath
    value: Any


class TableSection(NamedTuple):
    """A section, such as `[integrations.ID.message]`, and the table that has it."""

    table: str
    values: msgspec.Struct


def origin_in(origins: Mapping[str, str], table: str, key: str = "") -> str:
    """Return the origin of a key of a table, or of the table's first key if that has none; '' if neither has one.

    `origins` are those of all settings by dotted key, `table` is a dotted name.
    """
    first = next((origin for name, origin in origins.items() if name.startswith(f"{table}.")), "")
    return origins.get(f"{table}.{key}", first)


def config_error(origin: str, problem: str) -> ConfigError:
    """Return the error for a value of this origin."""
    file, line = file_and_line(origin)
    return ConfigError(problem, file=file, line=line)


def file_and_line(origin: str) -> tuple[str, int | None]:
    """Return the file and the line of an origin such as `courier.toml:12`."""
    file, colon, line = origin.rpartition(":")
    return (file, int(line)) if colon and line.isdecimal() else (origin, None)
