"""One thing that `courier check` found."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Severity(StrEnum):
    """How bad it is. Only an error makes the check fail."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class Finding(NamedTuple):
    """What was found. `where` is a place in a file or a path, empty if the text says it."""

    severity: Severity
    text: str
    where: str = ""

    def __str__(self) -> str:
        return f"{self.severity}: {self.where + ': ' if self.where else ''}{self.text}"


def error(text: str, where: str = "") -> Finding:
    """Return an error."""
    return Finding(Severity.ERROR, text, where)


def warning(text: str, where: str = "") -> Finding:
    """Return a warning."""
    return Finding(Severity.WARNING, text, where)
