from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.outcome import ManagerEvent, Reason, Rejected
from workers.integrations.base import NotSendable
from workers.integrations.helpers.manager_event import agent_location, escape, event


@pytest.mark.parametrize(
    ("agent", "location"),
    [
        ({"id": "001", "name": "web01", "ip": "10.0.0.5"}, "[001] (web01) 10.0.0.5->tag"),
        ({"id": "002", "name": "we:b|02"}, "[002] (we|:b||02) any->tag"),
        ({"id": "009", "name": "v6", "ip": "2001:db8::1"}, "[009] (v6) 2001|:db8|:|:1->tag"),
        ({"id": "011", "name": "münchen", "ip": "any"}, "[011] (münchen) any->tag"),
        ({"id": "000", "name": "wazuh-mgr"}, "tag"),
        ({"id": "000"}, "tag"),
        ({}, "tag"),
        (None, "tag"),
    ],
)
def test_the_location_names_the_agent(agent: object, location: str) -> None:
    assert agent_location({"agent": agent}, "tag") == location


@pytest.mark.parametrize(("agent", "missing"), [({"name": "x"}, "agent.id"), ({"id": "001"}, "agent.name")])
def test_an_agent_without_id_or_name_is_refused(agent: object, missing: str) -> None:
    with pytest.raises(NotSendable) as refused:
        agent_location({"agent": agent}, "tag")
    assert refused.value.outcome == Rejected(Reason.INVALID_ALERT, f"{missing} is missing")


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"])))
def test_the_first_unescaped_colon_ends_the_location(name: str) -> None:
    text = f"{escape(name)}:the: message"
    protected = re.match(r"((?:\|.|[^|:])*):(.*)", text, re.DOTALL)
    assert protected is not None
    assert re.sub(r"\|(.)", r"\1", protected[1], flags=re.DOTALL) == name
    assert protected[2] == "the: message"


@given(st.text(st.characters()))
def test_every_location_can_be_sent_with_lone_surrogates(name: str) -> None:
    assert len(escape(name).encode()) >= len(name)


def test_control_characters_are_replaced_in_locations() -> None:
    assert escape("a\nb\x7f\x85") == "a?b??"
    assert event("tag", {"path": "/tmp/\x7f\n"}) == ManagerEvent("tag", '{"path": "/tmp/\\u007f\\n"}')


def test_the_message_is_written_as_the_stock_scripts_do() -> None:
    assert event("tag", {"é": [1, None]}) == ManagerEvent("tag", '{"\\u00e9": [1, null]}')
