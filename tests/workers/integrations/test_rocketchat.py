"""Rocket.Chat: one attachment, options, and what each response means."""

from __future__ import annotations

from typing import Any

import pytest

from common.outcome import Delivered, Reason, Rejected, Retry
from tests.workers.integrations.examples import FIELDS, NOW_S, alert, response, rule, service, the_body

HOOK = {"hook_url": "https://chat.example/hooks/1/x"}


def body(**settings: Any) -> Any:
    return the_body("rocketchat", alert(), **HOOK, **settings)


def outcome(status: int, answer: object = b"", **headers: str) -> Any:
    served, given = service("rocketchat", **HOOK), alert()
    return served.interpret(given, served.build_calls(given)[0], response(status, answer, **headers))


def test_an_alert_is_one_attachment() -> None:
    (attachment,) = body()["attachments"]
    assert attachment["title"] == FIELDS["rule"]["description"]
    assert attachment["text"] == FIELDS["full_log"]
    assert attachment["fields"][0] == {"title": "Rule", "value": "5712 (level 10)", "short": True}


def test_a_title_is_plain_text_as_rocket_chat_shows_it() -> None:
    given = alert(rule=rule(description="sudo (uid_0) *x* [x](http://e.vil) @all"))
    (attachment,) = the_body("rocketchat", given, **HOOK)["attachments"]
    assert attachment["title"] == "sudo (uid_0) *x* [x]~(http://e.vil) @~all".replace("~", "\u200b")


def test_channel_name_and_icon_are_options() -> None:
    sent = body(rocketchat={"channel": "#soc", "username": "Wazuh", "icon_url": "https://e.example/i.png"})
    assert (sent["channel"], sent["alias"], sent["avatar"]) == ("#soc", "Wazuh", "https://e.example/i.png")


def test_what_backslashes_cannot_escape_is_broken_by_an_invisible_space() -> None:
    text = r"[bank](https://evil.example) ||x|| <https://evil.example|bank> @all \(x\) *b*"
    (attachment,) = the_body("rocketchat", alert(full_log=text), **HOOK)["attachments"]
    broken = "[bank]~(https://evil.example) |~|x|~| <~https://evil.example|bank> @~all \\~(x\\~) \\*b\\*"
    assert attachment["text"] == broken.replace("~", "\u200b")


def test_a_template_that_fails_is_noted() -> None:
    (attachment,) = body(message={"text": "{{ rule.description < 3 }}"})["attachments"]
    assert attachment["text"].splitlines()[-1].startswith("Courier shows the default message: ")


@pytest.mark.parametrize(
    "error",
    [
        *("Invalid integration id or token provided.", "invalid-channel", "error-not-allowed", "error-running-script"),
        "overriding destination channel is disabled for this integration",
    ],
)
def test_a_webhook_at_fault_rejects_no_alert(error: str) -> None:
    result = outcome(400, {"success": False, "error": error})
    assert isinstance(result, Retry)
    assert result.reason is Reason.GONE


def test_responses() -> None:
    assert outcome(200, {"success": True}) == Delivered()
    assert isinstance(outcome(400, {"success": False, "error": "error-message-size-exceeded"}), Rejected)
    assert outcome(503, b"Service Unavailable").reason is Reason.HTTP_5XX


@pytest.mark.parametrize(
    ("reset", "after_s"),
    [(str(int(NOW_S * 1000) + 33_000), 33.0), (str(int(NOW_S * 1000) - 5), 0.0), ("9" * 15, 86_400.0), ("soon", None)],
)
def test_a_rate_limit_pauses_until_the_time_in_milliseconds(reset: str, after_s: float | None) -> None:
    result = outcome(429, {"success": False, "error": "[error-too-many-requests]"}, x_ratelimit_reset=reset)
    assert (result.reason, result.after_s) == (Reason.RATE_LIMITED, after_s)
