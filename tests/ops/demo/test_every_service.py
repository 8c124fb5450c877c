"""Each service that Courier has code for is in the demo: it takes what Courier sends, and refuses what is damaged."""

from __future__ import annotations

import json
import re
import smtplib
import socket
from importlib import resources
from typing import TYPE_CHECKING, Any

import pytest

from common.services import SERVICES
from common.settings.load import load_settings
from ops.demo import target as demo
from ops.demo.cases import CASES
from ops.demo.chats import CHATS
from ops.demo.events import EVENTS, syslog
from ops.demo.http_types import Received
from ops.demo.notices import NOTICES, email
from ops.demo.setup import set_stage
from producer.configuration import policy_of, read_configuration
from tests.support.recorder import eventually
from tests.workers.integrations.examples import FIELDS, alert, rule
from workers.calls import Mail, SyslogFrames
from workers.integrations.helpers.service_options import ServiceOptions
from workers.integrations.registry import make_service

if TYPE_CHECKING:
    from pathlib import Path

    from ops.demo.http_types import Reply
    from ops.demo.target import Target
    from workers.alert.alert import Alert

PLACES = {"http": "http://127.0.0.1:1", "smtp": "127.0.0.1:2", "syslog": "127.0.0.1:3"}
SHOWN = SERVICES.keys() - {"apprise"}  # an extra, which need not be installed; what it sends depends on its plugin
OTHERS = sorted(SHOWN - {"slack", "pagerduty", "virustotal", "shuffle", "maltiverse"})
HOSTILE = '</script><img src=x onerror=alert(1)> [a](https://evil.example) *b* | \\ = "q" \u202e\x1b[31m <!channel>'


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The services of the sample, made from its own configuration, by name."""
    home = tmp_path_factory.mktemp("home")
    stage = set_stage(home, None, places=PLACES, flower_port=1)
    settings = load_settings(file=stage.settings, environment={}, cwd=home)
    found = read_configuration(settings)
    made = {}
    for one in found.integrations:
        policy = policy_of(one, settings, found)
        choices = ServiceOptions(endpoint=policy.endpoint, dashboard_url="http://x/alert/{id}")
        made[one.service] = make_service(one, choices)
    return made


def replies(services: dict[str, Any], name: str, given: Alert) -> list[Reply]:
    """Return what the demo makes of each call for an alert."""
    found = []
    for call in services[name].build_calls(given):
        if isinstance(call, Mail):
            found.append(email(call.message))
        elif isinstance(call, SyslogFrames):
            found.append(syslog(call.body.partition(b" ")[2]))
        else:
            path = call.url.split("/", 4)[4] if call.url.count("/") > 3 else ""
            headers = {key.lower(): value for key, value in call.headers.items()}
            sent = Received(method=call.method, path=path, headers=headers, body=call.body or b"")
            found.append(demo.SERVICES[name](sent))
    return found


def test_the_sample_has_an_integration_with_each_service(services: dict[str, Any]) -> None:
    assert set(services) == {*SHOWN, "custom-ticket"}
    assert set(OTHERS) == {*CHATS, *CASES, *NOTICES, *EVENTS, "email", "syslog"}


def test_the_page_has_a_section_for_each_service() -> None:
    script = resources.files("ops.demo").joinpath("page.js").read_text("utf-8")
    assert set(re.findall(r'^  \["([a-z-]+)", ', script, re.MULTILINE)) == {*SHOWN, "ticket", "manager"}


@pytest.mark.parametrize("text", [FIELDS["rule"]["description"], HOSTILE], ids=["", "hostile"])
@pytest.mark.parametrize("name", OTHERS)
def test_what_courier_sends_is_accepted_and_shown(services: dict[str, Any], name: str, text: str) -> None:
    sent = replies(services, name, alert(rule=rule(description=text, level=13), full_log=text))
    assert all(one.accepted for one in sent)
    (shown,) = (one for one in sent if one.is_recorded)
    assert shown.identity == FIELDS["id"]
    assert "alert(1)" in shown.title or text != HOSTILE
    assert text in {shown.title, HOSTILE}


@pytest.mark.parametrize("name", [*CASES, *NOTICES, *EVENTS])
@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"fields": 7}', b'{"event": null}', b"\xff", b'{"data": [7]}'])
def test_anything_else_is_refused(name: str, body: bytes) -> None:
    headers = {"authorization": "Splunk x"}
    assert demo.SERVICES[name](Received(path="rest/api/2/issue", headers=headers, body=body)).status == 400


def test_each_event_of_a_batch_is_a_message_of_its_own(services: dict[str, Any]) -> None:
    served = services["splunk-hec"]
    call = served.join([served.build_calls(alert(id=f"1.{number}"))[0] for number in range(3)])
    headers = {name.lower(): value for name, value in call.headers.items()}
    reply = EVENTS["splunk-hec"](Received(headers=headers, body=call.body))
    assert [one.identity for one in (reply, *reply.more)] == ["1.0", "1.1", "1.2"]


def test_mails_and_syslog_messages_reach_the_inbox(target: Target, services: dict[str, Any]) -> None:
    target.routes |= {"m": demo.Route("soc-email", "email"), "s": demo.Route("soc-syslog", "syslog")}
    (mail,), (frames,) = (services[name].build_calls(alert()) for name in ("email", "syslog"))
    ports = [int(target.places[name].rpartition(":")[2]) for name in ("smtp", "syslog")]
    with smtplib.SMTP("127.0.0.1", ports[0]) as server:
        server.sendmail(mail.sender, mail.recipient, mail.message)
    with socket.create_connection(("127.0.0.1", ports[1])) as collector:
        collector.sendall(frames.body + frames.body[:50])
        collector.sendall(frames.body[50:])
        eventually(lambda: len(target.inbox) == 3)
        collector.sendall(b"no frame at all")
        assert collector.recv(1) == b""  # closed
    assert [one.integration for one in target.inbox.after(0)] == ["soc-email", "soc-syslog", "soc-syslog"]
    assert {one.identity for one in target.inbox.after(0)} == {FIELDS["id"]}
    assert json.loads(json.dumps(target.inbox.after(0)[0].body))["from"] == "Wazuh <wazuh@example.org>"


def test_a_demo_of_own_files_has_none_of_the_sample_s_tables(tmp_path: Path) -> None:
    config = tmp_path / "mine.conf"
    config.write_text("<ossec_config><integration><name>custom-a</name></integration></ossec_config>")
    stage = set_stage(tmp_path, config, places=PLACES, flower_port=0)
    assert [one.id for one in stage.integrations] == ["custom-a"]
    assert "soc-" not in stage.settings.read_text()
