"""The author of an alert cannot use the markup of a service."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.integration import Integration
from common.secret import Secret
from tests.workers.integrations.every_service import SETTINGS
from tests.workers.integrations.examples import alert, rule, service
from workers.alert.alert import Alert
from workers.calls import AppriseCall, Mail
from workers.integrations import slack
from workers.integrations.helpers.service_options import ServiceOptions
from workers.integrations.iris import IRIS_MARKUP
from workers.integrations.registry import SERVICES, make_service
from workers.integrations.thehive import THEHIVE_MARKUP
from workers.message.markup import (
    ANY_TEXT,
    GOOGLE_CHAT,
    HTML,
    MARKDOWN,
    MATTERMOST,
    NONE,
    PLAIN,
    ROCKETCHAT,
    SLACK,
    TEAMS,
)

HOSTILE = (
    *(
        "<!channel>",
        "<!here|x>",
        "<@U012AB3CD>",
        "<#C123>",
        "<!subteam^S1>",
        "<https://evil.example|https://bank.example>",
    ),
    *("```\n<!channel>\n```", "&lt;!channel&gt;", "a\x00b\x1b[31m\x7f\u202e<!everyone>\u2028", "\ud83d<!channel>"),
)
CHATS = {
    "teams": TEAMS,
    "discord": MARKDOWN,
    "googlechat": GOOGLE_CHAT,
    "mattermost": MATTERMOST,
    "rocketchat": ROCKETCHAT,
}
OWN_MARKUPS = {**CHATS, "slack": SLACK, "jira": PLAIN, "thehive": THEHIVE_MARKUP, "iris": IRIS_MARKUP}
OWN_MARKUPS |= {"telegram": HTML, "ntfy": PLAIN, "email": HTML, "apprise": ANY_TEXT}
MARKUPS = {name: OWN_MARKUPS.get(name, NONE) for name in SERVICES}
OPEN = re.compile(r"[<>]|&(?!amp;|lt;|gt;)")


def hostile(text: Any) -> Any:
    """Return an alert with `text` in every field that its author controls."""
    agent = {"id": text, "name": text, "ip": text}
    return alert(
        rule=rule(description=text, id=text), agent=agent, agentless={"host": text}, full_log=text, location=text
    )


def content(call: Any) -> bytes:
    """Return what a call sends."""
    match call:
        case Mail():
            return call.message
        case AppriseCall():
            return f"{call.title}\n{call.body}".encode()
        case _:
            return call.body or bytes(call.url.encode())


def test_each_service_names_its_markup() -> None:
    services: dict[str, Any] = {name: service(name, **SETTINGS[name]) for name in SERVICES}
    assert {name: one.markup for name, one in services.items()} == MARKUPS


@pytest.mark.parametrize("name", SERVICES)
def test_hostile_text_reaches_no_service_as_control_characters(name: str) -> None:
    for text in HOSTILE:
        given_ = Alert(hostile(text).raw[:-1] + b', "syscheck": {"md5_after": "44d88612fea8a8f36de82e1278abb02f"}}')
        for call in service(name, **SETTINGS[name]).build_calls(given_):
            sent = content(call)
            assert not re.search(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", sent)
            assert not re.search("[\u2028\u202a-\u202e\ud800-\udfff]", sent.decode())


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("name", ["slack", "pagerduty", "shuffle", *CHATS])
def test_alert_text_cannot_become_markup(name: str, text: str) -> None:
    (call,) = service(name, **SETTINGS[name]).build_calls(hostile(text))
    assert not re.search(rb"[\x00-\x1f\x7f-\xff]", call.body)  # control characters are JSON escapes
    sent = json.loads(call.body)
    if name == "slack":
        assert not [one for one in _texts(sent) if OPEN.search(one)]
    one_of_them = " ".join(text.split()) if name in CHATS else text
    assert any(MARKUPS[name].escaped(one_of_them) in one for one in _texts(sent))


ACTIVE = {
    "teams": re.compile(r"(?<!\\)(?:\\\\)*[*_\[<>`!]|\]\(|\\\]\\\(|(?<![^\W_])@\w"),
    "discord": re.compile(r"(?<!\\)(?:\\\\)*[*_~|\[<>#`!]|(?<![^\W_])@\w"),
    "googlechat": re.compile(r"<(?!/?(?:b|i|br|font)\b[^<>]*>)|&(?!amp;|lt;|gt;|quot;)"),
    "mattermost": re.compile(r"(?<!\\)(?:\\\\)*[*_~|\[`!]|[<>]|(?<![^\W_])@\w|&(?!amp;|lt;|gt;)"),
    "rocketchat": re.compile(
        r"(?<!\\)[*_~#]|`|\]\(|\|\||<(?!\u200b)|(?<![^\W_])@\w|\\(?![*_~#\u200b])|^\s*>", re.MULTILINE
    ),
}
"""What each service would take as markup, a mention or a link."""

PIECES = st.sampled_from(
    [
        *(
            "<!channel>",
            "@here",
            "@everyone",
            "<@1>",
            "<at>all</at>",
            "<users/all>",
            "[a](https://evil.example)",
            "|| x ||",
        ),
        *(
            "**b**",
            "_i_",
            "~s~",
            "```",
            "`c`",
            "\\",
            "\\(",
            "\n> q",
            "\n# h",
            "\n- l",
            "\n1. n",
            "<https://e.example|x>",
            "&lt;",
        ),
    ]
)


@pytest.mark.parametrize("name", CHATS)
@given(text=st.lists(PIECES | st.text(max_size=4), max_size=10).map("".join))
def test_no_text_of_an_alert_is_active_in_a_chat(name: str, text: str) -> None:
    (call,) = service(name, **SETTINGS[name]).build_calls(hostile(text))
    sent = json.loads(call.body)
    shown = [one for one in _texts(_shown(name, sent)) if ACTIVE[name].search(one)]
    assert shown == []


def _shown(name: str, sent: dict[str, Any]) -> Any:
    """Return the parts of a message in which its service reads markup."""
    if name == "teams":
        body = sent["attachments"][0]["content"]["body"]
        return [(part.get("text"), part.get("facts")) for part in body]
    if name == "discord":
        return [{key: value for key, value in one.items() if key != "footer"} for one in sent["embeds"]]
    if name == "googlechat":
        return sent["cardsV2"][0]["card"]["sections"][0]["widgets"]
    return [(one["text"], one["fields"]) for one in sent["attachments"]]  # a title is plain text


def test_text_in_lists_and_objects_cannot_become_markup() -> None:
    (call,) = service("slack", **SETTINGS["slack"]).build_calls(hostile([{"<!here>": "<!channel>"}]))
    assert not [one for one in _texts(json.loads(call.body)) if OPEN.search(one)]


def test_the_operators_own_markup_is_sent_unchanged() -> None:
    (call,) = service("slack", options='{"pretext": "<!here> & co"}', **SETTINGS["slack"]).build_calls(alert())
    assert json.loads(call.body)["attachments"][0]["pretext"] == "<!here> & co"


def test_escape_false_sends_the_bytes_of_the_stock_script() -> None:
    block = Integration(id="slack", name="slack", hook_url=Secret("https://hooks.example/x"))
    (call,) = make_service(block, ServiceOptions(escape=False)).build_calls(hostile("<!channel> & co"))
    assert b'"text": "<!channel> & co"' in call.body


@given(st.integers(0, 12), st.text("&<>ab", min_size=1, max_size=8))
def test_truncation_never_splits_an_entity(offset: int, end: str) -> None:
    text = SLACK.escaped("x" * (slack.LONGEST_TEXT - offset) + end * 20)
    short = slack.fit({"text": text})["text"]
    assert len(short) <= slack.LONGEST_TEXT
    assert not OPEN.search(short)


def _texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for item in value.items() for one in item for text in _texts(one)]
    if isinstance(value, list | tuple):
        return [text for one in value for text in _texts(one)]
    return [value] if isinstance(value, str) else []
