"""A template says what its author means, whatever the alert says, within limits of size and time."""

from __future__ import annotations

import html
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import TemplateError
from common.exact_json import read_json
from common.templates.environment import MAX_CPU_S, Compiler, check
from common.templates.language import ALERT_MEMBERS
from common.templates.source import MAX_TEMPLATE_BYTES, TemplateSource
from common.templates.values import MAX_ITEMS, MAX_TEXT_CHARS

ALERT: dict[str, Any] = {
    "rule": {"level": 10, "description": "x <b>", "groups": ["a", "b"]},
    "data": {"list": [1, 2, {"a": 3}], "win": {"system": {"eventID": "4625"}}, "a.b": "dotted", "none": None},
    "full_log": "hello",
}


def render(text: str, alert: dict[str, Any] = ALERT, **options: Any) -> str:
    return Compiler(html.escape, **options).compile(TemplateSource(text)).render({**alert, "alert": alert})


def refusal(text: str, file: str = "") -> TemplateError:
    with pytest.raises(TemplateError) as refused:
        check(TemplateSource(text, file))
    return refused.value


def failure(text: str, alert: dict[str, Any] = ALERT, **options: Any) -> str:
    with pytest.raises(TemplateError) as failed:
        render(text, alert, **options)
    return str(failed.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{ rule.description }} <b>{{ data.win.system.eventID }}</b>", "x &lt;b&gt; <b>4625</b>"),
        ("{{ data['a.b'] }} {{ alert.data.win.system.eventID }}", "dotted 4625"),
        ("{% for x in data.list %}{{ loop.index }}:{{ x | string | length }};{% endfor %}", "1:1;2:1;3:8;"),
        (
            "{% for k, v in data.win | items %}{{ k }}={{ v | tojson }}{% endfor %}",
            "system={&quot;eventID&quot;: &quot;4625&quot;}",
        ),
        ("{% for name in data.win %}{{ name }}{% endfor %}", "system"),
        ("{{ data.list[2].a + rule.level }} {{ -rule.level }} {{ 7 // 2 }}", "13 -10 3"),
        ('{{ ("<!channel>" | raw) if rule.level >= 10 }}', "<!channel>"),
        ("{% set who = data.user or 'nobody' %}{{ who ~ '!' ~ rule.level }}", "nobody!10"),
        ("{{ rule.groups | join(' ') }} {{ full_log | upper | replace('L', 'l') }}", "a b HEllO"),
        ("{{ data.nope | default('none') }}{{ data.none }}{{ data.nope.deeper }}", "none"),
        (
            "{{ data.nope is defined }} {{ data.nope > 5 }} {{ data.nope < 5 }} {{ 'x' in data.nope }}",
            "false false false false",
        ),
        (
            "{{ rule.level }} {{ rule }} {{ [1, 'a'] }}",
            "10 {} {}".format(html.escape(json.dumps(ALERT["rule"])), "[1, &quot;a&quot;]"),
        ),
        ("a\n{% if rule.level > 3 %}\n  b\n{% endif %}\nc", "a\n  b\nc"),
        ("{{ data.list | first }} {{ data.list[-1].a }} {{ data.list | last | length }}", "1 3 1"),
        (
            "{{ 'a/b c' | urlencode }} {{ '7' | int + 1 }} {{ 2.555 | round(1) }} {{ 'a, b' | split | last }}",
            "a%2Fb%20c 8 2.6 b",
        ),
        ("{{ full_log | truncate(3) }}", "he…"),
    ],
)
def test_what_templates_can_say(text: str, expected: str) -> None:
    assert render(text) == expected


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{{ rul.level }}", "there is no variable rul; did you mean rule?"),
        ("{{ hostname }}", "there is no variable hostname; write alert.hostname for another member of the alert"),
        ("{{ full_log | uper }}", "there is no filter uper; did you mean upper?"),
        ("{{ full_log is even }}", "No test named 'even'."),
        ("{{ range(10) }}", "templates do not have a call such as name(…): use a filter"),
        ("{{ full_log.upper() }}", "templates do not have a call such as name(…): use a filter"),
        ("{{ full_log[1:3] }}", "templates do not have a slice such as [1:3]: use the filter truncate"),
        ("{{ 2 ** 99 }}", "templates do not have the operator **"),
        ("{{ {'a': 1} }}", "templates do not have an object such as {…}"),
        ("{% macro a() %}{% endmacro %}", "templates do not have {% macro %}"),
        ("{% include 'a' %}", "templates do not have {% include %}"),
        ("{% extends 'a' %}", "templates do not have {% extends %}"),
        ("{% import 'a' as b %}", "templates do not have {% import %}"),
        ("{% block a %}{% endblock %}", "templates do not have {% block %}"),
        ("{% set a %}x{% endset %}", "templates do not have {% set %} … {% endset %}: write {% set NAME = VALUE %}"),
        ("{% set rule = 1 %}", "rule is part of every alert: choose another name"),
        ("{% filter upper %}x{% endfilter %}", "templates do not have {% filter %}: use a filter on each value"),
        ("{{ loop.index }}", "there is no variable loop; write alert.loop for another member of the alert"),
        ("{{ full_log | truncate(*[1]) }}", "templates do not have * and ** in a filter's arguments"),
        ("{{ rule.level", "unexpected end of template, expected 'end of print statement'."),
        ("{{ " + "(" * 5_000, "it is nested too deeply"),
        ("x" * (MAX_TEMPLATE_BYTES + 1), "it has more than 64 KiB"),
    ],
)
def test_what_they_cannot_say(text: str, problem: str) -> None:
    assert refusal(text).problem == problem


@pytest.mark.parametrize(
    "text", ["{{ rule.description | raw }}", "{{ (full_log ~ 'x') | raw }}", "{{ ['<b>'] | raw }}"]
)
def test_raw_is_for_a_text_of_the_template_alone(text: str) -> None:
    assert refusal(text).problem.startswith("raw is for a text of the template itself")


@pytest.mark.parametrize("own", ["_member", "_each", "_concat"])
def test_a_template_cannot_use_courier_s_own_functions(own: str) -> None:
    assert "there is no filter" in refusal(f"{{{{ full_log | {own} }}}}").problem


def test_loops_nest_two_deep() -> None:
    loop = "{% for x in data.list %}"
    assert "nested 2 deep" in refusal(loop * 3 + "{% endfor %}" * 3).problem
    assert render(loop * 2 + "x" + "{% endfor %}" * 2) == "x" * 9


def test_an_error_names_the_file_and_the_line() -> None:
    assert str(refusal("a\n\n{{ rul }}", "/etc/courier/m.j2")).startswith("/etc/courier/m.j2:3: there is no variable")
    assert str(refusal("a\n{{ rul }}")).startswith("line 2 of the template: ")
    assert failure("a\n\n{% if true %}\n{{ rule.level / 0 }}{% endif %}").startswith("line 4 of the template: it fails")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{{ rule.description * 5 }}", "a value is not a number, and only numbers can be calculated with"),
        ("{{ data.nope + 5 }}", "data.nope is missing, and only numbers can be calculated with"),
        ("{{ '%99999999d' % 5 }}", "a value is not a number, and only numbers can be calculated with"),
        ("{{ full_log > 5 }}", "two values cannot be compared, or an argument has the wrong type"),
    ],
)
def test_what_fails_on_an_alert_does_not_quote_it(text: str, problem: str) -> None:
    assert failure(text) == f"line 1 of the template: it fails on this alert: {problem}"
    assert "hello" not in failure(text)


@pytest.mark.parametrize(
    "path",
    [
        *("rule.__class__", "full_log.upper", "full_log.__class__.__mro__", "rule.items", "rule['__class__']"),
        *("data.list.append", "data.list.__len__", "alert.__init__.__globals__", "rule.level.real", "(1).__class__"),
        *("data.nope.__class__", "data.nope._undefined_name", "('a' | raw).text", "data[full_log].x"),
    ],
)
def test_nothing_of_python_can_be_reached(path: str) -> None:
    assert render(f"[{{{{ {path} }}}}]") == "[]"


def test_a_missing_value_is_empty_and_reported_with_its_path() -> None:
    template = Compiler().compile(TemplateSource("{{ data.nope.x }}{{ agent.name }}{{ full_log }}{{ data.a or 1 }}"))
    assert template.render({"data": {}, "full_log": "l"}) == "l1"
    assert template.missing == ("data.nope", "agent.name")
    template.render({"data": {"nope": {"x": 1}}, "full_log": "l", "agent": {"name": ""}})
    assert not template.missing


def test_numbers_are_printed_as_the_alert_has_them() -> None:
    alert = read_json('{"data": {"a": 0.30000000000000004, "b": 1e400, "c": 1.10, "d": 12345678901234567890123}}')
    assert render("{{ data.a }} {{ data.b }} {{ data.c }} {{ data.d }}", alert) == (
        "0.30000000000000004 1e400 1.10 12345678901234567890123"
    )
    assert render("{{ data.a > 0.3 }} {{ data.c < 1.2 }}", alert) == "true true"
    assert json.loads(render('{"all": {{ data | tojson }}}', alert, as_json=True))["all"]["c"] == 1.1


# -- bounds


def test_a_value_counts_up_to_its_limits() -> None:
    big = {"full_log": "x" * 10**6, "data": {"list": list(range(10**5)), "table": {str(n): n for n in range(10**4)}}}
    assert len(render("{{ full_log }}", big)) == MAX_TEXT_CHARS
    assert render("{% for x in data.list %}.{% endfor %}", big) == "." * MAX_ITEMS
    assert render("{% for x in data.table %}.{% endfor %}", big) == "." * MAX_ITEMS
    assert render("{% for x in data.table | items %}.{% endfor %}", big) == "." * MAX_ITEMS
    assert len(render("{% set a = full_log ~ full_log %}{{ a ~ a }}", big)) == MAX_TEXT_CHARS
    assert len(render("{{ full_log | replace('x', full_log) }}", big)) <= MAX_TEXT_CHARS
    assert len(render("{{ data.list | join(full_log) }}", big)) <= MAX_TEXT_CHARS


def test_the_output_is_counted_while_it_grows() -> None:
    big = {"full_log": "x" * 10**6, "data": {"list": list(range(1000))}}
    loops = "{% for x in data.list %}{% for y in data.list %}{{ full_log }}{% endfor %}{% endfor %}"
    assert failure(loops, big) == "the template: the text has more than 262144 characters"  # not that it takes too long


def test_the_time_is_bounded_where_nothing_is_printed() -> None:
    big = {"full_log": "É" * 10**6, "data": {"list": list(range(1000))}}
    work = "{% if full_log | upper | lower == 'x' %}{% endif %}"
    loops = "{% for x in data.list %}{% for y in data.list %}" + work * 20 + "{% endfor %}{% endfor %}"
    assert failure(loops, big) == f"the template: it takes more than {MAX_CPU_S:g} s"  # all of it would take hours


def test_growing_numbers_stay_small() -> None:
    grows = "{% set a = 9999999999 %}" + "{% set a = a * a %}" * 60 + "{{ a }}"
    assert render(grows) == "inf"


def test_a_rendering_does_not_take_the_time_of_the_former_one() -> None:
    clock = iter([0.0, *[10.0 + n / 1000 for n in range(100)]])
    template = Compiler(cpu=lambda: next(clock)).compile(TemplateSource("{{ full_log }}"))
    assert [template.render({"full_log": "a"}) for _ in range(3)] == ["a", "a", "a"]


# -- for any alert

_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
_alerts = st.dictionaries(st.sampled_from(ALERT_MEMBERS), _json, max_size=6)

EVERYTHING = (
    "{{ rule.description }}{{ agent.name | upper }}{% for x in data.list %}{{ x }}{% endfor %}"
    "{% for k, v in data | items %}{{ k }}{{ v | tojson }}{{ v | join }}{{ v | first }}{{ v | length }}{% endfor %}"
    "{{ full_log | truncate(10) | replace('a', location) | title }}{{ alert | tojson }}{{ data.a.b ~ id }}"
)

BODY = '{"a": "{{ rule.description }}/{{ full_log }}", "b": {{ data | tojson }}, "c": {{ alert | tojson }}}'
ESCAPED = Compiler(html.escape).compile(TemplateSource(EVERYTHING))
AS_JSON = Compiler(as_json=True).compile(TemplateSource(BODY))


@given(_alerts)
def test_only_escaped_text_of_an_alert_is_printed(alert: dict[str, Any]) -> None:
    out = ESCAPED.render({**alert, "alert": alert})
    assert "<" not in out
    assert ">" not in out


@given(_alerts)
def test_a_json_template_is_json_whatever_the_alert_says(alert: dict[str, Any]) -> None:
    document = json.loads(AS_JSON.render({**alert, "alert": alert}))
    assert document["c"] == json.loads(json.dumps(alert))
