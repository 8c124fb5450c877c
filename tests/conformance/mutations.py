"""Mutates every expected value of a recorded case: the comparison must notice each mutation.

Of `config`, the wording of errors and warnings is not compared, as its README says: which files fail is.
"""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conformance.case import Case


def mutations(family: str, case: Case) -> Iterator[tuple[str, Case]]:
    """Yield a description of each mutation, and the mutated case."""
    for path in _BY_FAMILY[family](case):
        mutated = deepcopy(case)
        *way, last = path
        place: Any = mutated
        for step in way:
            place = place[step]
        if last == REMOVE:
            place.pop()
        elif last == ADD:
            place.append(deepcopy(place[-1]) if place else _first(family, way[-1]))
        else:
            place[last] = changed(place[last])
        yield "/".join(map(str, path)), mutated


REMOVE, ADD = "(last removed)", "(one more)"


def changed(value: Any) -> Any:
    """Return another value of the same kind."""
    swapped = _SWAPPED.get(value) if isinstance(value, str) else None
    if swapped:
        return swapped
    kinds: dict[type, Any] = {
        bool: lambda: not value,
        str: lambda: f"{value[:-1]}{'y' if value.endswith('x') else 'x'}",
        list: lambda: [*value, "x"],
        dict: lambda: {**value, "changed": 1},
        type(None): lambda: "x",
    }
    return kinds.get(type(value), lambda: value + 1)()


_SWAPPED = {"match": "nomatch", "nomatch": "match", "invalid": "match", "ok": "crash", "crash": "ok", "none": "ok"}
_SWAPPED |= {"error": "none", "enabled": "not supported"}


def _first(family: str, name: Any) -> Any:
    return {
        ("config", "integrations"): {"name": "custom-a", "rule_id": None},
        ("filters", "fired"): {"block": 0, "name": "custom-a"},
        ("alert_text", "files"): {"content": "{}\n"},
        ("deliveries", "requests"): {"method": "GET", "url": "http://x/", "headers": {}},
        ("deliveries", "datagrams"): {"prefix": "1:virustotal:", "json": {}, "length": 15},
    }.get((family, name), "x")


def _sregex(_case: Case) -> Iterator[tuple[Any, ...]]:
    yield ("result",)


def _config(case: Case) -> Iterator[tuple[Any, ...]]:
    if case["outcome"] not in {"error", "crash"}:
        yield from _listed(case, "integrations")
        yield from (("integrations", at, key) for at, block in enumerate(case["integrations"]) for key in block)


def _filters(case: Case) -> Iterator[tuple[Any, ...]]:
    yield ("accepted",)
    yield ("outcome",)
    yield from _listed(case, "fired")
    for at, fired in enumerate(case["fired"]):
        yield from (("fired", at, key) for key in fired if key != "argv")
        yield from (("fired", at, "argv", position) for position in range(len(fired.get("argv", ()))))


def _alert_text(case: Case) -> Iterator[tuple[Any, ...]]:
    yield ("outcome",)
    yield from _listed(case, "files")
    yield from (("files", at, "content") for at, file in enumerate(case["files"]) if "content" in file)


def _deliveries(case: Case) -> Iterator[tuple[Any, ...]]:
    yield ("exit",)
    yield from _listed(case, "datagrams")
    yield from (("datagrams", at, key) for at in range(len(case["datagrams"])) for key in ("prefix", "json"))
    yield from _listed(case, "requests")
    for at, request in enumerate(case["requests"]):
        yield from (("requests", at, key) for key in ("method", "url", "json", "body") if key in request)
        yield from (("requests", at, "headers", name) for name in request.get("headers", ()))


def _tail(case: Case) -> Iterator[tuple[Any, ...]]:
    yield from _listed(case, "delivered")
    yield from (("delivered", at) for at in range(len(case["delivered"])))
    yield from (("delivered_after_settle", at) for at in range(len(case["delivered_after_settle"])))


def _listed(case: Case, name: str) -> Iterator[tuple[Any, ...]]:
    yield (name, ADD)
    if case[name]:
        yield (name, REMOVE)


_BY_FAMILY: dict[str, Callable[[Case], Iterator[tuple[Any, ...]]]] = {
    "sregex": _sregex,
    "config": _config,
    "filters": _filters,
    "alert_text": _alert_text,
    "deliveries": _deliveries,
    "tail": _tail,
}
