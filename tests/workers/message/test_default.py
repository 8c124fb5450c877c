"""What a person sees of an alert without a template: also of one without a log line, and of any hostile one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ops.demo
from common.templates.language import ALERT_MEMBERS
from tests.workers.integrations.examples import FIELDS, rule
from workers.message.dashboard import alert_link
from workers.message.default import MAX_VALUE_CHARS, default_message
from workers.message.highlights import MAX_HIGHLIGHTS, highlights
from workers.message.limits import Limits, fit, utf8_bytes
from workers.message.markup import HTML, MARKDOWN, PLAIN
from workers.message.message import Field, Message

SAMPLES = [
    json.loads(line) for line in (Path(ops.demo.__file__).parent / "sample/alerts.json").read_text().splitlines()
]


def leaves(**parts: Any) -> dict[str, str]:
    return dict(highlights(parts))


def test_a_log_line_and_where_it_comes_from() -> None:
    assert default_message(FIELDS, PLAIN, "https://wazuh.example.org") == Message(
        title="sshd: brute force trying to get access to the system.",
        text=FIELDS["full_log"],
        fields=(
            Field("Rule", "5712 (level 10)"),
            Field("Agent", "web01 (001, 10.0.0.5)"),
            Field("Location", "/var/log/secure"),
            Field("srcip", "172.17.1.1"),
            Field("srcuser", "paco"),
        ),
        link=alert_link("https://wazuh.example.org", FIELDS["id"]),
        level=10,
    )


def test_megabytes_of_markup_are_cut_before_they_are_escaped() -> None:
    text = "<" * 1_000_000
    fields = FIELDS | {"rule": rule(description=text, id=text), "location": text, "data": {"srcip": text}}
    message = default_message(fields, MARKDOWN)
    escaped = (message.title, message.text, *(one.value for one in message.fields))
    assert max(map(len, escaped)) == 2 * MAX_VALUE_CHARS


def test_a_windows_event_tells_who_from_where_and_how() -> None:
    eventdata = {
        "subjectUserSid": "S-1-0-0",
        "logonGuid": "{0}",
        "targetUserName": "ADMINISTRATOR",
        "ipAddress": "203.0.113.7",
        "logonType": "3",
        "workstationName": "KALI",
        "failureReason": "%%2313",
    }
    system = {"eventID": "4625", "channel": "Security", "message": "An account failed to log on.", "opcode": "0"}
    assert leaves(data={"win": {"system": system, "eventdata": eventdata}}) == {
        "eventID": "4625",
        "targetUserName": "ADMINISTRATOR",
        "ipAddress": "203.0.113.7",
        "workstationName": "KALI",
        "logonType": "3",
        "failureReason": "%%2313",
    }


def test_a_changed_file_tells_its_path_and_what_changed() -> None:
    syscheck = {
        "path": "/etc/passwd",
        "event": "modified",
        "size_after": "1230",
        "md5_before": "x",
        "sha256_after": "aa",
        "changed_attributes": ["size", "mtime"],
        "uname_after": "root",
        "inode_after": 5,
    }
    assert leaves(syscheck=syscheck) == {
        "path": "/etc/passwd",
        "event": "modified",
        "changed_attributes": "size, mtime",
        "uname_after": "root",
        "sha256_after": "aa",
        "size_after": "1230",
    }


@pytest.mark.parametrize(
    ("data", "first"),
    [
        ({"vulnerability": {"assigner": "x", "cve": "CVE-2026-1", "severity": "High"}}, "vulnerability.cve"),
        ({"sca": {"scan_id": "1", "check": {"id": "9", "title": "Ensure X", "result": "failed"}}}, "sca.check.title"),
        ({"aws": {"eventID": "1", "eventName": "ConsoleLogin", "sourceIPAddress": "1.2.3.4"}}, "aws.eventName"),
        ({"office365": {"Id": "1", "Operation": "UserLoggedIn", "UserId": "a@b"}}, "office365.Operation"),
        ({"docker": {"time": "1", "Action": "die", "Type": "container"}}, "docker.Action"),
        ({"alert": {"signature_id": "1", "signature": "ET SCAN"}, "src_ip": "1.2.3.4"}, "src_ip"),
        ({"my_app": {"tenant": "blue"}, "message": "long"}, "my_app.tenant"),
    ],
)
def test_what_tells_most_comes_first(data: dict[str, Any], first: str) -> None:
    assert next(iter(leaves(data=data))) == first


def test_the_leaves_are_bounded() -> None:
    assert len(leaves(data={f"k{n}": "v" for n in range(10_000)})) == MAX_HIGHLIGHTS
    deep: Any = "v"
    for _ in range(100):
        deep = {"a": deep}
    assert leaves(data={"x": deep}) == {}
    assert leaves(data={"srcip": "9" * 10_000, "other": "x" * 10_000}) == {"srcip": "9" * 300}


def test_mitre_techniques_are_named() -> None:
    mitre = {"id": ["T1110", "T1078"], "technique": ["Brute Force"], "tactic": ["Credential Access"]}
    message = default_message({"rule": rule(mitre=mitre)}, PLAIN)
    assert message.fields[-1] == Field("MITRE ATT&CK", "T1110 Brute Force, T1078")


@pytest.mark.parametrize("alert", SAMPLES, ids=lambda alert: str(alert.get("id")))
def test_every_sample_says_what_happened(alert: dict[str, Any]) -> None:
    message = default_message(alert, PLAIN)
    assert message.title == " ".join(alert["rule"]["description"].split())
    assert message.text or len(message.fields) > 3


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=15,
)


@given(st.dictionaries(st.sampled_from(ALERT_MEMBERS), _json, max_size=6), st.integers(50, 400))
def test_any_alert_has_a_message_within_the_limits(alert: dict[str, Any], total: int) -> None:
    limits = Limits(title=40, text=100, fields=3, name=20, value=30, total=total, measure=utf8_bytes)
    message = fit(default_message(alert, HTML, "https://wazuh.example.org"), limits, HTML)
    texts = [message.title, message.text, *(text for one in message.fields for text in (one.name, one.value))]
    assert not [text for text in texts if "<" in text or ">" in text]
    assert sum(map(utf8_bytes, texts)) <= total
    assert len(message.fields) <= 3
    assert "\n" not in message.title
    assert not [one for one in message.fields if "\n" in one.value + one.name]


def test_fields_beyond_the_limit_are_counted() -> None:
    message = Message(title="t", fields=tuple(Field(f"n{n}", "v") for n in range(10)))
    fields = fit(message, Limits(fields=4), PLAIN).fields
    assert [one.name for one in fields] == ["n0", "n1", "n2", "…"]
    assert fields[-1].value == "(7 more)"


@pytest.mark.parametrize(
    ("level", "colour"), [(0, 0x2EB886), (5, 0xDAA038), (8, 0xE8590C), (12, 0xA30200), (16, 0xA30200)]
)
def test_the_level_gives_the_colour(level: float, colour: int) -> None:
    assert Message(title="t", level=level).colour == colour


def test_the_link_encodes_the_id() -> None:
    assert alert_link("https://d.example/#/a?id={id}", "1.2'&/") == "https://d.example/#/a?id=1.2%27%26%2F"
    assert "query:'id:%221.2%22'" in alert_link("https://d.example/", "1.2")
    assert (
        alert_link("https://d.example", ["1.2"]) == alert_link("", "1.2") == alert_link("https://d.example", "") == ""
    )
