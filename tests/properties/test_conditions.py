"""A compiled condition equals a naive evaluator; what is printed reads back; any text is a condition or refused."""

from __future__ import annotations

import re
from fractions import Fraction
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from common.conditions import (
    NamedCondition,
    compile_condition,
    explain_condition,
    parse_condition,
    parse_named_conditions,
)
from common.conditions.model import Comparison, Condition, Exists, Operator, Term
from common.conditions.patterns import Pattern, Wildcard
from common.conditions.values import parse_network
from common.errors import ConditionError
from common.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

keys = st.sampled_from(["a", "b", "a.b", "", "and", "not", "IN", '"', "\\", "é", " "])
paths = st.lists(keys, min_size=1, max_size=3).map(tuple)
words = st.sampled_from(
    [
        "true",
        "null",
        "a\nb",
        "a, b",
        "a and b",
        ' "a" ',
        "or",
        "\\",
        "é",
        "",
        "a",
        "A",
        "ab",
        "a*b",
        "a?",
        "*",
        "7",
        "7.0",
        "-7",
        "1e1",
        "007",
        "10.0.0.1",
        "::ffff:10.0.0.1",
        "::1",
    ]
)
numbers = st.sampled_from([0, 7, -7, 10, 7.0, 0.5, -0.5, 1e300, 10**30]) | st.floats(allow_nan=False)
scalars = words | numbers | st.booleans() | st.none()
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3))
alerts = st.dictionaries(keys, values, max_size=4)

patterns = st.lists(words | st.sampled_from(Wildcard), max_size=4).map(Pattern.joined)
networks = st.sampled_from(["10.0.0.0/8", "10.0.0.1", "0.0.0.0/0", "::/0", "::1", "::ffff:10.0.0.0/104"]).map(
    parse_network
)
regexes = st.sampled_from(["a", "^a$", "[ab]+", "(?i)A", "a, b", "a and b", '"', "", "^$", "é", "^[0-9]+$"])
operators = {
    Operator.EQUAL: st.lists(patterns, min_size=1, max_size=3).map(tuple),
    Operator.NOT_EQUAL: st.lists(patterns, min_size=1, max_size=3).map(tuple),
    Operator.LESS: numbers.filter(lambda number: abs(number) < float("inf")),
    Operator.AT_MOST: numbers.filter(lambda number: abs(number) < float("inf")),
    Operator.GREATER: numbers.filter(lambda number: abs(number) < float("inf")),
    Operator.AT_LEAST: numbers.filter(lambda number: abs(number) < float("inf")),
    Operator.MATCH: regexes,
    Operator.NO_MATCH: regexes,
    Operator.IN: st.lists(networks, min_size=1, max_size=3).map(tuple),
}
comparisons = st.sampled_from(list(Operator)).flatmap(
    lambda operator: st.builds(Comparison, paths, st.just(operator), operators[operator])
)
plain_terms = st.builds(Term, comparisons | st.builds(Exists, paths), st.booleans())
named = st.builds(
    NamedCondition,
    st.sampled_from(["x", "y-1"]),
    st.lists(
        st.builds(Condition, st.lists(plain_terms, min_size=1, max_size=2).map(tuple)), min_size=1, max_size=3
    ).map(tuple),
)
terms = plain_terms | st.builds(Term, named, st.booleans())
conditions = st.builds(Condition, st.lists(terms, min_size=1, max_size=3).map(tuple))


def naive(condition: Condition, alert: dict[str, Any]) -> bool:
    return all(naive_test(term.test, alert) != term.negated for term in condition.terms)


def naive_test(test: Exists | Comparison | NamedCondition, alert: dict[str, Any]) -> bool:
    if isinstance(test, NamedCondition):
        return any(naive(condition, alert) for condition in test.conditions)
    found = list(reached(alert, test.path))
    if isinstance(test, Exists):
        return bool(found)
    if test.operator in (Operator.NOT_EQUAL, Operator.NO_MATCH):
        positive = Operator(test.operator.removeprefix("!"))
        return not any(naive_match(positive, test.operand, value) for value in found)
    return any(naive_match(test.operator, test.operand, value) for value in found)


def reached(value: Any, path: tuple[str, ...]) -> Iterator[Any]:
    if isinstance(value, list):
        for one in value:
            yield from reached(one, path)
    elif path and isinstance(value, dict) and path[0] in value:
        yield from reached(value[path[0]], path[1:])
    elif not path and value is not None:
        yield value


def naive_match(operator: Operator, operand: Any, value: Any) -> bool:
    if isinstance(value, dict):
        return False
    text = {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    match operator:
        case Operator.EQUAL:
            return any(naive_equal(pattern, text, value if is_number else None) for pattern in operand)
        case Operator.MATCH:
            return re.search(operand.removesuffix("$") + r"\Z" * operand.endswith("$"), text) is not None
        case Operator.IN:
            return isinstance(value, str) and any(naive_inside(value, network) for network in operand)
    number = as_fraction(value if is_number else text)
    if number is None:
        return False
    limit = as_fraction(operand)
    assert limit is not None
    return {
        Operator.LESS: number < limit,
        Operator.AT_MOST: number <= limit,
        Operator.GREATER: number > limit,
        Operator.AT_LEAST: number >= limit,
    }[operator]


def naive_equal(pattern: Pattern, text: str, number: float | None) -> bool:
    wanted = {Wildcard.ANY: ".*", Wildcard.ONE: "."}
    regex = "".join(re.escape(part) if isinstance(part, str) else wanted[part] for part in pattern.parts)
    if re.fullmatch(regex, text, re.DOTALL):
        return True
    if number is None or not all(isinstance(part, str) for part in pattern.parts):
        return False
    return as_fraction("".join(map(str, pattern.parts))) == as_fraction(number)


def as_fraction(value: Any) -> Fraction | float | None:
    """Return an exact number; floats of their own value, and texts with a fraction as the nearest float."""
    if isinstance(value, str):
        if not re.fullmatch(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?", value, re.ASCII):
            return None
        value = int(value) if re.fullmatch(r"[+-]?\d+", value) else float(value)
    return value if value in (float("inf"), float("-inf")) else Fraction(value)


def naive_inside(text: str, network: Any) -> bool:
    try:
        address = ip_address(text)
    except ValueError:
        return False
    if address.version == 6 and address.ipv4_mapped:
        address = address.ipv4_mapped
    return address in ip_network(network)


def names_of(condition: Condition) -> dict[str, NamedCondition]:
    return {term.test.name: term.test for term in condition.terms if isinstance(term.test, NamedCondition)}


@given(conditions, alerts)
def test_a_compiled_condition_equals_the_naive_evaluator(condition: Condition, alert: dict[str, Any]) -> None:
    expected = naive(condition, alert)
    assert compile_condition(condition)(alert) is expected
    assert explain_condition(condition, alert).holds is expected
    assert str(explain_condition(condition, alert))


@given(conditions)
def test_what_is_printed_reads_back(condition: Condition) -> None:
    known = names_of(condition)
    unique = Condition(
        tuple(
            Term(known[term.test.name], term.negated) if isinstance(term.test, NamedCondition) else term
            for term in condition.terms
        )
    )
    assert parse_condition(str(unique), names=known) == unique


pieces = st.sampled_from(
    [
        "a",
        ".",
        '"',
        "\\",
        " ",
        "=",
        "!",
        "~",
        "<",
        ">",
        ",",
        "and",
        "not",
        "in",
        "or",
        "@",
        "x",
        "*",
        "7",
        "::1",
        "(",
        "\n",
    ]
)
texts = st.text() | st.lists(pieces).map("".join) | st.lists(pieces).map(" ".join)


@given(texts)
def test_any_text_is_a_condition_or_refused_with_a_column_inside_it(text: str) -> None:
    names = parse_named_conditions({"x": ["a = 7"]})
    try:
        condition = parse_condition(text, names=names)
    except ConditionError as error:
        refused = error
    else:
        assert parse_condition(str(condition), names=names) == condition
        assert compile_condition(condition)({}) is naive(condition, {})
        return
    assert 1 <= refused.column <= max(1, len(text))
    assert str(refused) == printable(str(refused))


@given(texts, texts)
def test_every_value_can_be_written_in_quotes(value: str, key: str) -> None:
    escaped, name = (re.sub(r'["\\]', r"\\\g<0>", text).encode("utf-8", "replace").decode() for text in (value, key))
    literal = re.sub(r"[*?]", r"\\\g<0>", escaped)
    value, key = (text.encode("utf-8", "replace").decode() for text in (value, key))
    holds = compile_condition(parse_condition(f'"{name}" = "{literal}"'))
    assert holds({key: value})
    assert not holds({key: value + "x"})
