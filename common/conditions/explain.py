"""Says why a condition holds for an alert or not: `agent.name = build-*: saw "web01": no`."""

from __future__ import annotations

from math import isinf
from typing import TYPE_CHECKING, Any, Final

import msgspec

from common.conditions.evaluate import compile_term
from common.conditions.fields import values_at
from common.conditions.model import Comparison, NamedCondition, Operator
from common.conditions.values import address_of, number_of, text_of
from common.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from common.conditions.model import Condition, Exists, Term

_SHOWN_VALUES: Final = 3
_SHOWN_CHARS: Final = 80
"""Of one value, and of one term."""

_NUMBERS: Final = (Operator.LESS, Operator.AT_MOST, Operator.GREATER, Operator.AT_LEAST)


class Step(msgspec.Struct, frozen=True):
    """What one term saw. `inner` explains the strings of a named condition, up to the first that holds.

    The texts are safe to show: hostile characters are escaped and long texts are cut.
    """

    term: str
    saw: str
    holds: bool
    inner: tuple[Explanation, ...] = ()

    def lines(self, indent: str = "") -> Iterator[str]:
        """Yield the line of the term, then those of `inner`."""
        yield f"{indent}{self.term}: {self.saw}: {'yes' if self.holds else 'no'}"
        for explanation in self.inner:
            for step in explanation.steps:
                yield from step.lines(indent + "  ")


class Explanation(msgspec.Struct, frozen=True):
    """What all terms of a condition saw."""

    holds: bool
    steps: tuple[Step, ...]

    @property
    def decided_by(self) -> Step | None:
        """The first term that does not hold; None if all hold."""
        return next((step for step in self.steps if not step.holds), None)

    def __str__(self) -> str:
        return "\n".join(line for step in self.steps for line in step.lines())


def explain_condition(condition: Condition, alert: dict[str, Any]) -> Explanation:
    """Explain the result of a condition for a decoded alert."""
    steps = tuple(_step(term, alert) for term in condition.terms)
    return Explanation(all(step.holds for step in steps), steps)


def _step(term: Term, alert: dict[str, Any]) -> Step:
    text, test = _shortened(printable(str(term))), term.test
    holds = compile_term(term)(alert)
    if not isinstance(test, NamedCondition):
        return Step(text, _saw(test, alert), holds)
    inner = list[Explanation]()
    for condition in test.conditions:
        inner.append(explain_condition(condition, alert))
        if inner[-1].holds:
            return Step(text, f"string {len(inner)} of {len(test.conditions)} holds", holds, tuple(inner))
    return Step(text, f"none of {len(test.conditions)} strings holds", holds, tuple(inner))


def _saw(test: Exists | Comparison, alert: dict[str, Any]) -> str:
    values = values_at(alert, test.path)
    if not values:
        return "saw nothing"
    shown = ", ".join(map(_shown, values[:_SHOWN_VALUES]))
    more = f" and {len(values) - _SHOWN_VALUES} more" if len(values) > _SHOWN_VALUES else ""
    return f"saw {shown}{more}{_unsuitable(test, values)}"


def _unsuitable(test: Exists | Comparison, values: list[Any]) -> str:
    """Say so if no value is of the kind that the operator compares."""
    if not isinstance(test, Comparison):
        return ""
    if test.operator in _NUMBERS:
        return "" if any(number_of(value) is not None for value in values) else ", no number"
    if test.operator is Operator.IN:
        return "" if any(address_of(value) for value in values) else ", no address"
    return ""


def _shown(value: Any) -> str:
    if isinstance(value, float) and isinf(value):  # JSON has no infinity: it was 1e400 or a thousand digits
        return "a number above 1.8e308" if value > 0 else "a number below -1.8e308"
    text = text_of(value)
    if text is None:
        return "an object"
    return f'"{_shortened(printable(text))}"' if isinstance(value, str) else _shortened(text)


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARS else text[: _SHOWN_CHARS - 1] + "…"
