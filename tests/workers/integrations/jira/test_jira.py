from __future__ import annotations

import json
import re
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given as given_
from hypothesis import strategies as st
from jsonschema import Draft4Validator  # type: ignore[import-untyped]  # a test needs no stubs of its own

import ops.demo
from common.outcome import Delivered, Reason, Rejected, Retry
from tests.workers.integrations.examples import FIELDS, alert, refusal, response, rule, service
from workers.alert.alert import Alert
from workers.integrations.jira.wiki import WIKI
from workers.message.limits import cut

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workers.calls import Request

CLOUD: dict[str, Any] = {"hook_url": "https://soc.atlassian.net", "api_key": "s3cr3t-token"}
OWN: dict[str, Any] = {"hook_url": "https://jira.example.com/jira/", "api_key": "s3cr3t-token"}
ID = "node1:4f2a:1024"
GROUPED: dict[str, Any] = {"group": "{{ rule.id }} {{ agent.name }}"}
SAMPLES = [
    Alert(line, f"node1:{n}")
    for n, line in enumerate((Path(ops.demo.__file__).parent / "sample/alerts.json").read_bytes().splitlines())
]
HOSTILE = (
    '" OR project = "HR" -- {code}[~admin]!http://evil.example/x.png! h1. x\nh1. y\n|a|b|\u202e\x00 (!) :D \\\\ &#33;'
)


def jira(block: dict[str, Any], **options: Any) -> Any:
    message = options.pop("message", None)
    sections = {"jira": {"project": "SOC", **options}} | ({"message": message} if message else {})
    return service("jira", **sections, **block)


def calls(block: dict[str, Any], given: Alert | None = None, **options: Any) -> tuple[Request, Request]:
    search, creation = jira(block, **options).build_calls(given or alert())
    return search, creation


def sent(call: Request) -> Any:
    return json.loads(call.body or b"")


def created(block: dict[str, Any], given: Alert | None = None, **options: Any) -> Any:
    return sent(calls(block, given, **options)[1])


def issue(number: int, status: str = "new", **members: Any) -> dict[str, Any]:
    fields = {"status": {"statusCategory": {"key": status}}, **members.pop("fields", {})}
    return {"id": str(number), "key": f"SOC-{number}", "fields": fields, **members}


def after(
    block: dict[str, Any], issues: Sequence[object], given: Alert | None = None, **options: Any
) -> Sequence[Request]:
    """Return the calls that follow a search with these issues."""
    served, one = jira(block, **options), given or alert()
    search, creation = served.build_calls(one)
    found = response(200, {"issues": list(issues)})
    assert served.interpret(one, search, found) == Delivered()
    following: Sequence[Request] = served.next_calls(one, search, found, [creation])
    return following


@cache
@cache
def adf_schema() -> Draft4Validator:
    return Draft4Validator(json.loads(files("adf_bridge").joinpath("data/adf-schema.json").read_text()))


def texts(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [node["text"]] if node.get("type") == "text" else []
        return own + [text for one in node.get("content", []) for text in texts(one)]
    return []


# -- creation


def test_cloud_gets_a_search_and_an_issue_with_an_adf_description() -> None:
    search, creation = calls(CLOUD, user="soc@example.com")
    assert (search.method, search.url) == ("POST", "https://soc.atlassian.net/rest/api/3/search/jql")
    assert (creation.method, creation.url) == ("POST", "https://soc.atlassian.net/rest/api/3/issue")
    assert creation.headers["authorization"] == "Basic c29jQGV4YW1wbGUuY29tOnMzY3IzdC10b2tlbg=="
    body = sent(creation)
    assert body["fields"]["project"] == {"key": "SOC"}
    assert body["fields"]["issuetype"] == {"name": "Task"}
    assert body["fields"]["summary"] == FIELDS["rule"]["description"]
    assert FIELDS["full_log"] in texts(body["fields"]["description"])
    (mark,) = (one["key"] for one in body["properties"])
    assert sent(search)["properties"] == [mark]
    label = body["fields"]["labels"][-1]
    assert sent(search)["jql"] == f'project = "SOC" AND labels = "{label}" ORDER BY created DESC'


def test_data_center_gets_wiki_markup_and_a_token() -> None:
    search, creation = calls(OWN)
    assert search.url == "https://jira.example.com/jira/rest/api/2/search"
    assert creation.url == "https://jira.example.com/jira/rest/api/2/issue"
    assert creation.headers["authorization"] == "Bearer s3cr3t-token"
    body = sent(creation)
    assert body.keys() == {"fields"}
    assert body["fields"]["description"].splitlines()[-1].startswith("courier-d-")
    assert calls(CLOUD, edition="datacenter")[1].url.endswith("/rest/api/2/issue")


@pytest.mark.parametrize(
    "given", [alert(), alert("timestamp", "agent", "data"), alert(full_log=HOSTILE), *SAMPLES[::4]]
)
def test_atlassian_s_schema_accepts_description_and_comment(given: Alert) -> None:
    description = created(CLOUD, given)["fields"]["description"]
    (change,) = after(CLOUD, [issue(7)], given, **GROUPED)
    comment = sent(change)["update"]["comment"][0]["add"]["body"]
    for document in (description, comment):
        assert [error.message for error in adf_schema().iter_errors(document)] == []


def test_the_operator_s_fields_are_json_by_template() -> None:
    fields = {
        "priority": '{"name": "{{ "Highest" if rule.level >= 12 else "Medium" }}"}',
        "customfield_10010": "{{ agent.name | tojson }}",
        "customfield_10011": "{{ data.nothing | tojson }}",
        "customfield_10012": "{{ agent.name }}",
    }
    hostile = alert(agent={"id": "1", "name": '"}, "x": {"'})
    body = created(CLOUD, hostile, fields=fields, labels=["wazuh", "eu"], issue_type="Bug")["fields"]
    assert body["priority"] == {"name": "Medium"}
    assert body["customfield_10010"] == '"}, "x": {"'
    assert body.keys().isdisjoint({"customfield_10011", "customfield_10012"})  # null, and no JSON
    assert body["labels"][:2] == ["wazuh", "eu"]
    assert body["issuetype"] == {"name": "Bug"}


def test_a_message_of_the_operator_s_is_shown() -> None:
    message = {"title": "{{ agent.name }} [{{ rule.id }}]", "text": "*{{ full_log }}*", "fields": {}}
    body = created(OWN, message=message)["fields"]
    assert body["summary"] == "web01 [5712]"
    assert body["description"].startswith("*May 11 12:29:18 web01 sshd&#91;17584&#93;:")


# -- groups


def label(given: Alert, **options: Any) -> str:
    found: str = created(CLOUD, given, **options)["fields"]["labels"][-1]
    return found


def test_the_label_is_that_of_the_group() -> None:
    one, same, other = alert(), Alert(alert().raw, "node1:4f2a:2048"), alert(rule=rule(id="7"))
    assert label(one, **GROUPED) == label(same, **GROUPED) != label(other, **GROUPED)
    assert label(one) != label(same)
    assert label(one, group="{{ data.nothing }}") == label(one)


@pytest.mark.parametrize("block", [CLOUD, OWN], ids=["cloud", "data center"])
def test_no_alert_text_is_in_the_query(block: dict[str, Any]) -> None:
    hostile = alert(rule=rule(id=HOSTILE, description=HOSTILE), agent={"id": HOSTILE, "name": HOSTILE})
    jql = sent(calls(block, hostile, **GROUPED)[0])["jql"]
    assert re.fullmatch(r'project = "SOC" AND labels = "courier-g-[0-9a-f]{24}" ORDER BY created DESC', jql)


# -- what follows the search


@pytest.mark.parametrize("block", [CLOUD, OWN], ids=["cloud", "data center"])
def test_an_open_issue_of_the_group_gets_a_comment(block: dict[str, Any]) -> None:
    (change,) = after(block, [issue(8, "done"), issue(7, "indeterminate"), issue(6)], **GROUPED)
    assert change.method == "PUT"
    assert change.url.endswith("/issue/7")
    body = sent(change)
    ((comment,),) = (one.values() for one in body["update"]["comment"])
    assert FIELDS["rule"]["description"] in json.dumps(comment)
    assert "fields" not in body


@pytest.mark.parametrize("block", [CLOUD, OWN], ids=["cloud", "data center"])
@pytest.mark.parametrize(
    "issues", [[], [issue(8, "done")], [{"id": "../../x", "fields": issue(1)["fields"]}], [7, None]]
)
def test_without_an_open_issue_one_is_created(block: dict[str, Any], issues: list[object]) -> None:
    (creation,) = after(block, issues, **GROUPED)
    assert creation.method == "POST"


def test_repeat_says_what_an_open_issue_gets() -> None:
    (update,) = after(CLOUD, [issue(7)], repeat="update", fields={"priority": '{"name": "High"}'}, **GROUPED)
    body = sent(update)
    assert body["fields"].keys() == {"priority", "summary", "description"}
    assert body["properties"]
    assert after(CLOUD, [issue(7)], repeat="nothing", **GROUPED) == ()


@pytest.mark.parametrize("repeat", ["comment", "update"])
@pytest.mark.parametrize("status", ["new", "done"])
def test_a_repeated_delivery_writes_nothing(repeat: str, status: str) -> None:
    """After a creation or a change that nobody knows of, because the worker died."""
    cloud = created(CLOUD, repeat=repeat, **GROUPED)["properties"][0]["key"]
    assert after(CLOUD, [issue(7, status, properties={cloud: {"courier": True}})], repeat=repeat, **GROUPED) == ()
    description = created(OWN, repeat=repeat, **GROUPED)["fields"]["description"]
    assert after(OWN, [issue(7, status, fields={"description": description})], repeat=repeat, **GROUPED) == ()
    (change,) = after(OWN, [issue(7)], **GROUPED)
    comments = [{"body": "seen"}, {"body": sent(change)["update"]["comment"][0]["add"]["body"]}]
    found = issue(7, status, fields={"description": "x", "comment": {"comments": comments}})
    assert after(OWN, [found], repeat=repeat, **GROUPED) == ()


def test_another_delivery_of_the_group_is_no_repeated_one() -> None:
    other = Alert(alert().raw, "node1:4f2a:2048")
    mark = created(CLOUD, **GROUPED)["properties"][0]["key"]
    (change,) = after(CLOUD, [issue(7, properties={mark: {}})], other, **GROUPED)
    assert sent(change)["properties"][0]["key"] != mark


# -- responses


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (201, (Delivered, None)),
        (204, (Delivered, None)),
        (400, (Rejected, Reason.HTTP_4XX)),
        (401, (Retry, Reason.UNAUTHORIZED)),
        (403, (Retry, Reason.UNAUTHORIZED)),
        (404, (Retry, Reason.GONE)),
        (409, (Retry, Reason.NOT_READY)),
        (413, (Rejected, Reason.TOO_LARGE)),
        (429, (Retry, Reason.RATE_LIMITED)),
        (503, (Retry, Reason.HTTP_5XX)),
    ],
)
def test_the_response_to_an_issue(status: int, expected: tuple[type, Reason | None]) -> None:
    served = jira(CLOUD)
    _, creation = served.build_calls(alert())
    result = served.interpret(alert(), creation, response(status, {"errors": {"summary": "required"}}))
    assert (type(result), getattr(result, "reason", None)) == expected


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        ({"issuetype": "The issue type selected is invalid."}, (Retry, Reason.GONE)),
        ({"customfield_1": "Team is required.", "summary": "too long"}, (Retry, Reason.GONE)),
        ({"priority": "Option 'Hgh' is not valid."}, (Rejected, Reason.HTTP_4XX)),
        ({}, (Rejected, Reason.HTTP_4XX)),
        ([{"issuetype": ""}], (Rejected, Reason.HTTP_4XX)),
    ],
)
def test_a_field_that_no_alert_fills_costs_no_alert(errors: object, expected: tuple[type, Reason]) -> None:
    served = jira(CLOUD, fields={"priority": '{"name": "Hgh"}'})
    _, creation = served.build_calls(alert())
    result = served.interpret(alert(), creation, response(400, {"errorMessages": [], "errors": errors}))
    assert (type(result), getattr(result, "reason", None)) == expected


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_pauses_the_target(status: int) -> None:
    served = jira(CLOUD)
    for call in served.build_calls(alert()):
        assert served.interpret(alert(), call, response(status, retry_after="30")).after_s == 30


@pytest.mark.parametrize("answer", [b"<html>", [], {"issues": {}}, {"total": 0}])
def test_a_search_without_a_result_is_retried(answer: object) -> None:
    served = jira(CLOUD)
    search, _ = served.build_calls(alert())
    assert served.interpret(alert(), search, response(200, answer)).reason is Reason.INVALID_RESPONSE


def test_a_project_is_required() -> None:
    assert refusal("jira", alert(), **CLOUD) == Rejected(
        Reason.NOT_CONFIGURED, "ossec.conf:7: <jira>: project is missing"
    )


def test_an_alert_without_a_level_is_a_dead_letter() -> None:
    refused = refusal("jira", alert("rule"), jira={"project": "SOC"}, **CLOUD)
    assert refused == Rejected(Reason.INVALID_ALERT, "rule is missing")


# -- wiki markup

ACTIVE = re.compile(r"[{}\[\]|!*_+^~?@<>\\#]|(?m:^\s*(?:h[1-6]|bq)\.)|&(?!#\d{2,4};)")


@given_(st.text(st.sampled_from("{}[]|!*_+^~?#@<>\\&-;:()hbq1. \nab"), max_size=60))
def test_no_alert_text_is_wiki_markup(text: str) -> None:
    shown = WIKI.escape(text)
    assert not ACTIVE.search(re.sub(r"&#\d{2,4};", "x", shown))
    assert re.sub(r"&#(\d+);", lambda one: chr(int(one[1])), shown) == text


@given_(st.text(st.sampled_from("{[|ab"), min_size=45, max_size=200), st.integers(41, 120))
def test_a_cut_does_not_split_an_entity(text: str, longest: int) -> None:
    short = cut(WIKI.escape(text), longest, WIKI)
    assert not re.search(r"&#?\d*(?![\d;])", re.sub(r"&#\d+;", "", short))


def test_alert_text_cannot_end_a_block_of_code() -> None:
    assert WIKI.code("a{noformat}b").count("{noformat}") == 2
