"""The operator's templates decide what is shown; one that fails costs nothing but itself."""

from __future__ import annotations

import re
from typing import Any

import pytest

from common.errors import ConfigError
from tests.workers.integrations.examples import FIELDS, alert, block, rule, the_body
from workers.alert.alert import Alert
from workers.integrations.helpers.service_options import ServiceOptions
from workers.message.limits import Limits
from workers.message.markup import HTML, PLAIN, SLACK_MESSAGE, Markup
from workers.message.message import Field, Message
from workers.message.renderer import MessageRenderer

HOOK = {"hook_url": "https://hooks.slack.example/services/T0/B0/x"}


def render(message: dict[str, Any], given: Alert | None = None, markup: Markup = HTML, **choices: Any) -> Message:
    given = given or alert()
    renderer = MessageRenderer(
        block("slack", message=message), markup, Limits(title=100, text=200), ServiceOptions(**choices)
    )
    return renderer.render(given, given.fields)


def test_each_part_replaces_that_of_the_default_message() -> None:
    whole = {
        "title": "<b>{{ rule.description }}</b>",
        "text": "{{ full_log | truncate(20) }}\n{{ courier.integration }} {{ courier.node }} {{ courier.attempt }}",
        "fields": {"Who & what": "{{ data.srcuser }}", "Nobody": "{{ data.dstuser }}"},
        "link": "https://cases.example/?q={{ id | urlencode }}",
    }
    message = render(whole, Alert(alert(rule=rule(description="a <i>\n\nb")).raw, "node1:4f2a:1024", 3))
    assert message.title == "<b>a &lt;i&gt; b</b>"
    assert message.text == "May 11 12:29:18 web…\nslack node1 3"
    assert message.fields == (Field("Who &amp; what", "paco"),)
    assert message.link == f"https://cases.example/?q={FIELDS['id']}"
    assert (message.note, message.missing, message.level) == ("", ("data.dstuser",), 10)
    default = render({"title": "t"})
    assert default.text == FIELDS["full_log"]
    assert default.fields[0] == Field("Rule", "5712 (level 10)")


def test_a_template_that_fails_shows_the_default_message_with_a_note() -> None:
    message = render({"title": "{{ rule.description * 2 }}", "text": "mine"})
    assert message.title == FIELDS["rule"]["description"]
    assert message.text == FIELDS["full_log"]
    assert message.note == (
        "Courier shows the default message: line 1 of the template: it fails on this alert: a value is not a number, "
        "and only numbers can be calculated with"
    )


@pytest.mark.parametrize(
    "link",
    ["{{ 'javascript:alert(1)' }}", "{{ full_log }}", "https://x.example/{{ full_log }}", "{{ '//x' }}"],
)
def test_a_link_that_is_none_is_left_out(link: str) -> None:
    assert render({"link": link}).link == ""


def test_alert_text_cannot_close_a_block_of_code() -> None:
    hostile = alert(full_log="``` <!channel>\n```")
    text = render({"text": "{{ full_log | code }} {{ full_log }}"}, hostile, SLACK_MESSAGE).text
    assert text.count("```") == 2
    assert "<!channel>" not in text


def test_without_escaping_the_text_is_sent_as_it_is() -> None:
    assert render({"title": "{{ rule.description }}"}, alert(rule=rule(description="<b>")), escape=False).title == "<b>"


def test_courier_says_why_a_fallback_gets_the_alert() -> None:
    given = alert(courier={"undelivered_to": "pagerduty", "reason": "unauthorized"})
    assert (
        render({"title": "{{ courier.undelivered_to }}: {{ courier.reason }}"}, given).title
        == "pagerduty: unauthorized"
    )


def test_a_template_of_another_version_is_refused_with_the_block() -> None:
    with pytest.raises(ConfigError, match=r"^ossec.conf:7: <message>: line 1 of the template: there is no filter new"):
        render({"title": "{{ id | newer }}"})


def test_missing_values_and_failures_are_counted() -> None:
    counted: list[tuple[int, bool]] = []

    def on_render(missing: int, *, failed: bool) -> None:
        counted.append((missing, failed))

    render({"title": "{{ data.a.b }}{{ data.c }}", "text": "{{ data.d | default('x') }}"}, on_render=on_render)
    render({"title": "{{ 1 / 0 }}"}, on_render=on_render)
    assert counted == [(2, False), (0, True)]


# -- the stock services


def test_slack_shows_the_operator_s_message_in_its_own_markup() -> None:
    message = {"title": "*{{ rule.description }}*", "text": "<!here> {{ full_log }}", "link": "https://c.example/1"}
    given = alert(full_log="<!channel> & `x`", rule=rule(description="<a>"))
    (sent,) = the_body("slack", given, message=message, **HOOK)["attachments"]
    assert sent["title"] == "*&lt;a&gt;*"
    assert (
        sent["text"]
        == "<!here> &lt;!channel&gt; &amp; \N{MODIFIER LETTER GRAVE ACCENT}x\N{MODIFIER LETTER GRAVE ACCENT}"
    )
    assert (sent["title_link"], sent["color"], sent["ts"]) == ("https://c.example/1", "#e8590c", FIELDS["id"])
    assert sent["fields"][0] == {"title": "Rule", "value": "5712 (level 10)", "short": True}


def test_slack_says_that_a_template_failed() -> None:
    (sent,) = the_body("slack", alert(), message={"text": "{{ 1 / 0 }}"}, **HOOK)["attachments"]
    assert sent["footer"].startswith("Courier shows the default message: ")
    assert sent["text"] == FIELDS["full_log"]


def test_options_are_merged_over_a_message() -> None:
    (sent,) = the_body("slack", alert(), message={"title": "t"}, options='{"pretext": "<!here>"}', **HOOK)[
        "attachments"
    ]
    assert (sent["title"], sent["pretext"]) == ("t", "<!here>")


def test_pagerduty_takes_the_summary_and_the_link() -> None:
    message = {"title": "{{ agent.name }}: {{ rule.description }}", "link": "https://c.example/{{ id }}"}
    body = the_body("pagerduty", alert(), message=message, api_key="k")
    assert body["payload"]["summary"] == f"web01: {FIELDS['rule']['description']}"
    assert body["links"] == [{"href": f"https://c.example/{FIELDS['id']}", "text": "Alert"}]
    assert body["payload"]["custom_details"] == FIELDS
    failed = the_body("pagerduty", alert(), message={"title": "{{ 1 / 0 }}"}, api_key="k")
    assert failed["payload"]["summary"].startswith(f"{FIELDS['rule']['description']} [Courier shows the default")
    long = alert(rule=rule(description="x" * 1025))
    summary = the_body("pagerduty", long, message={"title": "{{ 1 / 0 }}"}, api_key="k")["payload"]["summary"]
    assert len(summary) == 1024
    assert re.search(r"x… \[Courier shows the default [^\]]+\]\Z", summary)


def test_shuffle_takes_title_and_text() -> None:
    body = the_body("shuffle", alert(), message={"title": "<{{ rule.id }}>", "text": "x"}, **HOOK)
    assert (body["title"], body["text"], body["all_fields"]) == ("<5712>", "x", FIELDS)
    failed = the_body("shuffle", alert(), message={"title": "{{ 1 / 0 }}"}, **HOOK)
    assert failed["title"] == FIELDS["rule"]["description"]
    assert failed["note"].startswith("Courier shows the default message")


def test_plain_text_has_no_control_characters() -> None:
    given = alert(rule=rule(description="a\x1b[31m\u202eb"))
    assert render({"title": "{{ rule.description }}"}, given, PLAIN).title == "a [31m b"
