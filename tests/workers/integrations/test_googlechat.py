"""Google Chat: one card, threads, the id by which a repeated message is recognised, and what each response means."""

from __future__ import annotations

from typing import Any

import pytest

from common.outcome import Delivered, Reason, Rejected, Retry
from tests.workers.integrations.examples import FIELDS, alert, response, rule, service, the_body, the_request
from workers.alert.alert import Alert

HOOK = {"hook_url": "https://chat.example/v1/spaces/A/messages?key=k&token=t"}
WIDGETS = {"textParagraph": {"text"}, "buttonList": {"buttons"}}
"""The widgets that are used and their members (developers.google.com, "Cards v2", Widget)."""


def body(given: Alert | None = None, **settings: Any) -> Any:
    return the_body("googlechat", given or alert(), **HOOK, **settings)


def widgets(sent: Any) -> list[dict[str, Any]]:
    """Return the widgets of the only card, checked against what the documentation says of a message."""
    assert set(sent) <= {"cardsV2", "fallbackText", "thread"}
    (card,) = sent["cardsV2"]
    assert set(card) == {"cardId", "card"}
    (section,) = card["card"]["sections"]
    for widget in section["widgets"]:
        ((kind, value),) = widget.items()
        assert set(value) == WIDGETS[kind]
    found: list[dict[str, Any]] = section["widgets"]
    return found


def texts(sent: Any) -> list[str]:
    return [one["textParagraph"]["text"] for one in widgets(sent) if "textParagraph" in one]


def outcome(status: int, answer: object = b"", **headers: str) -> Any:
    served, given = service("googlechat", **HOOK), alert()
    return served.interpret(given, served.build_calls(given)[0], response(status, answer, **headers))


def test_an_alert_is_one_card() -> None:
    title, log, rows = texts(body())
    assert title == f'<b><font color="#e8590c">{FIELDS["rule"]["description"]}</font></b>'
    assert log == FIELDS["full_log"]
    assert rows.split("<br>")[0] == "<b>Rule</b>: 5712 (level 10)"
    assert "thread" not in body()


def test_lines_links_and_notifications() -> None:
    sent = body(alert(full_log="a\nb", rule=rule(description="<b>&")), message={"link": "https://soc.example/{{ id }}"})
    assert texts(sent)[1] == "a<br>b"
    assert sent["fallbackText"] == "<b>&"
    (button,) = widgets(sent)[-1]["buttonList"]["buttons"]
    assert button["onClick"] == {"openLink": {"url": f"https://soc.example/{FIELDS['id']}"}}


def test_a_template_that_fails_is_noted() -> None:
    assert texts(body(message={"text": "{{ rule.description < 3 }}"}))[-1].startswith("<i>Courier shows the default")


def test_a_repeated_message_has_the_same_request_id() -> None:
    assert the_request("googlechat", alert(), **HOOK).params == {"requestId": "node1:4f2a:1024"}
    long = Alert(alert().raw, "n" * 300)
    first, second = (the_request("googlechat", long, **HOOK).params["requestId"] for _ in range(2))
    assert first == second
    assert len(first) == 32


def key(given: Alert, thread: str) -> str:
    request = the_request("googlechat", given, googlechat={"thread": thread}, **HOOK)
    assert request.params["messageReplyOption"] == "REPLY_MESSAGE_FALLBACK_TO_NEW_THREAD"
    found: str = body(given, googlechat={"thread": thread})["thread"]["threadKey"]
    return found


@pytest.mark.parametrize(
    ("thread", "same_rule", "same_agent"),
    [("integration", True, True), ("rule", True, False), ("agent", False, True), ("rule-and-agent", False, False)],
)
def test_messages_share_a_thread(thread: str, *, same_rule: bool, same_agent: bool) -> None:
    one = alert()
    other_agent, other_rule = alert(agent={"id": "7"}), alert(rule=rule(id="1"))
    assert (key(one, thread) == key(other_agent, thread)) == same_rule
    assert (key(one, thread) == key(other_rule, thread)) == same_agent
    assert key(one, thread) == key(alert(full_log="another"), thread)


def test_a_hostile_id_cannot_choose_a_thread() -> None:
    assert key(alert(rule=rule(id="5712\0001"), agent={}), "rule-and-agent") != key(
        alert(rule=rule(id="5712"), agent={"id": "001"}), "rule-and-agent"
    )
    assert len(key(alert(rule=rule(id="x" * 100_000)), "rule")) == 40


def test_responses() -> None:
    assert outcome(200, {"name": "spaces/A/messages/1"}) == Delivered()
    assert isinstance(outcome(400, {"error": {"status": "INVALID_ARGUMENT", "message": "Message too long"}}), Rejected)
    key = outcome(400, {"error": {"message": "API key not valid.", "details": [{"reason": "API_KEY_INVALID"}]}})
    assert isinstance(key, Retry)
    assert key.reason is Reason.UNAUTHORIZED
    assert outcome(404).reason is Reason.GONE
    assert outcome(429, {"error": {"status": "RESOURCE_EXHAUSTED"}}).reason is Reason.RATE_LIMITED
