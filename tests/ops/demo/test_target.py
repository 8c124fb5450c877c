from __future__ import annotations

import json
import re
import socket
from importlib import resources
from typing import TYPE_CHECKING, Any

import pytest
import requests

from ops.demo.faults import Faults
from ops.demo.manager import identity_of, split_location
from ops.demo.messages import KEPT, Inbox
from ops.demo.target import Route, Target
from tests.support.recorder import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


SCRIPT = "<script>alert('courier')</script>"
SLACK = {"attachments": [{"title": SCRIPT, "text": f"</script>{SCRIPT}", "fields": [], "ts": "1.2"}]}


@pytest.fixture
def http() -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        yield session


def test_every_service_responds_on_one_connection(target: Target, http: requests.Session) -> None:
    bearer = {"Authorization": "Bearer t"}
    event = {"routing_key": "k", "event_action": "trigger"}
    payload = {"summary": "s", "source": "x", "severity": "info", "custom_details": {"id": "1.2"}}
    md5 = "44d88612fea8a8f36de82e1278abb02f"
    url = target.address
    answers = [
        http.post(f"{url}/slack", json=SLACK),
        http.post(f"{url}/pagerduty/v2/enqueue", json=event | {"payload": payload}),
        http.post(f"{url}/shuffle", json={"id": "1.2", "title": "t"}),
        http.post(f"{url}/ticket", json={"external_id": "1.2", "title": "t"}),
        http.get(f"{url}/virustotal", params={"apikey": "k", "resource": md5}),
        http.get(f"{url}/maltiverse/ip/8.8.4.4", headers=bearer),
    ]
    assert [answer.status_code for answer in answers] == [200, 202, 200, 201, 200, 200]
    messages = target.inbox.after(0)
    assert [m.integration.removesuffix("-1") for m in messages] == [m.service for m in messages]
    assert [m.identity for m in messages] == ["1.2"] * 4 + [md5, "ip/8.8.4.4"]
    assert all(m.accepted for m in messages)


def test_unknown_integration_is_a_404_and_not_recorded(target: Target, http: requests.Session) -> None:
    assert http.post(f"{target.address}/elsewhere", json={}).status_code == 404
    assert len(target.inbox) == 0


def test_faults_come_first_and_are_recorded_as_refused(tmp_path: Path, http: requests.Session) -> None:
    target = Target(socket_path=tmp_path / "q", faults=Faults())
    target.routes |= {"a": Route("a", "slack"), "b": Route("b", "shuffle")}
    target.start()
    try:
        limited = http.post(f"{target.address}/a", json=SLACK)
        assert (limited.status_code, limited.headers["Retry-After"]) == (429, "1")
        with pytest.raises(requests.ConnectionError):
            http.post(f"{target.address}/b", json={"id": "1.2"})
        assert http.post(f"{target.address}/a", json=SLACK).status_code == 200
        assert http.post(f"{target.address}/b", json={"id": "1.2"}).status_code == 200
    finally:
        target.stop()
    found = [(m.integration, m.status, m.accepted, m.identity) for m in target.inbox.after(0)]
    assert found == [("a", 429, False, "1.2"), ("b", 0, False, "1.2"), ("a", 200, True, "1.2"), ("b", 200, True, "1.2")]


def send(target_socket: Path, datagram: bytes) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.connect(str(target_socket))
        sender.send(datagram)


def test_queue_socket_records_events(target: Target) -> None:
    verdict = {"found": 1, "malicious": 1, "positives": 63, "total": 68}
    event = {"integration": "virustotal", "virustotal": verdict | {"source": {"alert_id": "1.2", "file": "/tmp/x"}}}
    send(target._socket_path, b"1:[002] (we|:b||02) any->virustotal:" + json.dumps(event).encode())
    (message,) = eventually(lambda: target.inbox.after(0))
    assert (message.service, message.accepted, message.identity) == ("manager", True, "virustotal 1.2")
    assert message.title == "VirusTotal: 63 of 68 engines call /tmp/x malicious"
    assert message.body["location"] == "[002] (we:b|02) any->virustotal"


@pytest.mark.parametrize("datagram", [b"x", b"1:tag:no json", b"2:tag:{}", b'1:tag:{"a":"' + b"x" * 65_535 + b'"}'])
def test_event_that_the_manager_cannot_parse_is_not_accepted(target: Target, datagram: bytes) -> None:
    send(target._socket_path, datagram)
    (message,) = eventually(lambda: target.inbox.after(0))
    assert not message.accepted


def test_locations_and_identities() -> None:
    assert split_location("2001|:db8|:|:1->x:{}") == ("2001:db8::1->x", "{}")
    assert split_location("no colon|") == ("no colon|", "")
    threat = {"integration": "maltiverse", "alert_id": "1.2", "threat": {"indicator": {"name": "8.8.4.4"}}}
    assert identity_of(threat) == "maltiverse 1.2 8.8.4.4"
    assert identity_of({}) == ""


def get_json(http: requests.Session, url: str) -> Any:
    answer = http.get(url)
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    return answer.json()


def test_page_gets_messages_after_a_number(target: Target, http: requests.Session) -> None:
    for _ in range(3):
        http.post(f"{target.address}/slack", json=SLACK)
    answer = get_json(http, f"{target.address}/messages?after=1")
    assert (answer["total"], [m["number"] for m in answer["messages"]]) == (3, [2, 3])
    for odd in ("", "-1", "x", "9" * 5000):
        get_json(http, f"{target.address}/messages?after={odd}")


def test_page_has_a_link_to_the_console(target: Target, http: requests.Session) -> None:
    target.console = "http://127.0.0.1:5580/"
    assert get_json(http, f"{target.address}/messages")["console"] == "http://127.0.0.1:5580/"


def test_alert_with_a_script_tag_stays_text(target: Target, http: requests.Session) -> None:
    http.post(f"{target.address}/slack", json=SLACK)
    raw = http.get(f"{target.address}/messages?after=0").content
    assert b"<" not in raw
    assert json.loads(raw)["messages"][0]["title"] == SCRIPT
    page = http.get(f"{target.address}/")
    policy = dict(part.strip().split(" ", 1) for part in page.headers["Content-Security-Policy"].split(";"))
    assert (policy["default-src"], policy["script-src"], policy["style-src"]) == ("'none'", "'self'", "'self'")


def test_half_of_a_surrogate_pair_does_not_keep_the_page_from_showing_anything(
    target: Target, http: requests.Session
) -> None:
    http.post(f"{target.address}/slack", data=json.dumps({"attachments": [{"title": "\ud800", "ts": "1.2"}]}))
    assert get_json(http, f"{target.address}/messages?after=0")["messages"][0]["title"] == "\ud800"


def test_page_is_three_files_and_parses_no_html(target: Target, http: requests.Session) -> None:
    page, style, script = (http.get(f"{target.address}/{name}").text for name in ("", "page.css", "page.js"))
    assert not re.findall(r"<script(?![^>]* src=)|<style|\sstyle=|\son\w+=", page)
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|\beval\b|Function\(", script
    )
    assert not re.search(r"https?://|url\(|@import", page + style + script)
    assert page == resources.files("ops.demo").joinpath("page.html").read_text("utf-8")


def test_inbox_keeps_the_newest_messages() -> None:
    inbox = Inbox(lambda: 5.0)
    for number in range(KEPT + 3):
        inbox.add(service="s", integration="i", status=200, accepted=True, identity=str(number), title="t")
    assert (len(inbox), inbox.after(0)[0].number, inbox.after(KEPT + 2)[0].at_s) == (KEPT + 3, 4, 5.0)
    assert inbox.after(KEPT + 3) == []


def test_target_that_was_never_started_can_be_stopped(tmp_path: Path) -> None:
    target = Target(socket_path=tmp_path / "q")
    target.stop()
    again = Target(socket_path=tmp_path / "q", port=target.port)
    again.stop()
