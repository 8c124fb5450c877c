"""An error in the settings that costs a part of them."""

from __future__ import annotations

from typing import NamedTuple


class RefusedTable(NamedTuple):
    """An error in a table of an integration, or of a pattern; `table` is empty for one in another `section`.

    It costs the integrations that the table is about, or its own condition or silence, and nothing else.
    """

    table: str
    origin: str
    problem: str
    section: str = ""

    def __str__(self) -> str:
        return f"{self.origin}: {self.problem}"
