"""Mattermost: one attachment, options, and what each response means."""

from __future__ import annotations

from typing import Any

import pytest

from common.outcome import Delivered, Reason, Rejected, Retry
from tests.workers.integrations.examples import FIELDS, alert, response, rule, service, the_body

HOOK = {"hook_url": "https://chat.example/hooks/x"}


def body(**settings: Any) -> Any:
    return the_body("mattermost", alert(), **HOOK, **settings)


def outcome(status: int, answer: object = b"", **headers: str) -> Any:
    served, given = service("mattermost", **HOOK), alert()
    return served.interpret(given, served.build_calls(given)[0], response(status, answer, **headers))


def test_an_alert_is_one_attachment() -> None:
    (attachment,) = body()["attachments"]
    assert attachment["title"] == attachment["fallback"] == FIELDS["rule"]["description"]
    assert attachment["color"] == "#e8590c"
    assert attachment["text"] == FIELDS["full_log"].replace("[", r"\[").replace("]", r"\]")
    assert attachment["fields"][1] == {"title": "Agent", "value": r"web01 \(001, 10.0.0.5\)", "short": True}


def test_titles_and_names_of_fields_are_plain_text_as_mattermost_shows_them() -> None:
    text = "sudo (uid_0) [x](http://e.vil) <!channel> @here R&D"
    given = alert(rule=rule(description=text), data={"win": {"eventdata": {"a_b": "x_y"}}})
    (attachment,) = the_body("mattermost", given, **HOOK)["attachments"]
    plain = "sudo (uid_0) [x]~(http://e.vil) <~!channel> @~here R&D"
    assert attachment["title"] == attachment["fallback"] == plain.replace("~", "\u200b")
    assert "a_b" in {one["title"] for one in attachment["fields"]}
    (own,) = the_body("mattermost", given, **HOOK, message={"fields": {"a_b & c": "{{ data.win.eventdata.a_b }}"}})[
        "attachments"
    ]
    assert own["fields"] == [{"title": "a_b & c", "value": r"x\_y", "short": True}]


def test_channel_name_and_icon_are_options() -> None:
    own = {"channel": "soc", "username": "Wazuh", "icon_url": "https://e.example/i.png"}
    sent = body(mattermost=own, options='{"priority": {"priority": "urgent"}}')
    assert {name: sent[name] for name in own} == own
    assert sent["priority"] == {"priority": "urgent"}


def test_slack_s_mentions_and_links_are_not_read() -> None:
    text = "<!channel> <https://evil.example|https://bank.example> &lt;!here&gt;"
    (attachment,) = the_body("mattermost", alert(full_log=text), **HOOK)["attachments"]
    assert "<" not in attachment["text"]
    assert ">" not in attachment["text"]
    assert r"&lt;\!channel&gt;" in attachment["text"]


def test_a_template_that_fails_is_noted() -> None:
    (attachment,) = body(message={"text": "{{ rule.description < 3 }}"})["attachments"]
    assert attachment["footer"].startswith("Courier shows the default message: ")


@pytest.mark.parametrize("word", ["invalid", "disabled", "channel", "channel_locked", "permissions", "user"])
def test_a_webhook_at_fault_rejects_no_alert(word: str) -> None:
    result = outcome(400, {"id": f"web.incoming_webhook.{word}.app_error", "status_code": 400})
    assert isinstance(result, Retry)
    assert result.reason is Reason.GONE


def test_responses() -> None:
    assert outcome(200, b"ok") == Delivered()
    assert isinstance(outcome(400, {"id": "web.incoming_webhook.text.app_error"}), Rejected)
    assert isinstance(outcome(413), Rejected)
    assert outcome(501, {"id": "web.incoming_webhook.disabled.app_error"}).reason is Reason.HTTP_5XX


@pytest.mark.parametrize(
    ("headers", "after_s"),
    [({"x_ratelimit_reset": "3"}, 3.0), ({"retry_after": "2", "x_ratelimit_reset": "3"}, 2.0), ({}, None)],
)
def test_a_rate_limit_pauses_the_target(headers: dict[str, str], after_s: float | None) -> None:
    result = outcome(429, b"limit exceeded", **headers)
    assert (result.reason, result.after_s) == (Reason.RATE_LIMITED, after_s)
