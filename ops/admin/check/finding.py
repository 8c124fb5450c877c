"""One thing that `courier check` found."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Severity(StrEnum):
    """The severity. Only an error makes the check fail."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class Finding(NamedTuple):
    """One finding. `where` is FILE:LINE or a path; empty if the text contains it."""

    severity: Severity
    text: str
    where: str = ""

    def __str__(self) -> str:
        return f"{self.severity}: {self.where + ': ' if self.where else ''}{self.text}"


def error(text: str, where: str = "") -> Finding:
    """Return a finding that makes the check fail."""
    return Finding(Severity.ERROR, text, where)


def warning(text: str, where: str = "") -> Finding:
    """Return a finding that does not make the check fail."""
    return Finding(Severity.WARNING, text, where)


def note(text: str, where: str = "") -> Finding:
    """Return a finding that is a suggestion."""
    return Finding(Severity.NOTE, text, where)
