from __future__ import annotations

import json
from typing import Any

import pytest

from common.outcome import Delivered, Reason, Rejected, Retry
from tests.workers.integrations.examples import FIELDS, alert, refusal, response, service, the_body, the_request
from workers.alert.alert import Alert
from workers.integrations.splunk_hec import SplunkHec

HEC = {"hook_url": "https://splunk.example.com:8088", "api_key": "11111111-2222-3333-4444-555555555555"}


def hec(**options: Any) -> SplunkHec:
    made = service("splunk-hec", **HEC, **{"splunk-hec": options})
    assert isinstance(made, SplunkHec)
    return made


def test_an_alert_is_one_event() -> None:
    sent = the_request("splunk-hec", alert(), **HEC)
    assert (sent.method, sent.url) == ("POST", "https://splunk.example.com:8088/services/collector/event")
    assert sent.headers == {"Authorization": f"Splunk {HEC['api_key']}", "Content-Type": "application/json"}
    assert json.loads(sent.body or b"") == {
        "time": 1715430559.905,
        "host": "web01",
        "fields": {"courier_delivery": "node1:4f2a:1024"},
        "event": FIELDS,
    }


def test_the_address_may_have_a_path() -> None:
    sent = the_request("splunk-hec", alert(), hook_url="https://x.example/hec/v1", api_key="t")
    assert sent.url == "https://x.example/hec/v1"


def test_the_operator_says_where_events_go() -> None:
    options = {"index": "wazuh", "sourcetype": "wazuh:alert", "source": "courier", "host": "siem"}
    body = the_body("splunk-hec", alert("timestamp"), **HEC, **{"splunk-hec": options})
    assert {name: body[name] for name in options} == options
    assert "time" not in body


def test_numbers_of_the_alert_keep_their_text() -> None:
    raw = alert().raw.replace(b'"level": 10', b'"level": 10.000000000000000001')
    (call,) = hec().build_calls(Alert(raw, "x"))
    assert b"10.000000000000000001" in (call.body or b"")


def test_an_alert_without_a_level_is_refused() -> None:
    outcome = refusal("splunk-hec", alert("rule"), **HEC)
    assert (outcome.reason, outcome.detail) == (Reason.INVALID_ALERT, "rule is missing")


def test_a_batch_is_one_body_with_all_events() -> None:
    served = hec(batch=3)
    calls = [served.build_calls(Alert(alert().raw, f"n:{n}"))[0] for n in range(3)]
    joint = served.join(calls)
    assert (joint.url, joint.headers) == (calls[0].url, calls[0].headers)
    events = [json.loads(line) for line in (joint.body or b"").splitlines()]
    assert [event["fields"]["courier_delivery"] for event in events] == ["n:0", "n:1", "n:2"]


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (200, 0, (Delivered, None)),
        (403, 1, (Retry, Reason.UNAUTHORIZED)),
        (401, 2, (Retry, Reason.UNAUTHORIZED)),
        (401, 3, (Retry, Reason.UNAUTHORIZED)),
        (403, 4, (Retry, Reason.UNAUTHORIZED)),
        (400, 5, (Rejected, Reason.HTTP_4XX)),
        (400, 6, (Rejected, Reason.HTTP_4XX)),
        (400, 7, (Retry, Reason.NOT_CONFIGURED)),
        (500, 8, (Retry, Reason.HTTP_5XX)),
        (503, 9, (Retry, Reason.HTTP_5XX)),
        (400, 10, (Retry, Reason.NOT_CONFIGURED)),
        (400, 11, (Retry, Reason.NOT_CONFIGURED)),
        (400, 12, (Rejected, Reason.HTTP_4XX)),
        (400, 13, (Rejected, Reason.HTTP_4XX)),
        (400, 14, (Retry, Reason.NOT_CONFIGURED)),
        (400, 15, (Retry, Reason.NOT_CONFIGURED)),
        (400, 16, (Retry, Reason.NOT_CONFIGURED)),
        (503, 18, (Retry, Reason.HTTP_5XX)),
        (400, 21, (Retry, Reason.NOT_CONFIGURED)),
        (400, 22, (Retry, Reason.NOT_CONFIGURED)),
        (503, 23, (Retry, Reason.HTTP_5XX)),
        (200, 24, (Delivered, None)),
        (200, 25, (Delivered, None)),
        (429, 26, (Retry, Reason.RATE_LIMITED)),
        (429, 27, (Retry, Reason.RATE_LIMITED)),
        (400, "7", (Rejected, Reason.HTTP_4XX)),
        (400, [7], (Rejected, Reason.HTTP_4XX)),
        (400, {}, (Rejected, Reason.HTTP_4XX)),
    ],
)
def test_each_code_of_splunk_has_its_meaning(status: int, code: object, expected: tuple[type, Reason | None]) -> None:
    served = hec()
    (call,) = served.build_calls(alert())
    outcome = served.interpret(alert(), call, response(status, {"text": "…", "code": code}))
    assert (type(outcome), getattr(outcome, "reason", None)) == expected


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"text": "Invalid data format", "code": 6, "invalid-event-number": 3}, 3),
        ({"text": "Invalid data format", "code": 6}, None),
        ({"invalid-event-number": "3"}, None),
        ({"invalid-event-number": True}, None),
        ({"invalid-event-number": -1}, -1),
        (b"words", None),
        ([3], None),
    ],
)
def test_the_invalid_event_is_known_by_its_number(body: object, place: int | None) -> None:
    assert hec().culprit(response(400, body)) == place
