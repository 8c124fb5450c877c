from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.windows import Hold, Span, Window, hold_problem, parse_hold, parse_window, show_hold, show_window

SPANS = st.builds(
    Span,
    st.sets(st.integers(0, 6), min_size=1).map(lambda found: tuple(sorted(found))),
    st.integers(0, 1439),
    st.integers(0, 1439),
    st.sampled_from(["UTC", "Europe/Berlin", "America/St_Johns"]),
)
KEYS = st.sampled_from(["days", "from", "to", "zone", "in", "below", "then", "x"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.sampled_from(["days", "from", "to", "zone", "in", "below", "then", "x"]), inner)
    ),
)


@given(st.lists(SPANS, min_size=1, max_size=3))
def test_what_is_shown_is_read_as_the_same(spans: list[Span]) -> None:
    window = Window(tuple(spans))
    assert parse_window(show_window(window)) == window


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        ("mon", (0,)),
        ("mon-fri", (0, 1, 2, 3, 4)),
        ("sat-mon", (0, 5, 6)),
        ("mon, wed-thu", (0, 2, 3)),
        (["sun", "mon-tue"], (0, 1, 6)),
    ],
)
def test_days(days: object, expected: tuple[int, ...]) -> None:
    (span,) = parse_window({"days": days}).spans
    assert span == Span(expected, 0, 0, "UTC")


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        ("22:00-06:00", "is not a table"),
        ([], "a window has 1 to 100 spans, not 0"),
        ([{}] * 101, "a window has 1 to 100 spans, not 101"),
        ([{}, {"to": "25:00"}], """span 2: to: '25:00' is not a time of day from "00:00" to "24:00\""""),
        ({"from": 22}, "from: '22' is not a time of day"),
        ({"from": "9:00"}, "from: '9:00' is not a time of day"),
        ({"days": "weekend"}, "days: 'weekend' is not a day; days are mon, tue"),
        ({"days": "mon-"}, "days: 'mon-' is not a day"),
        ({"days": []}, "days: [] is neither a day nor a list of days"),
        ({"days": 5}, "days: 5 is neither a day nor a list of days"),
        ({"zone": "Berlin"}, "zone: 'Berlin' is not a time zone; write an IANA name"),
        ({"zone": "/etc/localtime"}, "zone: '/etc/localtime' is not a time zone"),
        ({"zone": "../zone"}, "zone: '../zone' is not a time zone"),
        ({"zone": "Europe"}, "zone: 'Europe' is not a time zone"),
        ({"zone": "localtime"}, "zone: 'localtime' is not a time zone"),
        ({"zone": "right/UTC"}, "zone: 'right/UTC' is not a time zone"),
        ({"form": "22:00"}, "there is no key 'form'; the keys are days, from, to, zone"),
    ],
)
def test_errors_name_the_key(raw: object, problem: str) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011 — the text is compared below
        parse_window(raw)
    assert str(error.value).startswith(problem)


@given(JSON)
def test_any_value_is_read_or_refused_in_one_line(raw: object) -> None:
    problems = []
    for parse in (parse_window, parse_hold):
        try:
            parse(raw)
        except ValueError as error:
            problems.append(str(error))
    assert all(problem and "\n" not in problem for problem in problems)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ({"in": "night"}, Hold(window="night")),
        ({"outside": "office", "below": 12}, Hold(window="office", outside=True, below=12)),
        ({"in": "a", "then": "digest"}, Hold(window="a", then_digest=True)),
    ],
)
def test_hold_is_read_and_shown(raw: object, expected: Hold) -> None:
    assert parse_hold(raw) == expected
    assert show_hold(expected) == raw


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        ("night", "the value is not a table"),
        ({}, "exactly one of `in` and `outside` is needed"),
        ({"in": "a", "outside": "b"}, "exactly one of `in` and `outside` is needed"),
        ({"in": ""}, "in: '' is not the name of a window"),
        ({"in": "a", "below": True}, "below: True is not a whole number from 1 to 16"),
        ({"in": "a", "below": 17}, "below: 17 is not a whole number from 1 to 16"),
        ({"in": "a", "then": "send"}, "then: 'send' is not \"digest\""),
    ],
)
def test_wrong_holds(raw: object, problem: str) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011 — the text is compared below
        parse_hold(raw)
    assert str(error.value) == problem


def test_levels_below_the_limit_are_held() -> None:
    assert [Hold(window="w", below=12).applies_to(level) for level in (0, 11, 12, 16)] == [True, True, False, False]
    assert Hold(window="w").applies_to(2**32 - 1)


def test_problems_of_a_hold() -> None:
    windows = {"night": parse_window({"to": "06:00"}), "always": parse_window({})}
    assert hold_problem(Hold(window="night"), windows) == ""
    assert hold_problem(Hold(window="nihgt"), windows) == "there is no window 'nihgt'; [windows] has always, night"
    assert "covers the whole week, so what it holds would never be sent" in hold_problem(Hold(window="always"), windows)
    assert "so nothing would ever be held" in hold_problem(Hold(window="always", outside=True), windows)
