from __future__ import annotations

import json

import pytest

from common.outcome import Reason
from tests.workers.integrations.examples import alert, refusal, response, rule, service, the_body, the_request

URL = "https://ntfy.example.org/soc%2Dalerts"


def test_a_message_names_its_topic_and_priority() -> None:
    request = the_request("ntfy", alert(), hook_url=URL)
    assert request.url == "https://ntfy.example.org/"
    assert "Authorization" not in request.headers
    body = the_body("ntfy", alert(), hook_url=URL, ntfy={"tags": ["rotating_light", "wazuh"]})
    assert body["message"].startswith("May 11 12:29:18 web01 sshd[17584]")
    assert "\n\nRule: 5712 (level 10)\nAgent: web01 (001, 10.0.0.5)\n" in body["message"]
    assert {name: value for name, value in body.items() if name != "message"} == {
        "topic": "soc-alerts",
        "title": "sshd: brute force trying to get access to the system.",
        "priority": 4,
        "tags": ["rotating_light", "wazuh"],
    }


def test_the_token_goes_into_a_header() -> None:
    request = the_request("ntfy", alert(), hook_url=URL, api_key="tk_secret")
    assert request.headers["Authorization"] == "Bearer tk_secret"
    assert b"tk_secret" not in (request.body or b"")


def test_a_server_below_a_path_and_with_a_login_is_kept() -> None:
    request = the_request("ntfy", alert(), hook_url="https://me:pw@example.org/push/soc/")
    assert request.url == "https://me:pw@example.org/push/"


@pytest.mark.parametrize(("level", "priority"), [(0, 2), (4, 2), (5, 3), (7, 3), (8, 4), (12, 5), (16, 5)])
def test_the_priority_follows_the_level(level: int, priority: int) -> None:
    assert the_body("ntfy", alert(rule=rule(level=level)), hook_url=URL)["priority"] == priority


@pytest.mark.parametrize("url", ["https://ntfy.example.org", "https://ntfy.example.org/", "https://[x/y"])
def test_a_url_without_a_topic_is_refused(url: str) -> None:
    outcome = refusal("ntfy", alert(), hook_url=url)
    assert outcome.reason is Reason.NOT_CONFIGURED
    assert outcome.detail.startswith("ossec.conf:7: <hook_url>: ")


def test_a_topic_without_subscribers_is_retried() -> None:
    given = service("ntfy", hook_url=URL)
    outcome = given.interpret(alert(), given.build_calls(alert())[0], response(507, {"code": 50701}))
    assert outcome.reason is Reason.HTTP_5XX  # type: ignore[union-attr]  # Retry has a reason


@pytest.mark.parametrize("letter", ["x", "\N{PILE OF POO}", "\u5927", '"', "\\"])
def test_a_message_is_no_attachment_and_its_json_not_too_large(letter: str) -> None:
    message = {"text": "{{ full_log }}", "link": "https://e.example/" + "x" * 1_800}
    options = json.dumps({"actions": [{"action": "view", "url": "y" * 500}]})
    given = alert(full_log=letter * 9_000, data={f"d{n}": letter * 900 for n in range(20)})
    sent = the_request("ntfy", given, hook_url=URL, message=message, options=options).body or b""
    assert len(sent) <= 8_192
    assert len(json.loads(sent)["message"].encode()) < 4_096
    assert " more)" in json.loads(sent)["message"]
