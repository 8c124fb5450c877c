from __future__ import annotations

import pytest

from common.outcome import Delivered, Reason, Rejected, Retry
from tests.workers.integrations.examples import alert, refusal, response, rule, service, the_body, the_request

HOOK = {"hook_url": "https://hooks.slack.com/services/T0/B0/XXXXXXXXXXXXXXXXXXXXXXXX"}


def test_the_alert_is_posted_byte_for_byte_as_the_stock_script_does() -> None:
    request = the_request("slack", alert(), **HOOK)
    assert (request.method, request.url) == ("POST", HOOK["hook_url"])
    assert request.headers == {"content-type": "application/json", "Accept-Charset": "UTF-8"}
    assert request.body == (
        b'{"attachments": [{"color": "danger", "pretext": "WAZUH Alert", '
        b'"title": "sshd: brute force trying to get access to the system.", '
        b'"text": "May 11 12:29:18 web01 sshd[17584]: Invalid user paco from 172.17.1.1 port 56404", '
        b'"fields": [{"title": "Agent", "value": "(001) - web01"}, {"title": "Location", "value": "/var/log/secure"}, '
        b'{"title": "Rule ID", "value": "5712 _(Level 10)_"}], "ts": "1715430559.1549653"}]}'
    )


@pytest.mark.parametrize(
    ("level", "color"), [(0, "good"), (4, "good"), (5, "warning"), (7, "warning"), (7.5, "danger"), (8, "danger")]
)
def test_the_level_gives_the_color(level: float, color: str) -> None:
    assert the_body("slack", alert(rule=rule(level=level)), **HOOK)["attachments"][0]["color"] == color


def test_an_agentless_alert_names_its_host() -> None:
    body = the_body("slack", alert("agent", agentless={"host": "root@router"}), **HOOK)
    assert body["attachments"][0]["fields"][0] == {"title": "Agentless Host", "value": "root@router"}


def test_absent_texts_have_defaults() -> None:
    attachment = the_body("slack", alert("full_log", rule={"level": 3, "id": "1"}), **HOOK)["attachments"][0]
    assert (attachment["title"], attachment["text"]) == ("N/A", None)


def test_options_go_into_the_attachment_and_replace_whole_members() -> None:
    body = the_body("slack", alert(), options='{"pretext": "é", "fields": [], "channel": "#x"}', **HOOK)
    assert body.keys() == {"attachments"}
    attachment = body["attachments"][0]
    assert (attachment["pretext"], attachment["fields"], attachment["channel"]) == ("é", [], "#x")


@pytest.mark.parametrize(
    ("without", "members", "missing"),
    [
        ("id", {}, "id is missing"),
        ("location", {}, "location is missing"),
        ("agent", {"agent": {"id": "001"}}, "agent.name is missing"),
        ("agent", {"agent": None}, "agent is not an object"),
        ("rule", {"rule": None}, "rule is not an object"),
        ("rule", {"rule": {"level": "10", "id": "1"}}, "rule.level is not a number"),
    ],
)
def test_a_dead_letter_names_the_missing_field(without: str, members: dict[str, object], missing: str) -> None:
    given = alert(**members) if members else alert(without)
    assert refusal("slack", given, **HOOK) == Rejected(Reason.INVALID_ALERT, missing)


@pytest.mark.parametrize("body", [b"ok", b"", b'{"success": true}'])
def test_a_200_is_a_success_whatever_it_says(body: bytes) -> None:
    assert (
        service("slack", **HOOK).interpret(alert(), the_request("slack", alert(), **HOOK), response(200, body))
        == Delivered()
    )


@pytest.mark.parametrize(
    ("status", "word", "reason"),
    [
        (400, b"invalid_payload", Reason.HTTP_4XX),
        (403, b"action_prohibited", Reason.UNAUTHORIZED),
        (404, b"no_service", Reason.GONE),
        (404, b"channel_not_found", Reason.GONE),
        (410, b"channel_is_archived", Reason.GONE),
    ],
)
def test_slack_s_error_is_the_detail(status: int, word: bytes, reason: Reason) -> None:
    kind = Rejected if reason is Reason.HTTP_4XX else Retry
    outcome = service("slack", **HOOK).interpret(alert(), the_request("slack", alert(), **HOOK), response(status, word))
    assert outcome == kind(reason, f"HTTP {status}: {word.decode()}")
