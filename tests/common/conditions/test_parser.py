"""What is a condition, and what is said about a text that is none."""

from __future__ import annotations

import pytest

from common.conditions import parse_condition
from common.errors import ConditionError
from common.printable import printable


@pytest.mark.parametrize(
    "text",
    [
        "rule.level >= 7",
        "agent.groups = prod*",
        "not data.srcip in 10.0.0.0/8",
        "rule.id = 5710, 5715 and agent.name = build-*",
        "data.title",
        "not data.title != a",
        "x = SSH login failed",
        "x = a=b",
        "x = =b",
        "x = <none>",
        'x = ">12", "<= 3"',
        "x ~ >1",
        r"x = C:\Program Files\*",
        'x = "a, b", "a and b", " a ", ""',
        r'x = "\*", "\"", \, a*',
        r'x = "\\*\*"',
        'x = "a,b" and y = "c,d" and z',
        'x = "or"',
        "x = android, band",
        "x ~ a, b|c",
        'x ~ "a and b"',
        "x in 10.0.0.0/8, 2001:db8::/32, 10.1.2.3/32",
        'data."foo.bar"."".title',
        '"and" = 1',
        '"@timestamp"',
        "in.x",
        "é.ü = ß",
        "x > -1.5 and x < 1e+300",
    ],
)
def test_a_condition_prints_as_it_is_read(text: str) -> None:
    condition = parse_condition(text)
    assert str(condition) == text
    assert parse_condition(str(condition)) == condition


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("  rule.level>=7  ", "rule.level >= 7"),
        ("x=a,b", "x = a, b"),
        ("x = a\n  and\ty=b", "x = a and y = b"),
        ('x = "a*b"', "x = a*b"),
        ('x = "plain"and y', "x = plain and y"),
        ('"rule"."level" > "7"', "rule.level > 7"),
        ("x in 10.1.2.3, ::ffff:10.0.0.0/104", "x in 10.1.2.3/32, 10.0.0.0/8"),
        ('"in"."x"', "in.x"),
        ("x > 007", "x > 7"),
    ],
)
def test_blanks_and_quotes_that_are_not_needed_are_left_out(text: str, printed: str) -> None:
    assert str(parse_condition(text)) == printed
    assert parse_condition(printed) == parse_condition(text)


@pytest.mark.parametrize(
    ("text", "column", "problem"),
    [
        ("", 1, "the condition is empty"),
        ("   ", 1, "the condition is empty"),
        ("agent.name == build", 12, 'there is no operator "=="; write "="'),
        ("agent.name:build", 11, 'there is no operator ":"; write "="'),
        ("agent.name <> build", 12, 'write "!="'),
        ("agent.name =~ build", 12, 'write "~"'),
        ("rule.level => 7", 12, 'write ">="'),
        ("x contains a", 3, 'write "= *text*"'),
        ("x not in 10.0.0.0/8", 3, 'write "not" in front of the field'),
        ("x !in 10.0.0.0/8", 3, 'write "not" in front of the field'),
        ("x && y", 3, 'write "and"'),
        ("x or y", 3, "write a list with commas"),
        ("x y", 3, "operators are = != < <= > >= ~ !~ in"),
        ("x[0] = 1", 2, "'[' is where an operator should be"),
        ("x = a or y = b", 7, "write a list with commas"),
        ("x = a AND y = b", 7, 'write "and"'),
        ("x = a y = b", 9, 'conditions are joined by "and"'),
        ('x = a "b"', 7, "put the whole value in double quotes"),
        ('x = "a" b', 9, "'b' is where \"and\" or the end should be"),
        ("x = ", 4, "a value is missing"),
        ("x = >12", 5, '">" begins a value: leave out the operator'),
        ("x = a, <= 3", 8, '"<" begins a value'),
        ("x = , a", 5, "a value is missing"),
        ("x = a,", 6, "a value is missing"),
        ("x = a, and y", 8, "a value is missing"),
        ("x = a,and y", 7, "a value is missing"),
        ("x = and y", 5, "a value is missing"),
        ('x = "a', 5, "the closing quote is missing"),
        ('x = "a\\', 5, "the closing quote is missing"),
        ('x ~ "\\d"', 6, 'write "\\\\d" for a backslash'),
        ('"\\*" = a', 2, "for a backslash"),
        ("x = a and", 9, "a field is missing at the end"),
        ("not", 3, "a field is missing at the end"),
        ("and x", 1, "a field is missing here"),
        ("= x", 1, "a field is missing here"),
        ("NOT x", 1, 'write "not" in lower case, and once'),
        ("not not x", 5, 'write "not" in lower case, and once'),
        ("or = x", 1, 'there is no "or"'),
        ("in = x", 1, "a field of this name needs double quotes"),
        ("(x = a)", 1, "there are no brackets"),
        ("a..b", 3, 'a name is missing before "."'),
        ("a. b", 3, "a field is missing here"),
        ("%x", 1, "'%' cannot be a part of a field"),
        ("x > a", 5, '"a" is not a number'),
        ("x > 1, 2", 5, '"1, 2" is not a number'),
        ("x > 0x10", 5, '"0x10" is not a number'),
        ("x > 1e999", 5, '"1e999" is not a number'),
        ("x in 10.0.0.0/8, 10.0.0.1/8", 18, 'write "10.0.0.0/8"'),
        ("x in ::1/200", 6, "'::1/200' does not appear to be an IPv4 or IPv6 network"),
        ("x in private", 6, "'private' does not appear"),
        ("x ~ (a", 5, "not in RE2's syntax: missing ): (a"),
        ("x ~ (?=a)", 5, "not in RE2's syntax"),
        (r"x ~ (a)\1", 5, "not in RE2's syntax"),
        (r"x ~ \pL{50}", 5, "the pattern is too large"),
        ("x = a, *" + "b" * 3000 + "*c", 8, "the pattern is too large"),
        ("@ x", 1, 'a name is missing after "@"'),
        ("not @", 5, 'a name is missing after "@"'),
        ("@", 1, 'a name is missing after "@"'),
        ("x = a\udcff", 6, "half of a surrogate pair is no character"),
        ("x = " + "a" * 16_384, 16_385, "at most 16384 are allowed"),
        ("x and " * 1_000 + "x", 1, "more than 1000 comparisons"),
    ],
)
def test_an_error_says_column_problem_and_remedy(text: str, column: int, problem: str) -> None:
    with pytest.raises(ConditionError) as raised:
        parse_condition(text)
    assert problem in raised.value.problem
    assert raised.value.column == column


def test_an_error_names_where_the_condition_stands() -> None:
    with pytest.raises(ConditionError) as raised:
        parse_condition("agent.name == build", where="courier.toml: integrations.soc.only[1]")
    assert str(raised.value) == (
        'courier.toml: integrations.soc.only[1], column 12: there is no operator "=="; write "="; '
        "the condition is: agent.name == build"
    )


def test_an_error_quotes_what_can_be_shown() -> None:
    with pytest.raises(ConditionError) as raised:
        parse_condition("a = b and " * 20 + "\x1b\u202e == c" + " and d" * 20)
    shown = str(raised.value)
    assert len(shown) < 300
    assert shown.isprintable()
    assert "\\u001b" in shown


@pytest.mark.parametrize("start", ["x > ", "x in ", "x ~ (", "x ", "@", "x = or "])
def test_an_error_is_short_and_has_no_control_characters(start: str) -> None:
    with pytest.raises(ConditionError) as raised:
        parse_condition(f"{start}\u00e9\u3164" + "a" * 10_000, where="file\x1b: key")
    assert len(str(raised.value)) < 600
    assert str(raised.value) == printable(str(raised.value))


def test_fields_are_all_that_it_needs() -> None:
    condition = parse_condition('rule.level > 3 and not data."foo.bar" and rule.level < 9 and agent.name ~ x')
    assert condition.fields == {"rule.level", 'data."foo.bar"', "agent.name"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rule.level > 3 and rule.id = 1 and not rule.groups = a", True),
        ("rule.level > 3 and agent.name = a", False),
        ("rule.firedtimes > 3", False),
        ("rule.description ~ a", False),
    ],
)
def test_what_the_rule_alone_decides(text: str, expected: bool) -> None:
    assert parse_condition(text).is_fixed_by_rule is expected
