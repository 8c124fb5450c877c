from __future__ import annotations

import pytest

from common.outcome import Delivered, Reason, Rejected, Retry
from tests.workers.integrations.examples import FIELDS, alert, refusal, response, rule, service, the_body, the_request
from workers.alert.alert import Alert

KEY = {"api_key": "0123456789abcdef0123456789abcdef"}


def test_a_repeated_alert_has_the_same_dedup_key() -> None:
    request = the_request("pagerduty", alert(), **KEY)
    assert (request.method, request.url) == ("POST", "https://events.pagerduty.com/v2/enqueue")
    assert the_body("pagerduty", alert(), **KEY) == {
        "routing_key": KEY["api_key"],
        "event_action": "trigger",
        "dedup_key": "node1:4f2a:1024",
        "payload": {
            "summary": FIELDS["rule"]["description"],
            "timestamp": FIELDS["timestamp"],
            "source": "web01",
            "severity": "error",
            "group": "syslog, sshd, authentication_failures",
            "custom_details": FIELDS,
        },
        "client": "Wazuh Monitoring Service",
        "client_url": "https://wazuh.com",
    }


@pytest.mark.parametrize(
    ("level", "severity"),
    [(0, "info"), (6.9, "info"), (7, "warning"), (9, "warning"), (10, "error"), (12, "error"), (13, "critical")],
)
def test_the_level_gives_the_severity(level: float, severity: str) -> None:
    assert the_body("pagerduty", alert(rule=rule(level=level)), **KEY)["payload"]["severity"] == severity


@pytest.mark.parametrize(
    ("members", "source"),
    [
        ({"agentless": {"host": "root@router"}}, "root@router"),
        ({}, "wazuh-mgr"),
        ({"agent": {}}, "wazuh-mgr"),
    ],
)
def test_an_alert_without_agent_has_a_fallback_source(members: dict[str, object], source: str) -> None:
    given = alert(**members) if "agent" in members else alert("agent", **members)
    assert the_body("pagerduty", given, **KEY)["payload"]["source"] == source


def test_an_alert_without_any_source_is_a_dead_letter() -> None:
    outcome = refusal("pagerduty", alert("agent", "manager"), **KEY)
    assert isinstance(outcome, Rejected)
    assert outcome.detail.startswith("agent.name is missing")


def test_a_rule_without_groups_is_sent_without_group() -> None:
    assert the_body("pagerduty", alert(rule={"level": 3}), **KEY)["payload"]["group"] == ""


def test_groups_that_are_not_strings_are_refused() -> None:
    outcome = refusal("pagerduty", alert(rule=rule(groups=["a", 5])), **KEY)
    assert outcome == Rejected(Reason.INVALID_ALERT, "rule.groups is not a list of strings")


def test_options_replace_top_level_members_only() -> None:
    body = the_body("pagerduty", alert(), options='{"payload": {"summary": "x"}, "severity": "critical"}', **KEY)
    assert (body["payload"], body["severity"]) == ({"summary": "x"}, "critical")


def test_a_dedup_key_is_never_too_long_for_pagerduty() -> None:
    keys = {
        the_body("pagerduty", Alert(alert().raw, delivery_id), **KEY)["dedup_key"]
        for delivery_id in ("n" * 255, "n" * 256, "n" * 257)
    }
    assert len(keys) == 3
    assert max(map(len, keys)) == 255


def test_pagerduty_s_error_is_the_detail() -> None:
    body = {"status": "invalid event", "errors": ["'payload.summary' is missing or blank"]}
    outcome = service("pagerduty", **KEY).interpret(
        alert(), the_request("pagerduty", alert(), **KEY), response(400, body)
    )
    assert isinstance(outcome, Rejected)
    assert "'payload.summary' is missing" in outcome.detail


@pytest.mark.parametrize(
    "body",
    [
        {"status": "invalid key", "message": "Invalid routing key"},
        {"status": "invalid event", "errors": ["Length of 'routing_key' is incorrect (should be 32 characters)"]},
    ],
)
def test_a_400_about_the_key_is_unauthorized(body: dict[str, object]) -> None:
    outcome = service("pagerduty", **KEY).interpret(
        alert(), the_request("pagerduty", alert(), **KEY), response(400, body)
    )
    assert isinstance(outcome, Retry)
    assert outcome.reason is Reason.UNAUTHORIZED


@pytest.mark.parametrize(
    ("headers", "after_s"), [({}, 120), ({"retry_after": "5"}, 120), ({"retry_after": "190"}, 190)]
)
def test_a_429_pauses_for_two_minutes_or_longer(headers: dict[str, str], after_s: float) -> None:
    call = the_request("pagerduty", alert(), **KEY)
    outcome = service("pagerduty", **KEY).interpret(alert(), call, response(429, **headers))
    assert outcome == Retry(Reason.RATE_LIMITED, "HTTP 429", after_s)


def test_202_delivers() -> None:
    assert (
        service("pagerduty", **KEY).interpret(alert(), the_request("pagerduty", alert(), **KEY), response(202))
        == Delivered()
    )


@pytest.mark.parametrize("description", ["", None])
def test_an_alert_without_a_description_has_a_summary(description: object) -> None:
    given = alert(rule={**FIELDS["rule"], "description": description})
    assert the_body("pagerduty", given, api_key="k" * 32)["payload"]["summary"] == "N/A"
