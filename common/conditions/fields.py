"""Finds the values of a field in a decoded alert, within limits that no alert can exceed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

Path = tuple[str, ...]
"""The keys that lead to a field: `("agent", "name")`."""

MAX_ELEMENTS: Final = 1_000
"""Array elements that are looked at for one field."""

MAX_CHARS: Final = 65_536
"""Characters of texts that are looked at for one field. The stock Integrator drops lines over 64 KiB."""

_END: Final = object()


def values_at(alert: dict[str, Any], path: Path) -> list[Any]:
    """Return the values at `path`: texts, numbers, booleans and objects, in the order of the alert.

    Arrays are flattened; null is no value. Looks at no more than MAX_ELEMENTS and MAX_CHARS, and cuts the last text.
    """
    found: list[Any] = []
    room = MAX_CHARS
    for value in _reached(alert, path):
        if not isinstance(value, str):
            found.append(value)
            continue
        found.append(value[:room])
        room -= len(value)
        if room <= 0:
            break
    return found


def _reached(alert: dict[str, Any], path: Path) -> Iterator[Any]:
    """Yield the values at `path`. A stack of iterators replaces recursion, since arrays may be nested deeply."""
    open_arrays: list[tuple[Iterator[Any], int]] = [(iter((alert,)), 0)]
    looked_at = 0
    while open_arrays and looked_at <= MAX_ELEMENTS:
        elements, depth = open_arrays[-1]
        value = next(elements, _END)
        if value is _END:
            open_arrays.pop()
            continue
        looked_at += 1
        while depth < len(path) and isinstance(value, dict):
            value = value.get(path[depth])
            depth += 1
        if isinstance(value, list):
            open_arrays.append((iter(value), depth))
        elif depth == len(path) and value is not None:
            yield value
