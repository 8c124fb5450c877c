"""A text that must not be seen: its `str`, `repr` and format are masked, so that no log line can leak it."""

from __future__ import annotations

from typing import Final

MASK: Final = "********"


class Secret:
    """Wraps one secret; only `reveal` shows it. Compares by value, hashes, and is never empty of meaning."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the text itself: for the wire or the script that needs it, and nothing else."""
        return self._value

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __repr__(self) -> str:
        return f"Secret({MASK!r})"

    def __str__(self) -> str:
        return MASK
