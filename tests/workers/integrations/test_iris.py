from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import pytest
from msgspec import Meta

import ops.demo
from common.outcome import Delivered, Reason, Rejected, Retry
from tests.workers.integrations.examples import FIELDS, alert, refusal, response, rule, service
from workers.alert.alert import Alert

if TYPE_CHECKING:
    from workers.calls import Request

API = {"hook_url": "https://iris.example.com", "api_key": "s3cr3t-key"}
ID = "node1:4f2a:1024"
SAMPLES = [
    Alert(line, f"node1:{n}")
    for n, line in enumerate((Path(ops.demo.__file__).parent / "sample/alerts.json").read_bytes().splitlines())
]
RowId = Annotated[int, Meta(ge=1)]
Text = Annotated[str, Meta(min_length=1)]


class Ioc(msgspec.Struct, forbid_unknown_fields=True):
    """An IOC as IocSchema of iris-web 2.4 loads it."""

    ioc_value: Text
    ioc_description: str
    ioc_type_id: RowId
    ioc_tlp_id: RowId
    ioc_tags: str


class IrisAlert(msgspec.Struct, forbid_unknown_fields=True):
    """An alert as AlertSchema of iris-web 2.4 loads it; title, source, status, severity and customer are required."""

    alert_title: Text
    alert_description: Text
    alert_source: Text
    alert_source_ref: Text
    alert_source_link: str
    alert_severity_id: RowId
    alert_status_id: RowId
    alert_customer_id: RowId
    alert_tags: str
    alert_source_content: dict[str, Any]
    alert_source_event_time: dt.datetime | None = None
    alert_classification_id: RowId | None = None
    alert_iocs: list[Ioc] = []


def calls(given: Alert | None = None, **iris: Any) -> tuple[Request, Request]:
    search, addition = service("iris", iris=iris, **API).build_calls(given or alert())
    return search, addition


def filed(given: Alert | None = None, **iris: Any) -> Any:
    return json.loads(calls(given, **iris)[1].body or b"")


def found(*refs: str) -> dict[str, Any]:
    alerts = [{"alert_id": n, "alert_source_ref": one} for n, one in enumerate(refs)]
    return {"status": "success", "data": {"total": len(alerts), "alerts": alerts}}


def test_an_alert_is_searched_and_added() -> None:
    search, addition = calls()
    assert (search.method, search.url) == ("GET", "https://iris.example.com/alerts/filter")
    assert search.params["source_reference"] == ID
    assert (search.params["alert_source"], search.params["sort"]) == ("wazuh", "desc")
    assert (addition.method, addition.url) == ("POST", "https://iris.example.com/alerts/add")
    assert addition.headers == {"content-type": "application/json", "authorization": "Bearer s3cr3t-key"}
    body = filed()
    assert (body["alert_source_ref"], body["alert_severity_id"], body["alert_status_id"]) == (ID, 1, 2)
    assert body["alert_source_event_time"] == "2024-05-11T12:29:19.905000"
    assert body["alert_source_content"] == FIELDS
    assert [(one["ioc_value"], one["ioc_type_id"]) for one in body["alert_iocs"]] == [("172.17.1.1", 79), ("paco", 133)]


@pytest.mark.parametrize("given", [alert(), alert("timestamp", "agent", "data"), *SAMPLES])
def test_iris_schema_accepts_the_alert(given: Alert) -> None:
    msgspec.convert(filed(given), IrisAlert)


@pytest.mark.parametrize(("level", "number"), [(3, 3), (4, 4), (7, 1), (12, 5), (15, 6)])
def test_the_severity_follows_the_level(level: int, number: int) -> None:
    assert filed(alert(rule=rule(level=level)))["alert_severity_id"] == number


def test_options_replace_single_ids() -> None:
    body = filed(customer_id=3, classification_id=9, severity_ids={"medium": 42}, ioc_type_ids={"user": 1}, tlp_id=1)
    assert (body["alert_customer_id"], body["alert_classification_id"], body["alert_severity_id"]) == (3, 9, 42)
    assert [(one["ioc_type_id"], one["ioc_tlp_id"]) for one in body["alert_iocs"]] == [(79, 1), (1, 1)]
    assert "alert_iocs" not in filed(iocs=False)


def test_a_delivery_that_was_added_before_is_not_added_again() -> None:
    served = service("iris", **API)
    search, addition = served.build_calls(alert())
    decide: Any = served
    assert decide.next_calls(alert(), search, response(200, found(f"{ID}9", ID)), [addition]) == ()
    assert decide.next_calls(alert(), search, response(200, found(f"{ID}9")), [addition]) == [addition]
    assert decide.next_calls(alert(), search, response(200, found()), [addition]) == [addition]
    assert decide.next_calls(alert(), addition, response(200, {"status": "success"}), []) == []


def no_such(column: str, table: str) -> str:
    """Return PostgreSQL's error for an id that is not there, as IRIS passes it on."""
    return (
        f'(psycopg2.errors.ForeignKeyViolation) insert or update on table "alerts" violates foreign key constraint\n'
        f'DETAIL:  Key ({column})=(77) is not present in table "{table}".\n[SQL: INSERT INTO alerts (alert_title, …)]'
    )


@pytest.mark.parametrize(
    ("status", "answer", "expected"),
    [
        (200, {"status": "success", "data": {}}, Delivered()),
        (200, b"<html>log in</html>", (Retry, Reason.INVALID_RESPONSE)),
        (200, {"status": "error", "message": "no"}, (Retry, Reason.INVALID_RESPONSE)),
        (400, {"status": "error", "message": "Data error"}, (Rejected, Reason.HTTP_4XX)),
        (400, {"message": no_such("alert_status_id", "alert_status")}, (Retry, Reason.GONE)),
        (400, {"message": no_such("ioc_type_id", "ioc_type")}, (Rejected, Reason.HTTP_4XX)),
        (401, b"", (Retry, Reason.UNAUTHORIZED)),
        (403, b"", (Retry, Reason.UNAUTHORIZED)),
        (404, b"", (Retry, Reason.GONE)),
        (413, b"", (Rejected, Reason.HTTP_4XX)),
        (429, b"", (Retry, Reason.RATE_LIMITED)),
        (500, b"", (Retry, Reason.HTTP_5XX)),
    ],
)
def test_the_response_to_an_addition(status: int, answer: object, expected: Any) -> None:
    served: Any = service("iris", **API)
    _, addition = served.build_calls(alert())
    result = served.interpret(alert(), addition, response(status, answer))
    assert result == expected if isinstance(expected, Delivered) else (type(result), result.reason) == expected


@pytest.mark.parametrize("answer", [{"status": "success"}, {"status": "success", "data": {"alerts": 7}}, [], b"x"])
def test_a_search_without_a_result_is_retried(answer: object) -> None:
    served: Any = service("iris", **API)
    search, _ = served.build_calls(alert())
    assert served.interpret(alert(), search, response(200, answer)).reason is Reason.INVALID_RESPONSE
    assert served.interpret(alert(), search, response(200, found())) == Delivered()


def test_alert_text_is_neither_markup_nor_a_second_tag() -> None:
    hostile = "<img src=x onerror=alert(1)> [x](http://evil.example),admin"
    body = filed(alert(full_log=hostile, rule=rule(description=hostile, groups=[hostile])))
    assert "<" not in body["alert_title"] + body["alert_description"]
    assert "](" not in body["alert_title"] + body["alert_description"]
    assert "\\" not in body["alert_title"] + body["alert_description"]  # the list of alerts shows HTML
    assert body["alert_title"].endswith("[x]\u200b(http://evil.example),admin")
    assert body["alert_description"].startswith("&#60;img src=x onerror=alert(1)&#62; &#91;x&#93;(http:")
    assert filed(alert(full_log="&lt;b&gt;"))["alert_description"].startswith("&amp;lt;b&amp;gt;")
    assert body["alert_tags"].split(",")[-1] == hostile.replace(",", " ")


def test_a_huge_alert_is_not_kept_whole() -> None:
    assert filed(alert(full_log="x" * 300_000))["alert_source_content"] == {
        "courier": "the alert is too long to be kept"
    }


def test_an_alert_without_a_level_is_a_dead_letter() -> None:
    assert refusal("iris", alert("rule"), **API) == Rejected(Reason.INVALID_ALERT, "rule is missing")
