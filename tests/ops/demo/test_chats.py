"""The demo's chat services accept what Courier sends, and refuse what the real ones refuse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import ops.demo
from common.integration import Integration
from common.secret import Secret
from ops.admin.sample_digest import COUNT, sample_digest
from ops.demo.chats import CHATS
from ops.demo.http_types import Received
from tests.workers.integrations.examples import FIELDS, alert
from workers.alert.alert import Alert
from workers.integrations.helpers.service_options import ServiceOptions
from workers.integrations.registry import make_service

SAMPLES = (Path(ops.demo.__file__).parent / "sample/alerts.json").read_bytes().splitlines()


def sent(name: str, given: Alert) -> bytes:
    block = Integration(id="chat", name=name, hook_url=Secret("https://h.example/x"))
    choices = ServiceOptions(dashboard_url="http://127.0.0.1/alert/{id}")
    (call,) = make_service(block, choices).build_calls(given)
    body: bytes = call.body
    return body


@pytest.mark.parametrize("name", CHATS)
def test_what_courier_sends_is_accepted_and_shown(name: str) -> None:
    reply = CHATS[name](Received(body=sent(name, alert())))
    assert reply.accepted
    assert (reply.identity, reply.title) == (FIELDS["id"], FIELDS["rule"]["description"])
    assert FIELDS["full_log"] in reply.shown["text"]
    assert "5712 (level 10)" in json.dumps(reply.shown)
    assert reply.shown["colour"].startswith("#")


@pytest.mark.parametrize("name", CHATS)
def test_every_sample_is_accepted(name: str) -> None:
    replies = [CHATS[name](Received(body=sent(name, Alert(line)))) for line in SAMPLES]
    assert [reply.identity for reply in replies if reply.accepted] == [json.loads(line)["id"] for line in SAMPLES]


@pytest.mark.parametrize("name", CHATS)
def test_a_digest_is_shown_with_count_most_frequent_values_and_samples(name: str) -> None:
    reply = CHATS[name](Received(body=sent(name, sample_digest(alert().raw))))
    assert reply.accepted
    assert reply.title == f"{COUNT} more: {FIELDS['rule']['description']}"
    shown = [*reply.shown["rows"], *(line.split(": ", 1) for line in reply.shown["text"].splitlines() if ": " in line)]
    assert ["Count", str(COUNT)] in shown
    assert ["Top data.srcip", f"172.17.1.1 ({COUNT})"] in shown
    assert FIELDS["full_log"] in reply.shown["text"]


@pytest.mark.parametrize("name", CHATS)
@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"attachments": 7}', b'{"embeds": [7]}', b'{"cardsV2": [{}]}'])
def test_anything_else_is_refused(name: str, body: bytes) -> None:
    assert CHATS[name](Received(body=body)).status == 400


@pytest.mark.parametrize(
    ("name", "path"), [("discord", "embeds"), ("mattermost", "attachments"), ("rocketchat", "attachments")]
)
def test_a_text_that_is_too_long_is_refused(name: str, path: str) -> None:
    message: dict[str, Any] = json.loads(sent(name, alert()))
    message[path][0]["title"] = "x" * 20_000
    assert CHATS[name](Received(body=json.dumps(message).encode())).status == 400
