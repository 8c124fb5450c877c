from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
from base64 import b64encode
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from cloudevents.core.formats.json import JSONFormat
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # a test needs no stubs of its own
from ocsf_json_schema import (  # type: ignore[import-untyped]  # it has none
    OcsfJsonSchemaEmbedded,
    get_ocsf_schema,
)
from standardwebhooks.webhooks import Webhook as StandardWebhook
from standardwebhooks.webhooks import WebhookVerificationError

import ops.demo
from common.outcome import Delivered, Reason, Rejected, Retry
from common.services.webhook import Format, WebhookOptions, check
from tests.workers.integrations.examples import (
    FIELDS,
    NOW_S,
    alert,
    block,
    refusal,
    response,
    rule,
    service,
    the_request,
)
from workers.alert.alert import Alert
from workers.calls import Request as RequestCall
from workers.integrations.base import Batching

if TYPE_CHECKING:
    from workers.calls import Request

HOOK = {"hook_url": "https://hooks.example.com/x"}
ID = "node1:4f2a:1024"
SECRETS = [f"whsec_{b64encode(letter * 32).decode()}" for letter in (b"a", b"b")]
SAMPLES = [
    Alert(line, f"node1:{n}")
    for n, line in enumerate((Path(ops.demo.__file__).parent / "sample/alerts.json").read_bytes().splitlines())
]


def request(given: Alert | None = None, **webhook: Any) -> Request:
    return the_request("webhook", given or alert(), webhook=webhook, **HOOK)


def body(given: Alert | None = None, **webhook: Any) -> Any:
    return json.loads(request(given, **webhook).body or b"")


def test_by_default_the_alert_is_posted_as_it_is() -> None:
    exact = alert(data={"big": 2**70}).raw.replace(b"10,", b"0.30000000000000004,", 1)
    sent = the_request("webhook", Alert(exact, ID), **HOOK)
    assert (sent.method, sent.url) == ("POST", HOOK["hook_url"])
    assert sent.headers == {"content-type": "application/json", "webhook-id": ID, "idempotency-key": ID}
    assert sent.body == exact


def test_method_and_headers_are_the_operator_s() -> None:
    sent = request(method="PUT", headers={"Authorization": "Bearer x", "Content-Type": "application/vnd.x+json"})
    assert sent.method == "PUT"
    assert sent.headers == {
        "Authorization": "Bearer x",
        "Content-Type": "application/vnd.x+json",
        "webhook-id": ID,
        "idempotency-key": ID,
    }


# -- formats


@pytest.mark.parametrize("given", [alert(), alert("timestamp", "agent"), *SAMPLES[:20]])
def test_the_cloudevents_sdk_reads_the_event(given: Alert) -> None:
    sent = request(given, format="cloudevents")
    assert sent.headers["content-type"] == "application/cloudevents+json"
    event = from_http_event(HTTPMessage(dict(sent.headers), sent.body or b""), JSONFormat())
    assert event.get_id() == given.delivery_id
    assert event.get_type() == "com.wazuh.alert"
    assert event.get_source().startswith("/wazuh/")
    assert event.get_data() == json.loads(given.raw)


def test_the_subject_of_an_event_has_no_control_characters() -> None:
    hostile = alert(agent={"name": "we\x00b\x1b[31m\ud800\n01"})
    subject = json.loads(request(hostile, format="cloudevents").body or b"")["subject"]
    assert subject.startswith("we")
    assert subject.isprintable()  # CloudEvents 1.0, "Type System", String


@cache
def detection_finding() -> Draft202012Validator:
    schema = OcsfJsonSchemaEmbedded(get_ocsf_schema(version="1.3.0"))
    return Draft202012Validator(schema.get_class_schema("detection_finding"))


@pytest.mark.parametrize("given", [alert(), alert("agent", "timestamp", "id"), *SAMPLES[:20]])
def test_a_finding_is_valid_against_ocsf_s_schema(given: Alert) -> None:
    finding = body(given, format="ocsf")
    assert [error.message for error in detection_finding().iter_errors(finding)] == []
    assert (finding["class_uid"], finding["type_uid"]) == (2004, 200401)


def test_a_finding_says_what_the_alert_says() -> None:
    mitre = {"id": ["T1110"], "technique": ["Brute Force"]}
    finding = body(alert(rule=rule(mitre=mitre)), format="ocsf")
    assert (finding["severity_id"], finding["time"], finding["raw_data"]) == (3, 1715430559905, FIELDS["full_log"])
    assert finding["finding_info"]["attacks"] == [{"technique": {"uid": "T1110", "name": "Brute Force"}}]
    assert finding["finding_info"]["analytic"]["uid"] == "5712"
    assert finding["resources"] == [{"uid": "001", "name": "web01", "type": "agent"}]


@pytest.mark.parametrize(("level", "word"), [(0, "info"), (4, "low"), (7, "medium"), (12, "high"), (15, "critical")])
def test_alertmanager_gets_one_firing_alert(level: int, word: str) -> None:
    sent = body(alert(rule=rule(level=level)), format="alertmanager")
    assert (sent["version"], sent["status"], sent["receiver"], sent["groupKey"]) == ("4", "firing", "webhook", ID)
    (one,) = sent["alerts"]
    assert one["labels"] == {
        "alertname": FIELDS["rule"]["description"],
        "severity": word,
        "level": str(level),
        "rule_id": "5712",
        "agent": "web01",
        "agent_id": "001",
        "location": "/var/log/secure",
        "manager": "wazuh-mgr",
    }
    assert (one["startsAt"], one["endsAt"]) == ("2024-05-11T12:29:19.905Z", "0001-01-01T00:00:00Z")
    assert one["fingerprint"] == hashlib.blake2b(ID.encode(), digest_size=8).hexdigest()
    assert "srcip: 172.17.1.1" in one["annotations"]["description"]


# -- a body by template


def test_a_body_is_json_whatever_the_alert_says() -> None:
    template = '{"text": "{{ rule.description }}", "level": {{ rule.level }}, "log": {{ full_log | tojson }}}'
    hostile = alert(rule=rule(description='"}, {"x": "\\\n'), full_log='"\x00é')
    assert body(hostile, body=template) == {"text": '"}, {"x": "\\\n', "level": 10, "log": '"\x00é'}


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ('{"a": {{ full_log }}}', "the template does not give valid JSON for this alert"),
        ('{"a": {{ data.nope }}}', "the template does not give valid JSON for this alert"),
        ('{"a": {{ full_log * 2 }}}', "line 1 of the template: it fails on this alert: a value is not a number"),
    ],
)
def test_a_body_that_fails_sends_the_alert_with_a_note(template: str, problem: str) -> None:
    sent = body(alert(courier={"reason": "gone"}), body=template)
    assert sent["rule"] == FIELDS["rule"]
    assert sent["courier"]["reason"] == "gone"
    assert sent["courier"]["note"].startswith(f"Courier sends the whole alert: {problem}")


# -- signatures


def test_the_reference_library_verifies_both_signatures(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = request(signing_secret=SECRETS)
    headers, payload = dict(sent.headers), sent.body or b""
    assert headers["webhook-timestamp"] == str(int(NOW_S))
    monkeypatch.setattr(StandardWebhook, "_Webhook__verify_timestamp", _any_time, raising=False)
    for secret in SECRETS:
        assert _verified(StandardWebhook(secret), payload, headers) == FIELDS
    with pytest.raises(WebhookVerificationError):
        _verified(StandardWebhook(f"whsec_{b64encode(b'c' * 32).decode()}"), payload, headers)
    with pytest.raises(WebhookVerificationError):
        _verified(StandardWebhook(SECRETS[0]), payload + b" ", headers)


def _any_time(_self: object, timestamp: str) -> object:
    return dt.datetime.fromtimestamp(float(timestamp), tz=dt.UTC)


def _verified(webhook: StandardWebhook, payload: bytes, headers: dict[str, str]) -> Any:
    return webhook.verify(payload.decode(), headers)


def test_without_a_secret_nothing_is_signed() -> None:
    assert not {"webhook-signature", "webhook-timestamp"} & request().headers.keys()


# -- responses


def outcome(status: int, answer: object = b"", **webhook: Any) -> Any:
    served = service("webhook", webhook=webhook, **HOOK)
    (call,) = served.build_calls(alert())
    return served.interpret(alert(), call, response(status, answer))


def test_the_listed_statuses_are_success() -> None:
    assert outcome(409, success=["2xx", 409]) == Delivered()
    assert outcome(200, success=[202]) == Retry(Reason.INVALID_RESPONSE, "not what success asks for: HTTP 200")
    assert outcome(409, success=[202]) == Rejected(Reason.HTTP_4XX, "HTTP 409")
    assert outcome(503, success=[202]) == Retry(Reason.HTTP_5XX, "HTTP 503")


@pytest.mark.parametrize(
    ("answer", "is_success"),
    [({"ok": True}, True), ({"ok": False}, False), ({"ok": "true"}, True), (b"ok", False), ([1], False), (b"", False)],
)
def test_a_condition_about_the_response_decides(answer: object, *, is_success: bool) -> None:
    result = outcome(200, answer, success_if="ok = true")
    assert result == Delivered() if is_success else isinstance(result, Retry)
    assert is_success or result.reason is Reason.INVALID_RESPONSE


def test_an_alert_without_a_level_is_a_dead_letter() -> None:
    assert refusal("webhook", alert("rule"), **HOOK) == Rejected(Reason.INVALID_ALERT, "rule is missing")


def joint(count: int, **webhook: Any) -> Request:
    served = service("webhook", webhook={"batch": 10, **webhook}, **HOOK)
    assert isinstance(served, Batching)
    calls = [served.build_calls(Alert(alert(id=str(n)).raw, f"n:{n}"))[0] for n in range(count)]
    sent = served.join(calls)
    assert isinstance(sent, RequestCall)
    return sent


@pytest.mark.parametrize("count", [1, 3])
def test_a_batch_is_a_list_even_of_one(count: int) -> None:
    array = joint(count)
    assert [one["id"] for one in json.loads(array.body or b"")] == [str(n) for n in range(count)]
    assert array.headers["content-type"] == "application/json"
    lines = joint(count, batch_format="ndjson", body='{\n"id": "{{ alert.id }}"\n}')
    assert (lines.body or b"").endswith(b"\n")
    assert [json.loads(one)["id"] for one in (lines.body or b"").splitlines()] == [str(n) for n in range(count)]
    assert lines.headers["content-type"] == "application/x-ndjson"
    events = joint(count, format="cloudevents")
    assert events.headers["content-type"] == "application/cloudevents-batch+json"
    assert [one["id"] for one in json.loads(events.body or b"")] == [f"n:{n}" for n in range(count)]


def test_a_batch_has_an_id_and_a_signature_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = joint(3, signing_secret=SECRETS[0])
    assert sent.headers["webhook-id"] == sent.headers["idempotency-key"]
    assert re.fullmatch(r"batch:[0-9a-f]{32}", sent.headers["webhook-id"])
    assert sent.headers["webhook-id"] == joint(3).headers["webhook-id"] != joint(2).headers["webhook-id"]
    monkeypatch.setattr(StandardWebhook, "_Webhook__verify_timestamp", _any_time, raising=False)
    assert len(_verified(StandardWebhook(SECRETS[0]), sent.body or b"", dict(sent.headers))) == 3
    assert joint(1).headers["webhook-id"] == "n:0"


def test_alertmanager_s_receivers_take_no_lists() -> None:
    options = WebhookOptions(batch=2, format=Format.ALERTMANAGER)
    assert dict(check(block("webhook", **HOOK), options)).keys() == {"batch"}
