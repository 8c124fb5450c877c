"""Reads what follows an operator, and checks it, so that a condition that was read can be compiled."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Final, TypeVar

from common.conditions.model import Operator
from common.conditions.patterns import compile_pattern
from common.conditions.regex import compile_search
from common.conditions.values import parse_network, parse_number

if TYPE_CHECKING:
    from collections.abc import Callable

    from common.conditions.model import Operand
    from common.conditions.patterns import Pattern
    from common.conditions.scanner import Scanner
    from common.conditions.values import Network

_COMMA: Final = re.compile(",")
_Value = TypeVar("_Value")


def read_operand(scanner: Scanner, operator: Operator) -> Operand:
    """Read the value, or the list of values, of `operator`. Raises ConditionError at the value that is wrong."""
    match operator:
        case Operator.EQUAL | Operator.NOT_EQUAL:
            return _listed(scanner, _pattern)
        case Operator.IN:
            return _listed(scanner, _network)
        case Operator.MATCH | Operator.NO_MATCH:
            return _checked(scanner, _regex)
        case _:
            return _checked(scanner, _number)


def _listed(scanner: Scanner, read: Callable[[Scanner], _Value]) -> tuple[_Value, ...]:
    values = [_checked(scanner, read)]
    while scanner.take(_COMMA):
        values.append(_checked(scanner, read))
    return tuple(values)


def _checked(scanner: Scanner, read: Callable[[Scanner], _Value]) -> _Value:
    """Read one value; a ValueError of `read` concerns the value as a whole."""
    start = scanner.at
    try:
        return read(scanner)
    except ValueError as error:
        raise scanner.error(str(error), start) from None


def _pattern(scanner: Scanner) -> Pattern:
    pattern = scanner.pattern()
    if pattern.literal is None:
        compile_pattern(pattern)
    return pattern


def _network(scanner: Scanner) -> Network:
    return parse_network(scanner.value(in_list=True))


def _regex(scanner: Scanner) -> str:
    pattern = scanner.value(in_list=False)
    compile_search(pattern)
    return pattern


def _number(scanner: Scanner) -> int | float:
    text = scanner.value(in_list=False)
    number = parse_number(text)
    if number is None or not math.isfinite(number):
        raise ValueError(f'"{text}" is not a number; write one such as 7 or -0.5')
    return number
