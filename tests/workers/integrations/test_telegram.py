from __future__ import annotations

from typing import Any

import pytest

from common.outcome import Delivered, Reason, Rejected, Retry
from tests.workers.integrations.examples import alert, refusal, response, rule, service, the_body, the_request

BOT: dict[str, Any] = {"api_key": "123:AbC", "telegram": {"chat": -1001234567890}}


def failed(status: int, description: str, **parameters: Any) -> Any:
    body = {"ok": False, "error_code": status, "description": description}
    given = service("telegram", **BOT)
    call = given.build_calls(alert())[0]
    return given.interpret(alert(), call, response(status, body | ({"parameters": parameters} if parameters else {})))


def test_a_message_is_html_to_a_chat_without_previews() -> None:
    request = the_request("telegram", alert(), **BOT)
    assert request.url == "https://api.telegram.org/bot123:AbC/sendMessage"
    body = the_body("telegram", alert(), **BOT)
    assert body["text"].startswith("<b>sshd: brute force trying to get access to the system.</b>\n\nMay 11 12:29:18")
    assert "\n<b>Agent</b>: web01 (001, 10.0.0.5)\n" in body["text"]
    assert {name: value for name, value in body.items() if name != "text"} == {
        "chat_id": "-1001234567890",
        "parse_mode": "HTML",
        "link_preview_options": {"is_disabled": True},
    }


def test_a_topic_and_options_extend_the_message() -> None:
    section = {"chat": "@soc_alerts", "topic": 42}
    body = the_body("telegram", alert(), api_key="1:k", telegram=section, options='{"disable_notification": true}')
    assert (body["chat_id"], body["message_thread_id"], body["disable_notification"]) == ("@soc_alerts", 42, True)


def test_alert_text_cannot_become_markup() -> None:
    text = the_body("telegram", alert(rule=rule(description="<a href='x'>&</a>")), **BOT)["text"]
    assert text.startswith("<b>&lt;a href='x'&gt;&amp;&lt;/a&gt;</b>")


def test_the_length_counts_what_a_reader_sees() -> None:
    text = the_body("telegram", alert(full_log="<" * 2_000), **BOT)["text"]
    assert "&lt;" * 2_000 in text


def test_a_bot_without_a_chat_is_refused() -> None:
    assert refusal("telegram", alert(), api_key="1:k") == Rejected(
        Reason.NOT_CONFIGURED, "ossec.conf:7: <chat>: telegram needs it"
    )


def test_a_rate_limit_pauses_for_the_seconds_of_the_response() -> None:
    assert failed(429, "Too Many Requests: retry after 35", retry_after=35).after_s == 35


@pytest.mark.parametrize("seconds", [-1, "35", None, [], 1e300])
def test_an_invalid_pause_is_ignored_or_bounded(seconds: object) -> None:
    outcome = failed(429, "Too Many Requests", retry_after=seconds)
    assert outcome.reason is Reason.RATE_LIMITED
    assert outcome.after_s in {None, 86_400}


@pytest.mark.parametrize(
    "description",
    [
        "Bad Request: chat not found",
        "Bad Request: message thread not found",
        "Bad Request: TOPIC_CLOSED",
        "Bad Request: group chat was upgraded to a supergroup chat",
        "Bad Request: not enough rights to send text messages to the chat",
        "Bad Request: CHAT_RESTRICTED",
        "Bad Request: CHAT_ADMIN_REQUIRED",
        "[Error]: PEER_ID_INVALID",
    ],
)
def test_a_chat_that_takes_nothing_keeps_the_alerts(description: str) -> None:
    outcome = failed(400, description)
    assert isinstance(outcome, Retry)
    assert outcome.reason is Reason.GONE
    assert description in outcome.detail


def test_other_statuses_mean_what_they_say() -> None:
    assert failed(400, "Bad Request: can't parse entities").reason is Reason.HTTP_4XX
    assert failed(401, "Unauthorized").reason is Reason.UNAUTHORIZED
    assert failed(403, "Forbidden: bot was blocked by the user").reason is Reason.UNAUTHORIZED
    assert failed(404, "Not Found").reason is Reason.GONE
    assert failed(502, "Bad Gateway").reason is Reason.HTTP_5XX
    given = service("telegram", **BOT)
    assert given.interpret(alert(), given.build_calls(alert())[0], response(200, {"ok": True})) == Delivered()


def test_html_that_telegram_does_not_know_keeps_the_alerts_until_the_template_is_corrected() -> None:
    answer = {"ok": False, "error_code": 400, "description": 'Bad Request: can\'t parse entities: unsupported tag "br"'}
    for message, expected in (({"text": "<br>"}, Retry), ({}, Rejected)):
        given = service("telegram", **BOT, **({"message": message} if message else {}))
        outcome = given.interpret(alert(), given.build_calls(alert())[0], response(400, answer))
        assert type(outcome) is expected
