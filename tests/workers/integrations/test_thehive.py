from __future__ import annotations

from pathlib import Path
from typing import Any, get_type_hints

import msgspec
import pytest
from thehive4py.types.alert import InputAlert
from thehive4py.types.observable import InputObservable

import ops.demo
from common.outcome import Delivered, Reason, Rejected, Retry
from tests.workers.integrations.examples import FIELDS, alert, refusal, response, rule, service, the_body, the_request
from workers.alert.alert import Alert

API = {"hook_url": "https://hive.example.com/", "api_key": "s3cr3t-key"}
ID = "node1:4f2a:1024"
SAMPLES = [
    Alert(line, f"node1:{n}")
    for n, line in enumerate((Path(ops.demo.__file__).parent / "sample/alerts.json").read_bytes().splitlines())
]
EXISTS = {"type": "CreateError", "message": f"Alert wazuh:wazuh:{ID} already exist in organisation soc"}


def filed(given: Alert | None = None, message: dict[str, Any] | None = None, **thehive: Any) -> Any:
    sections = {"thehive": thehive} | ({"message": message} if message else {})
    return the_body("thehive", given or alert(), **sections, **API)


def outcome(status: int, answer: object = b"") -> Any:
    served = service("thehive", **API)
    (call,) = served.build_calls(alert())
    return served.interpret(alert(), call, response(status, answer))


def test_an_alert_is_created_with_the_delivery_s_id() -> None:
    sent = the_request("thehive", alert(), **API)
    assert (sent.method, sent.url) == ("POST", "https://hive.example.com/api/v1/alert")
    assert sent.headers == {"content-type": "application/json", "authorization": "Bearer s3cr3t-key"}
    body = filed()
    assert (body["type"], body["source"], body["sourceRef"], body["severity"]) == ("wazuh", "wazuh", ID, 2)
    assert (body["tlp"], body["pap"], body["date"]) == (2, 2, 1715430559905)
    assert body["title"] == FIELDS["rule"]["description"]
    assert body["tags"] == ["wazuh", "rule=5712", "agent=web01", *FIELDS["rule"]["groups"]]
    assert body["observables"] == [
        {"dataType": "ip", "data": "172.17.1.1", "message": "data.srcip", "tags": ["srcip"]},
        {"dataType": "other", "data": "paco", "message": "data.srcuser", "tags": ["user"]},
    ]


def assert_is(value: dict[str, Any], kind: Any, but: str) -> None:
    """Check a value against a type of the client; the member `but` has a type that msgspec does not support."""
    hints = get_type_hints(kind)
    assert kind.__required_keys__ <= value.keys() <= hints.keys()
    for name in value.keys() - {but}:
        msgspec.convert(value[name], hints[name])


@pytest.mark.parametrize("given", [alert(), alert("timestamp", "agent", "data"), *SAMPLES])
def test_the_client_of_thehive_accepts_the_alert(given: Alert) -> None:
    body = filed(given)
    seen = body.get("observables", [])
    assert_is(body, InputAlert, "observables")
    for one in seen:
        assert_is(one, InputObservable, "attachment")
    assert len({(one["dataType"], one["data"]) for one in seen}) == len(seen)


@pytest.mark.parametrize(("level", "number"), [(3, 1), (4, 1), (7, 2), (12, 3), (15, 4)])
def test_the_severity_follows_the_level(level: int, number: int) -> None:
    assert filed(alert(rule=rule(level=level)))["severity"] == number


def test_options_say_how_it_is_filed() -> None:
    body = filed(type="siem", source="wazuh-eu", tlp=4, pap=3, tags=["eu"], observables=False, case_template="SSH")
    assert (body["type"], body["source"], body["tlp"], body["pap"]) == ("siem", "wazuh-eu", 4, 3)
    assert (body["tags"][0], body["caseTemplate"]) == ("eu", "SSH")
    assert "observables" not in body
    sent = the_request("thehive", alert(), thehive={"organisation": "soc"}, **API)
    assert sent.headers["x-organisation"] == "soc"


def test_a_message_of_the_operator_s_is_shown() -> None:
    body = filed(message={"title": "{{ agent.name }}: {{ rule.id }}", "text": "**{{ full_log }}**", "fields": {}})
    assert (body["title"], body["description"][:2]) == ("web01: 5712", "**")


def test_alert_text_is_no_markdown_and_no_second_tag() -> None:
    hostile = "![x](http://evil.example/x) <script>\n# title"
    body = filed(alert(full_log=hostile, rule=rule(description=hostile, groups=[hostile, ["x"], 7])))
    assert "![" not in body["description"]
    assert body["title"] == "![x]\u200b(http://evil.example/x) <\u200bscript> # title"  # plain text: no backslashes
    assert "\n" not in body["title"] + "".join(body["tags"])
    assert "\n# title" not in body["description"]


def test_a_long_id_is_replaced_by_its_hash() -> None:
    long = [filed(Alert(alert().raw, f"{'n' * 200}:{n}"))["sourceRef"] for n in (1, 2)]
    assert len(set(long)) == 2
    assert all(one.startswith("courier-") and len(one) <= 128 for one in long)


@pytest.mark.parametrize("status", [400, 409])
def test_an_alert_that_exists_is_delivered(status: int) -> None:
    assert outcome(status, EXISTS) == Delivered()


@pytest.mark.parametrize(
    ("status", "answer", "expected"),
    [
        (201, {"_id": "~1"}, Delivered),
        (400, {"type": "CreateError", "message": "Observable already exists"}, Rejected),
        (400, {"type": "AttributeCheckingError", "message": "severity"}, Rejected),
        (400, {"message": ["Alert already exists"]}, Rejected),
        (400, b"Alert already exists", Rejected),
        (401, {"type": "AuthenticationError", "message": "Alert already exists"}, Retry),
        (403, b"", Retry),
        (404, b"", Retry),
        (413, b"", Rejected),
        (500, EXISTS, Retry),
    ],
)
def test_other_responses_mean_what_they_say(status: int, answer: object, expected: type) -> None:
    assert type(outcome(status, answer)) is expected


def test_retry_after_pauses_the_target() -> None:
    served = service("thehive", **API)
    (call,) = served.build_calls(alert())
    result = served.interpret(alert(), call, response(429, retry_after="7"))
    assert result == Retry(Reason.RATE_LIMITED, "HTTP 429", 7.0)


@pytest.mark.parametrize("url", ["https://me:pw@hive.example", "ftp://hive.example", "https://hive.example/?a=b"])
def test_an_address_with_more_than_a_path_is_refused(url: str) -> None:
    refused = refusal("thehive", alert(), hook_url=url, api_key="k")
    assert refused.reason is Reason.NOT_CONFIGURED
    assert "pw" not in refused.detail


def test_an_alert_without_a_level_is_a_dead_letter() -> None:
    assert refusal("thehive", alert("rule"), **API) == Rejected(Reason.INVALID_ALERT, "rule is missing")
