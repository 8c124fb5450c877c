from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest

from common.errors import TransportError
from common.outcome import Delivered, ManagerEvent, Outcome, Reason, Retry, Skipped
from tests.workers.integrations.examples import alert, refusal, response, service
from workers.integrations.base import Cacheable

if TYPE_CHECKING:
    from workers.alert.alert import Alert

API = {"hook_url": "https://api.maltiverse.com", "api_key": "tok.0123456789abcdef"}
PUBLIC = alert(data={"srcip": "8.8.4.4"})
EVERYTHING = alert(
    syscheck={"md5_after": "c51c", "sha1_after": "aaf4"},
    data={"srcip": "8.8.4.4", "hostname": "evil.example.com", "url": "http://evil.example.com/a"},
)
KNOWN: dict[str, Any] = {
    "type": "ip",
    "classification": "malicious",
    "creation_time": "2020-01-01 00:00:00",
    "modification_time": "2024-05-01 10:00:00",
    "blacklist": [
        {
            "description": "SSH Attacker",
            "source": "Blocklist.de",
            "external_references": [
                {
                    "source_name": "mitre-attack",
                    "external_id": "S0154",
                    "url": "https://attack.mitre.org/software/S0154",
                    "description": "Cobalt Strike",
                }
            ],
        },
        {"description": "Malicious Host", "source": "AlienVault Ip Reputation Database"},
    ],
}


def look_ups(given: Alert) -> list[tuple[str, str]]:
    return [
        (call.key, call.url.removeprefix(API["hook_url"])) for call in service("maltiverse", **API).build_calls(given)
    ]


def read(status: int, body: object = b"", given: Alert = PUBLIC) -> Outcome:
    maltiverse = service("maltiverse", **API)
    return maltiverse.interpret(given, maltiverse.build_calls(given)[0], response(status, body))


def threat(result: dict[str, Any], given: Alert = PUBLIC) -> Any:
    outcome = read(200, result, given)
    assert isinstance(outcome, Delivered)
    return json.loads(outcome.events[0].message)["threat"]


def test_every_look_up_has_its_own_key() -> None:
    keys, paths = zip(*look_ups(EVERYTHING), strict=True)
    assert keys == ("md5", "sha1", "ip", "hostname", "url")
    assert paths[:4] == ("/sample/md5/c51c", "/sample/sha1/aaf4", "/ip/8.8.4.4", "/hostname/evil.example.com")
    assert paths[4] == f"/url/{sha256(b'http://evil.example.com/a').hexdigest()}"


def test_the_key_goes_into_a_header() -> None:
    (request,) = service("maltiverse", **API).build_calls(PUBLIC)
    assert request.headers == {"Accept": "application/json", "Authorization": f"Bearer {API['api_key']}"}


@pytest.mark.parametrize("address", ["10.0.0.1", "127.0.0.1", "203.0.113.9", "::1", "fd00::1", "8.8.8.8:53", "x", ""])
def test_private_addresses_are_not_looked_up(address: str) -> None:
    assert refusal("maltiverse", alert(data={"srcip": address}), **API) == Skipped(
        Reason.NOTHING_TO_LOOK_UP, "no hash, public address, host name or URL"
    )


@pytest.mark.parametrize("address", ["224.0.0.251", "100.64.0.1", "2001:4860:4860::8888"])
def test_multicast_and_shared_addresses_are_looked_up(address: str) -> None:
    assert look_ups(alert(data={"srcip": address})) == [("ip", f"/ip/{address}")]


def test_values_that_are_not_strings_are_ignored() -> None:
    given = alert(syscheck={"md5_after": 5, "sha1_after": "aaf4"}, data="x")
    assert look_ups(given) == [("sha1", "/sample/sha1/aaf4")]


@pytest.mark.parametrize(("hostname", "path"), [("a/../../x?y#z", "a%2F..%2F..%2Fx%3Fy%23z"), ("a b", "a%20b")])
def test_a_value_cannot_change_the_queried_resource(hostname: str, path: str) -> None:
    assert look_ups(alert(data={"hostname": hostname})) == [("hostname", f"/hostname/{path}")]


def test_the_event_is_that_of_the_specification() -> None:
    outcome = read(200, KNOWN)
    assert isinstance(outcome, Delivered)
    (event,) = outcome.events
    assert event.location == "[001] (web01) 10.0.0.5->maltiverse"
    assert json.loads(event.message) == {
        "integration": "maltiverse",
        "alert_id": "1715430559.1549653",
        "maltiverse": {"source": KNOWN},
        "threat": {
            "indicator": {
                "name": "8.8.4.4",
                "type": "ipv4-addr",
                "description": "Malicious Host, SSH Attacker",
                "provider": "AlienVault Ip Reputation Database, Blocklist.de",
                "first_seen": "2020-01-01 00:00:00",
                "modified_at": "2024-05-01 10:00:00",
                "last_seen": "2024-05-01 10:00:00",
                "confidence": "High",
                "sightings": 2,
                "reference": "https://maltiverse.com/ip/8.8.4.4",
                "ip": "8.8.4.4",
            },
            "software": {
                "id": "S0154",
                "reference": "https://attack.mitre.org/software/S0154",
                "name": "Cobalt Strike",
            },
        },
    }


@pytest.mark.parametrize(
    ("classification", "one", "two"),
    [
        ("malicious", "Medium", "High"),
        ("suspicious", "Low", "Medium"),
        ("neutral", "None", "Low"),
        ("whitelist", "None", "Low"),
        ("weird", "None", "None"),
        (["odd"], "None", "None"),
        ("", "Not Specified", "Not Specified"),
    ],
)
def test_class_and_sightings_give_the_confidence(classification: object, one: str, two: str) -> None:
    result = KNOWN | {"classification": classification}
    alone = result | {"blacklist": KNOWN["blacklist"][:1]}
    assert [threat(k)["indicator"]["confidence"] for k in (alone, result)] == [one, two]


@pytest.mark.parametrize(
    ("members", "kind"),
    [
        ({"ip_version": 6}, "ipv6-addr"),
        ({"type": "sample"}, "file"),
        ({"type": "hostname"}, "domain-name"),
        ({"type": "url"}, "url"),
        ({"type": ["odd"]}, None),
    ],
)
def test_the_type_is_mapped_to_the_schema(members: dict[str, Any], kind: str | None) -> None:
    assert threat(KNOWN | members)["indicator"]["type"] == kind


def test_the_page_of_a_url_is_found_by_its_digest() -> None:
    indicator = threat({"type": "url"}, alert(data={"url": "http://evil.example.com/a"}))["indicator"]
    assert indicator["name"] == "http://evil.example.com/a"
    assert indicator["reference"].startswith("https://maltiverse.com/url/")
    assert len(indicator["reference"]) == len("https://maltiverse.com/url/") + 64


@pytest.mark.parametrize(
    "blacklist",
    ["x", None, [None, {}], [{"external_references": None}], [{"external_references": [{"external_id": 5}]}]],
)
def test_invalid_parts_of_a_response_are_omitted(blacklist: object) -> None:
    block = threat(KNOWN | {"blacklist": blacklist})
    assert block["indicator"]["description"] == ""
    assert "software" not in block


@pytest.mark.parametrize(
    ("status", "body"), [(404, b'{"message": "Not found"}'), (204, b""), (200, b"{}"), (200, b"null")]
)
def test_an_empty_result_gives_no_event(status: int, body: bytes) -> None:
    assert read(status, body) == Delivered()


def test_a_rejected_key_gives_no_event() -> None:
    assert read(401, b"Unauthorized") == Retry(Reason.UNAUTHORIZED, "HTTP 401: Unauthorized")


@pytest.mark.parametrize("body", [b"", b"<html>", b'"abc"', b"[1]", b"7"])
def test_a_response_without_object_is_retried(body: bytes) -> None:
    outcome = read(200, body)
    assert isinstance(outcome, Retry)
    assert outcome.reason is Reason.INVALID_RESPONSE


def test_a_missing_response_is_retried() -> None:
    maltiverse = service("maltiverse", **API)
    error = TransportError(Reason.TIMEOUT, "late")
    assert maltiverse.interpret_failure(PUBLIC, maltiverse.build_calls(PUBLIC)[0], error) == Retry(
        Reason.TIMEOUT, "late"
    )


def test_an_alert_without_agent_is_the_managers_own() -> None:
    outcome = read(200, KNOWN, alert("agent", data={"srcip": "8.8.4.4"}))
    assert isinstance(outcome, Delivered)
    assert isinstance(outcome.events[0], ManagerEvent)
    assert outcome.events[0].location == "maltiverse"


@pytest.mark.parametrize(
    "hook_url",
    [
        "api.maltiverse.com",
        "ftp://h",
        "https://u:p@h",
        "http://[::1]",
        "http://h:123456",
        "http://h/a'b",
        "http://h?x=1",
    ],
)
def test_an_invalid_hook_url_is_refused(hook_url: str) -> None:
    outcome = refusal("maltiverse", PUBLIC, **(API | {"hook_url": hook_url}))
    assert outcome.reason is Reason.NOT_CONFIGURED
    assert outcome.detail.startswith("ossec.conf:7: <hook_url>: is not http")


@pytest.mark.parametrize("api_key", ["ключ", "a\nb"])
def test_a_key_that_no_header_can_contain_is_refused(api_key: str) -> None:
    outcome = refusal("maltiverse", PUBLIC, **(API | {"api_key": api_key}))
    assert outcome.detail == "ossec.conf:7: <api_key>: has characters that an HTTP header cannot contain"


def test_a_hook_url_in_capitals_is_the_same_address() -> None:
    one, other = (
        service("maltiverse", hook_url=url, api_key="k")
        for url in ("HTTPS://API.Maltiverse.COM", "https://api.maltiverse.com")
    )
    given_ = alert(data={"srcip": "8.8.4.4"})
    assert [call.url for call in one.build_calls(given_)] == [call.url for call in other.build_calls(given_)]
    assert isinstance(one, Cacheable)
    assert isinstance(other, Cacheable)
    assert one.namespace == other.namespace
