"""Discord: one embed that mentions nobody, the quota in headers and bodies, and what each response means."""

from __future__ import annotations

from typing import Any

import pytest

from common.outcome import Delivered, Reason, Rejected, Retry
from tests.workers.integrations.examples import FIELDS, alert, response, rule, service, the_body, the_request

HOOK = {"hook_url": "https://discord.example/api/webhooks/1/x"}


def body(**settings: Any) -> Any:
    return the_body("discord", alert(), **HOOK, **settings)


def outcome(status: int, answer: object = b"", **headers: str) -> Any:
    served, given = service("discord", **HOOK), alert()
    return served.interpret(given, served.build_calls(given)[0], response(status, answer, **headers))


def test_an_alert_is_one_embed_that_mentions_nobody() -> None:
    assert body() == {
        "embeds": [
            {
                "title": FIELDS["rule"]["description"],
                "color": 0xE8590C,
                "fields": [
                    {"name": "Rule", "value": r"5712 \(level 10\)", "inline": True},
                    {"name": "Agent", "value": r"web01 \(001, 10.0.0.5\)", "inline": True},
                    {"name": "Location", "value": "/var/log/secure", "inline": True},
                    {"name": "srcip", "value": "172.17.1.1", "inline": True},
                    {"name": "srcuser", "value": "paco", "inline": True},
                ],
                "description": FIELDS["full_log"].replace("[", r"\[").replace("]", r"\]"),
            }
        ],
        "allowed_mentions": {"parse": []},
    }


@pytest.mark.parametrize(
    ("hook", "url"),
    [
        *(
            (f"https://{host}/api{version}/webhooks/12/t-O_k{other}", f"https://{host}/api/v10/webhooks/12/t-O_k")
            for host in ("discord.com", "ptb.discord.com", "discordapp.com")
            for version, other in (("", ""), ("/v6", "/"), ("/v10", "/slack"))
        ),
        ("https://discord.com/api/webhooks/12/t?thread_id=7", "https://discord.com/api/v10/webhooks/12/t?thread_id=7"),
        *((one, one) for one in ("https://discord.com.evil.example/api/webhooks/1/x", HOOK["hook_url"])),
    ],
)
def test_the_url_asks_for_the_version_whose_pauses_are_seconds(hook: str, url: str) -> None:
    assert the_request("discord", alert(), hook_url=hook).url == url


def test_a_response_is_awaited_and_the_thread_is_named() -> None:
    assert the_request("discord", alert(), **HOOK).params == {"wait": "true"}
    named = the_request("discord", alert(), discord={"thread_id": "10987654321"}, **HOOK)
    assert named.params == {"wait": "true", "thread_id": "10987654321"}


def test_name_and_icon_are_options_and_options_replace_members() -> None:
    sent = body(discord={"username": "Wazuh", "avatar_url": "https://e.example/i.png"}, options='{"content": "<@&7>"}')
    assert (sent["username"], sent["avatar_url"], sent["content"]) == ("Wazuh", "https://e.example/i.png", "<@&7>")


def test_a_blank_value_is_sent_as_a_dash_since_discord_refuses_it() -> None:
    sent = body(message={"fields": {"A": "{{ data.srcip }}", "B": "{{ '\u3000' | raw }}x", "C": "{{ data.nothing }}"}})
    assert [one["name"] for one in sent["embeds"][0]["fields"]] == ["A", "B"]
    assert all(one["value"].strip() for one in sent["embeds"][0]["fields"])


def test_the_link_is_that_of_the_title_and_a_long_one_is_left_out() -> None:
    assert (
        body(message={"link": "https://soc.example/{{ id }}"})["embeds"][0]["url"]
        == f"https://soc.example/{FIELDS['id']}"
    )
    assert "url" not in body(message={"link": "https://soc.example/" + "é" * 400})["embeds"][0]


def test_a_stored_message_is_a_success() -> None:
    assert outcome(200, {"id": "1"}, x_ratelimit_remaining="4", x_ratelimit_reset_after="1.5") == Delivered()
    assert outcome(204) == Delivered()


def test_the_last_message_of_a_quota_pauses_the_target() -> None:
    assert outcome(200, {"id": "1"}, x_ratelimit_remaining="0", x_ratelimit_reset_after="1.75") == Delivered(
        after_s=1.75
    )
    assert outcome(200, {"id": "1"}, x_ratelimit_remaining="0", x_ratelimit_reset_after="soon") == Delivered()


@pytest.mark.parametrize(
    ("answer", "headers", "after_s"),
    [
        ({"message": "You are being rate limited.", "retry_after": 0.57, "global": False}, {}, 0.57),
        ({"retry_after": 64.57}, {"retry_after": "65"}, 65.0),
        ({"retry_after": 0.5}, {"x_ratelimit_reset_after": "2.25"}, 2.25),
        (b"<html>error 1015</html>", {"retry_after": "3600"}, 3600.0),
        (b"", {"x_ratelimit_reset_after": "1.5", "x_ratelimit_bucket": "abc"}, 1.5),
        (b"", {}, None),
        ({"retry_after": "soon"}, {"x_ratelimit_reset_after": "-1"}, None),
    ],
)
def test_a_rate_limit_pauses_the_target(answer: object, headers: dict[str, str], after_s: float | None) -> None:
    result = outcome(429, answer, **headers)
    assert isinstance(result, Retry)
    assert (result.reason, result.after_s) == (Reason.RATE_LIMITED, after_s)


@pytest.mark.parametrize(
    "answer",
    [
        {"message": "Webhooks posted to forum channels must have a thread", "code": 220001},
        {"code": 220003},
        {"message": "Unknown Channel", "code": 10003},
        {"message": "Thread is archived", "code": 50083},
        {"code": 50035, "errors": {"username": {"_errors": [{"code": "USERNAME_INVALID_CONTAINS"}]}}},
    ],
)
def test_what_is_the_same_for_every_alert_rejects_none(answer: object) -> None:
    result = outcome(400, answer)
    assert isinstance(result, Retry)
    assert result.reason is Reason.GONE


def test_a_refused_message_and_a_deleted_webhook() -> None:
    assert isinstance(outcome(400, {"code": 50035, "message": "Invalid Form Body"}), Rejected)
    assert isinstance(outcome(400, {"code": 2200011}), Rejected)
    assert isinstance(outcome(400, {"code": 50035, "errors": {"embeds": {"0": {"title": {}}}}}), Rejected)
    assert outcome(404, {"code": 10015, "message": "Unknown Webhook"}).reason is Reason.GONE
    assert outcome(401, {"code": 50027}).reason is Reason.UNAUTHORIZED


def test_the_colour_is_that_of_the_level() -> None:
    assert the_body("discord", alert(rule=rule(level=15)), **HOOK)["embeds"][0]["color"] == 0xA30200
