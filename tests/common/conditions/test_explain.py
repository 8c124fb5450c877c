from __future__ import annotations

from typing import Any

import pytest

from common.conditions import explain_condition, parse_condition, parse_named_conditions
from producer.filters.decode import decode_alert
from tests.common.conditions.examples import ALERT, data


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("agent.name = build-*", 'agent.name = build-*: saw "web01": no'),
        ("not data.srcip in 10.0.0.0/8", 'not data.srcip in 10.0.0.0/8: saw "10.1.2.3": no'),
        ("rule.level > 3", "rule.level > 3: saw 7: yes"),
        ("data.ok", "data.ok: saw true: yes"),
        ("data.missing != a", "data.missing != a: saw nothing: yes"),
        ("data.nothing", "data.nothing: saw nothing: no"),
        ("data = a", "data = a: saw an object: no"),
        ("agent.name > 3", 'agent.name > 3: saw "web01", no number: no'),
        ("agent.name in ::1", 'agent.name in ::1/128: saw "web01", no address: no'),
        ("rule.groups = sshd", 'rule.groups = sshd: saw "syslog", "sshd": yes'),
        ("full_log ~ ^x", r'full_log ~ ^x: saw "Failed password for "root" from 10.1.2.3\nport 22": no'),
    ],
)
def test_a_term_says_what_it_saw(text: str, line: str) -> None:
    assert str(explain_condition(parse_condition(text), ALERT)) == line


@pytest.mark.parametrize(
    ("written", "line"),
    [
        ("1e400", "n > 3: saw a number above 1.8e308: yes"),
        (f"-{'9' * 5_000}", "n > 3: saw a number below -1.8e308: no"),
    ],
)
def test_a_number_beyond_doubles_is_no_word(written: str, line: str) -> None:
    alert = decode_alert(b'{"n": %s}' % written.encode())
    assert str(explain_condition(parse_condition("n > 3"), alert)) == line


def test_the_first_term_that_does_not_hold_decides() -> None:
    explanation = explain_condition(parse_condition("rule.level = 7 and agent.name = a and rule.id = b"), ALERT)
    assert not explanation.holds
    assert explanation.decided_by == explanation.steps[1]
    assert [step.holds for step in explanation.steps] == [True, False, False]


def test_nothing_decides_what_holds() -> None:
    explanation = explain_condition(parse_condition("rule.level = 7 and agent.name"), ALERT)
    assert explanation.holds
    assert explanation.decided_by is None


def test_a_name_shows_its_strings_up_to_the_one_that_holds() -> None:
    names = parse_named_conditions({"a": ["rule.level > 9", "rule.id = 5710", "rule.id"], "b": ["x", "y"]})
    assert str(explain_condition(parse_condition("@a and not @b", names=names), ALERT)).splitlines() == [
        "@a: string 2 of 3 holds: yes",
        "  rule.level > 9: saw 7: no",
        '  rule.id = 5710: saw "5710": yes',
        "not @b: none of 2 strings holds: yes",
        "  x: saw nothing: no",
        "  y: saw nothing: no",
    ]


@pytest.mark.parametrize(
    ("value", "saw"),
    [
        (["a"] * 5, 'saw "a", "a", "a" and 2 more'),
        ("a" * 100, f'saw "{"a" * 79}…"'),
        ("a\x1b\u202e\n", 'saw "a\\u001b\\u202e\\n"'),
        (10**100, f"saw 1{'0' * 78}…"),
        (0.1, "saw 0.1"),
    ],
)
def test_hostile_values_are_cut_and_escaped(value: Any, saw: str) -> None:
    (step,) = explain_condition(parse_condition("x"), data(value)).steps
    assert step.saw == saw


def test_a_long_term_is_cut() -> None:
    (step,) = explain_condition(parse_condition(f"x = {'a' * 1000}"), ALERT).steps
    assert len(step.term) == 80
