from __future__ import annotations

import json
from typing import Any

import pytest

from ops.demo import lookups, services
from ops.demo.faults import FAULTS, Faults
from ops.demo.http_types import Received, Reply
from ops.demo.target import SERVICES
from ops.demo.threat_data import INDICATORS, KNOWN_FILES

EICAR = "44d88612fea8a8f36de82e1278abb02f"

ATTACHMENT = {
    "color": "danger",
    "pretext": "WAZUH Alert",
    "title": "sshd: brute force",
    "text": None,
    "fields": [{"title": "Agent", "value": "(001) - web01"}],
    "ts": "1715430559.1549653",
}
EVENT = {
    "routing_key": "very-secret",
    "event_action": "trigger",
    "dedup_key": "node:file:1",
    "payload": {"summary": "s", "source": "web01", "severity": "error", "custom_details": {"id": "1.2"}},
}


def post(body: Any, **more: Any) -> Received:
    return Received(body=body if isinstance(body, bytes) else json.dumps(body).encode(), **more)


def answer(reply: Reply) -> Any:
    return json.loads(reply.content)


def test_slack_accepts_wazuh_messages() -> None:
    reply = services.slack(post({"attachments": [ATTACHMENT]}))
    assert (reply.status, reply.content) == (200, b"ok")
    assert (reply.identity, reply.title) == ("1715430559.1549653", "sshd: brute force")


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (b"", "invalid_payload"),
        (b"{", "invalid_payload"),
        ([], "invalid_payload"),
        ({}, "no_text"),
        ({"attachments": []}, "no_text"),
        ({"attachments": ["x"]}, "invalid_attachments"),
        ({"attachments": {"color": "good"}}, "invalid_attachments"),
        ({"attachments": [ATTACHMENT | {"title": 5}]}, "invalid_attachments"),
        ({"attachments": [ATTACHMENT | {"fields": "x"}]}, "invalid_attachments"),
        ({"attachments": [ATTACHMENT] * 101}, "too_many_attachments"),
    ],
)
def test_slack_rejects_with_its_own_error_codes(body: Any, word: str) -> None:
    reply = services.slack(post(body))
    assert (reply.status, reply.content.decode()) == (400, word)


def test_pagerduty_returns_the_key_and_shows_no_secret() -> None:
    reply = services.pagerduty(post(EVENT))
    assert (reply.status, answer(reply)["dedup_key"], reply.identity) == (202, "node:file:1", "1.2")
    assert "very-secret" not in repr(reply)


@pytest.mark.parametrize("name", ["routing_key", "event_action"])
def test_pagerduty_requires_the_outer_fields(name: str) -> None:
    reply = services.pagerduty(post({k: v for k, v in EVENT.items() if k != name}))
    assert (reply.status, answer(reply)["errors"]) == (400, [f"'{name}' is missing or blank"])


@pytest.mark.parametrize("name", ["summary", "source", "severity"])
def test_pagerduty_requires_the_payload_fields(name: str) -> None:
    payload = {k: v for k, v in EVENT["payload"].items() if k != name}  # type: ignore[attr-defined]  # it is a dict
    reply = services.pagerduty(post(EVENT | {"payload": payload}))
    assert (reply.status, answer(reply)["errors"]) == (400, [f"'payload.{name}' is missing or blank"])


def test_pagerduty_checks_severity_and_size() -> None:
    payload = {"summary": "s", "source": "x", "severity": "bad"}
    assert services.pagerduty(post(EVENT | {"payload": payload})).status == 400
    assert services.pagerduty(post(b"x" * (512 * 1024 + 1))).status == 413
    assert services.pagerduty(post(b"[]")).status == 400


def test_shuffle_starts_an_execution() -> None:
    reply = services.shuffle(post({"id": "1.2", "title": "t", "severity": 3}))
    assert (reply.status, reply.identity, reply.title) == (200, "1.2", "t")
    assert answer(reply) == {"success": True, "execution_id": reply.note}
    assert services.shuffle(post(b"text")).status == 400


def test_repeated_ticket_gets_the_same_number() -> None:
    first, second = (services.ticket(post({"title": "t", "external_id": "1.2"})) for _ in range(2))
    assert (first.status, first.identity) == (201, "1.2")
    assert answer(first)["key"] == answer(second)["key"] == first.note
    assert services.ticket(post({"title": ""})).status == 422


def lookup(resource: str, key: str = "k") -> Reply:
    return lookups.virustotal(Received(method="GET", query={"apikey": key, "resource": resource}))


def test_virustotal_reports_bad_clean_and_unknown_files() -> None:
    clean = next(md5 for md5, known in KNOWN_FILES.items() if not known.positives)
    bad, good, unknown = (answer(lookup(md5)) for md5 in (EICAR, clean, "0" * 32))
    assert (bad["response_code"], bad["positives"], bad["total"], bad["md5"]) == (1, 63, 68, EICAR)
    assert (good["response_code"], good["positives"]) == (1, 0)
    assert unknown["response_code"] == 0
    assert "positives" not in unknown
    assert {"sha1", "scan_date", "permalink"} <= set(bad)


def test_virustotal_requires_a_key_and_a_resource() -> None:
    assert lookup(EICAR, key="").status == 403
    assert lookup("").status == 400
    assert lookups.virustotal(post({})).status == 403


def ask(path: str, authorization: str = "Bearer t") -> Reply:
    return lookups.maltiverse(Received(method="GET", path=path, headers={"authorization": authorization}))


@pytest.mark.parametrize("path", sorted(INDICATORS))
def test_maltiverse_returns_known_indicators(path: str) -> None:
    reply = ask(path)
    assert (reply.status, reply.identity) == (200, path)
    assert answer(reply)["type"] == path.partition("/")[0]


def test_maltiverse_has_every_kind_of_indicator() -> None:
    assert {path.partition("/")[0] for path in INDICATORS} == {"ip", "hostname", "url", "sample"}
    classes = {entry["classification"] for entry in INDICATORS.values()}
    assert {"malicious", "suspicious", "neutral"} <= classes


def test_maltiverse_decodes_the_path_and_requires_a_token() -> None:
    assert ask("ip/2001%3A4860%3A4860%3A%3A8844").status == 200
    assert (ask("ip/192.0.2.1").status, answer(ask("ip/192.0.2.1"))["message"]) == (404, "Not found")
    assert ask("ip/8.8.4.4", authorization="").status == 401


def test_each_fault_happens_once() -> None:
    faults = Faults()
    faults.add("email", FAULTS["slack"], 2)
    assert [faults.next_for("email") for _ in range(3)] == [FAULTS["slack"], FAULTS["slack"], None]
    for service, fault in FAULTS.items():
        assert service in SERVICES
        assert faults.next_for(service) == fault
        assert faults.next_for(service) is None
    assert all(reply.status in (0, 429) or reply.status >= 500 for reply in FAULTS.values())
