from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.outcome import Delivered, Reason, Rejected
from common.services.syslog import SyslogOptions, split_address
from tests.workers.integrations.examples import FIELDS, alert, refusal, rule, service
from workers.calls import Sent, SyslogFrames
from workers.integrations.syslog.cef import cef
from workers.integrations.syslog.syslog import MAX_MESSAGE_BYTES, Syslog

if TYPE_CHECKING:
    from workers.alert.alert import Alert

OPTIONS = {"address": "siem.example.com:6514"}

# RFC 5424, 6: PRI, version, timestamp, host, application, process, message id, structured data, message
RFC_5424 = re.compile(
    rb"<([0-9]{1,3})>1 (-|[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\.[0-9]{3}Z) ([!-~]{1,255}) ([!-~]{1,48}) "
    rb"([!-~]{1,128}) ([!-~]{1,32}) - (.*)",
    re.DOTALL,
)


class Message(NamedTuple):
    priority: int
    time: str
    host: str
    app: str
    process: str
    kind: str
    body: str


def syslog(**options: Any) -> Syslog:
    made = service("syslog", syslog=OPTIONS | options)
    assert isinstance(made, Syslog)
    return made


def call_for(given_: Alert, **options: Any) -> SyslogFrames:
    (call,) = syslog(**options).build_calls(given_)
    return call


def message(given_: Alert, **options: Any) -> Message:
    length, _, framed = call_for(given_, **options).body.partition(b" ")
    assert int(length) == len(framed)
    found = RFC_5424.fullmatch(framed)
    assert found, framed
    return Message(int(found[1]), *(one.decode() for one in found.groups()[1:]))


def test_an_alert_is_a_message_of_rfc_5424_with_json() -> None:
    sent = message(alert())
    assert sent[:6] == (8 * 16 + 4, "2024-05-11T12:29:19.905Z", "web01", "wazuh", "-", "5712")
    assert json.loads(sent.body) == FIELDS
    assert (call_for(alert()).address, call_for(alert()).is_tls) == ("siem.example.com:6514", True)


def test_the_header_is_as_the_operator_says() -> None:
    sent = message(alert(), facility="audit", app_name="wazuh-prod", tls=False)
    assert (sent.priority, sent.app) == (8 * 13 + 4, "wazuh-prod")
    assert not call_for(alert(), tls=False).is_tls


@pytest.mark.parametrize(("level", "severity"), [(0, 6), (3, 6), (4, 5), (7, 4), (11, 4), (12, 3), (15, 2), (99, 2)])
def test_the_level_is_the_severity(level: int, severity: int) -> None:
    assert message(alert(rule=rule(level=level))).priority == 8 * 16 + severity


def test_hostile_text_cannot_leave_its_place_in_the_header() -> None:
    hostile = alert(agent={"name": "a b\n<1>é" + "x" * 300}, rule=rule(id="1 2\0" + "y" * 50), timestamp="no time")
    sent = message(hostile)
    assert sent.time == "-"
    assert sent.host.startswith("a_b_<1>_xxx")
    assert sent.kind.startswith("1_2_yyy")


def test_a_message_that_is_too_large_is_rejected() -> None:
    outcome = refusal("syslog", alert(full_log="x" * MAX_MESSAGE_BYTES), syslog=OPTIONS)
    assert isinstance(outcome, Rejected)
    assert outcome.reason is Reason.TOO_LARGE


def test_a_batch_is_all_frames_one_after_the_other() -> None:
    served = syslog()
    calls = [*served.build_calls(alert()), *served.build_calls(alert(full_log="x"))]
    assert served.join(calls).body == calls[0].body + calls[1].body
    assert served.interpret(alert(), calls[0], Sent()) == Delivered()


def split_cef(text: str) -> tuple[list[str], dict[str, str]]:
    """Parse CEF as its standard says: `\\|` and `\\\\` in the header, `\\=`, `\\\\` and `\\n` in the extension."""
    header = re.match(r"((?:[^|\\]|\\[|\\])*)\|" * 7, text)
    assert header, text
    extension: dict[str, str] = {}
    rest = text[header.end() :]
    for one in re.finditer(r"(?:^| )([A-Za-z0-9]+)=((?:[^\\=]|\\[\\=n])*?)(?=$| [A-Za-z0-9]+=)", rest):
        extension[one[1]] = re.sub(r"\\(.)", lambda found: {"n": "\n"}.get(found[1], found[1]), one[2])
    return [re.sub(r"\\(.)", r"\1", part) for part in header.groups()], extension


def test_cef_has_what_a_siem_maps() -> None:
    header, extension = split_cef(message(alert(), format="cef").body)
    assert header == ["CEF:0", "Wazuh", "Wazuh", "", "5712", FIELDS["rule"]["description"], "6"]
    assert extension == {
        "rt": "1715430559905",
        "externalId": FIELDS["id"],
        "dvchost": "web01",
        "dvc": "10.0.0.5",
        "deviceExternalId": "001",
        "cat": "syslog,sshd,authentication_failures",
        "src": "172.17.1.1",
        "suser": "paco",
        "cs1": "/var/log/secure",
        "cs1Label": "location",
        "msg": FIELDS["full_log"],
    }


def test_cef_cuts_values_to_the_lengths_of_its_dictionary() -> None:
    agent, rule = {"id": "7" * 300, "name": "n" * 200}, {**FIELDS["rule"], "mitre": {"id": ["T" * 5_000]}}
    fields = alert(agent=agent, rule=rule, location="l" * 5_000, full_log="x" * 2_000, syscheck={"path": "p" * 2_000})
    _, extension = split_cef(message(fields, format="cef").body)
    limits = {"deviceExternalId": 255, "dvchost": 100, "cs1": 4_000, "cs2": 4_000, "msg": 1_023, "filePath": 1_023}
    assert {name: len(extension[name]) for name in limits} == limits


def test_cef_has_other_keys_for_ipv6_and_leaves_out_what_is_no_address() -> None:
    data = {"srcip": "2001:db8::7", "dstip": "web; rm", "srcport": "70000", "dstport": "443"}
    _, extension = split_cef(message(alert(data=data), format="cef").body)
    assert extension["c6a2"] == "2001:db8::7"
    assert extension["c6a2Label"] == "Source IPv6 Address"
    assert extension["dpt"] == "443"
    assert not {"src", "dst", "spt"} & extension.keys()


@given(st.text(max_size=60), st.text(max_size=60))
def test_no_text_breaks_out_of_its_field(description: str, log: str) -> None:
    fields = {"rule": {"id": "1", "description": description}, "full_log": log, "location": "here"}
    text = cef(fields, 5).decode()
    assert not re.search(r"[\x00-\x1f\x7f-\x9f]", text)
    header, extension = split_cef(text)
    assert header[:5] + header[6:] == ["CEF:0", "Wazuh", "Wazuh", "", "1", "3"]
    assert header[5]  # a name is required
    assert extension.keys() <= {"cs1", "cs1Label", "msg"} | set(re.findall(r"[A-Za-z0-9]+", log))
    assert (extension["cs1"], extension["cs1Label"]) == ("here", "location")


@pytest.mark.parametrize("address", ["siem.example.org:514", "10.0.0.1:1", "[2001:db8::7]:65535"])
def test_an_address_is_a_host_and_a_port(address: str) -> None:
    host, port = split_address(address)
    assert address in {f"{host}:{port}", f"[{host}]:{port}"}


@pytest.mark.parametrize(
    "address", ["", "host", "host:0", "host:65536", "2001:db8::7:514", "tls://h:1", "h:1 ", "h:1\n"]
)
def test_anything_else_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="is not a host and a port"):
        split_address(address)


def test_without_an_address_nothing_is_sent() -> None:
    assert refusal("syslog", alert()).reason is Reason.NOT_CONFIGURED
    assert SyslogOptions().address is None
