"""A text that must not be shown: `str`, `repr` and formatting return a mask, so that no log line can leak it."""

from __future__ import annotations

from typing import Final

MASK: Final = "********"


class Secret:
    """Holds one secret; only `reveal` returns it. Compares and hashes by value; an empty one is false."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the text. Use it only to pass the secret to the service or script that needs it."""
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
