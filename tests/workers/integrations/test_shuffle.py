from __future__ import annotations

import pytest

from common.json_depth import MAX_DEPTH
from common.outcome import Delivered, Reason, Rejected, Skipped
from tests.workers.integrations.examples import FIELDS, alert, refusal, response, rule, service, the_body, the_request
from workers.alert.alert import Alert

HOOK = {"hook_url": "http://shuffle.example.com:3001/api/v1/hooks/webhook_0123-4567"}


def test_the_alert_is_posted_with_all_its_fields() -> None:
    request = the_request("shuffle", alert(), **HOOK)
    assert (request.method, request.url) == ("POST", HOOK["hook_url"])
    assert the_body("shuffle", alert(), **HOOK) == {
        "severity": 3,
        "pretext": "WAZUH Alert",
        "title": FIELDS["rule"]["description"],
        "text": FIELDS["full_log"],
        "rule_id": "5712",
        "timestamp": FIELDS["timestamp"],
        "id": FIELDS["id"],
        "all_fields": FIELDS,
    }


@pytest.mark.parametrize(("level", "severity"), [(0, 1), (4, 1), (5, 2), (7, 2), (8, 3), (15, 3)])
def test_the_level_gives_the_severity(level: int, severity: int) -> None:
    assert the_body("shuffle", alert(rule=rule(level=level)), **HOOK)["severity"] == severity


@pytest.mark.parametrize("rule_id", ["5710", "86001", "87932"])
def test_excluded_rules_are_skipped_even_with_missing_fields(rule_id: str) -> None:
    assert refusal("shuffle", alert("id", rule=rule(id=rule_id)), **HOOK) == Skipped(
        Reason.RULE_EXCLUDED, f"rule {rule_id}"
    )


def test_a_numeric_rule_id_is_not_excluded() -> None:
    assert the_body("shuffle", alert(rule=rule(id=5710)), **HOOK)["rule_id"] == 5710


def test_the_numbers_of_the_alert_keep_their_digits() -> None:
    exact = alert(data={"big": 2**70}).raw.replace(b"10,", b"0.30000000000000004,", 1)
    body = the_request("shuffle", Alert(exact), **HOOK).body or b""
    assert b'"level": 0.30000000000000004,' in body
    assert str(2**70).encode() in body


def test_options_may_replace_everything() -> None:
    assert the_body("shuffle", alert(), options='{"all_fields": null}', **HOOK)["all_fields"] is None


@pytest.mark.parametrize("needed", ["id", "timestamp"])
def test_missing_fields_make_a_dead_letter(needed: str) -> None:
    assert refusal("shuffle", alert(needed), **HOOK) == Rejected(Reason.INVALID_ALERT, f"{needed} is missing")


def test_any_2xx_delivers() -> None:
    assert (
        service("shuffle", **HOOK).interpret(alert(), the_request("shuffle", alert(), **HOOK), response(202))
        == Delivered()
    )


def test_an_alert_nested_too_deeply_to_be_written_is_a_dead_letter() -> None:
    deep = alert(data="HERE").raw.replace(b'"HERE"', b"[" * (MAX_DEPTH - 1) + b"0.5" + b"]" * (MAX_DEPTH - 1))
    outcome = refusal("shuffle", Alert(deep), **HOOK)
    assert outcome == Rejected(Reason.INVALID_ALERT, "the alert cannot be written: it is nested too deeply")
