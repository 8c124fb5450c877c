"""What each service gets of a digest: its numbers, within the service's limits, whatever the folded alerts contain."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from common.integration import Integration
from common.ledger import FallbackOf
from common.secret import Secret
from ops.admin.sample_digest import COUNT, sample_digest
from ops.demo.chats import CHATS
from ops.demo.http_types import Received
from tests.workers.integrations.every_service import SETTINGS
from tests.workers.integrations.examples import FIELDS, alert, rule, service
from workers.alert.alert import Alert
from workers.calls import Mail
from workers.delivery.fallback import annotate
from workers.integrations.pagerduty import MAX_DEDUP_KEY_CHARS
from workers.integrations.registry import make_service
from workers.integrations.telegram import shown_length
from workers.message.digest import MAX_SAMPLE_CHARS, MAX_TOP_CHARS
from workers.redaction import Redactor
from workers.rendering import render_call

if TYPE_CHECKING:
    from collections.abc import Callable

GROUP = "digest:0123abcd:00112233445566778899aabbccddeeff"
ID = f"{GROUP}:1764504000000:89abcdef"
SAMPLE = {**FIELDS, "timestamp": "2026-11-30T12:00:05.000+0000"}
DIGEST: dict[str, Any] = {
    "id": ID,
    "group": {"rule.id": "5712"},
    "others": False,
    "count": 214,
    "from": "2026-11-30T12:00:05.000+0000",
    "to": "2026-11-30T12:09:58.000+0000",
    "first_id": "1.1",
    "last_id": "1.214",
    "level": 10,
    "window": {"from": "2026-11-30T12:00:00.000Z", "to": "2026-11-30T12:10:00.000Z"},
    "top": {
        "agent.name": {"values": [["web-1", 120], ["web-2", 94]], "approximate": False},
        "data.srcip": {"values": [["203.0.113.7", 200], ["a (9), b", 3]], "approximate": True},
    },
    "samples": [SAMPLE],
}
TITLE = "214 more: sshd: brute force trying to get access to the system."
HOSTILE = (
    "<!channel> @here *x* [a](https://evil.example) <b>&amp; ``` \u202e \N{PILE OF POO}\r\n- {{ 1 }}|\x00\ud800" * 40
)
PEOPLE = [
    *("slack", "teams", "discord", "googlechat", "mattermost", "rocketchat", "telegram", "ntfy", "email"),
    *("jira", "thehive", "iris"),
]


def digest(delivery_id: str = ID, **members: Any) -> Alert:
    """Return a digest in the shape of the ledger's, with `members` in place of its own."""
    fields = {
        "timestamp": "2026-11-30T12:10:00.000+0000",
        "id": "1.214",
        "rule": rule(description=TITLE),
        "agent": FIELDS["agent"],
        "manager": FIELDS["manager"],
        "location": FIELDS["location"],
        "courier": {"digest": DIGEST | members},
    }
    return Alert(json.dumps(fields).encode(), delivery_id)


def hostile() -> Alert:
    """Return a digest with hostile text wherever a folded alert could have put it, and more parts than are shown."""
    long = {f"{n} {HOSTILE}": HOSTILE for n in range(50)}
    top = {name: {"values": [[f"{n} {HOSTILE}", 7] for n in range(50)], "approximate": True} for name in long}
    sample = {**SAMPLE, "agent": {"name": HOSTILE}, "full_log": HOSTILE, "timestamp": HOSTILE}
    given = digest(group=long, top=top, samples=[sample] * 50, **{"from": HOSTILE, "to": HOSTILE})
    given.fields["rule"]["description"] = f"214 more: {HOSTILE}"
    return given


def call_of(name: str, given: Alert, **settings: Any) -> Any:
    """Return the last call that a digest needs: of two, the one that is not a search."""
    return service(name, **SETTINGS[name] | settings).build_calls(given)[-1]


def body_of(name: str, given: Alert, **settings: Any) -> Any:
    return json.loads(call_of(name, given, **settings).body)


def shown_by(name: str, given: Alert) -> str:
    """Return what a service gets as one text without escapes."""
    call = call_of(name, given)
    if isinstance(call, Mail):
        return render_call(call, Redactor()).body
    return re.sub(r"\\+|\u200b", "", json.dumps(json.loads(call.body), ensure_ascii=False))


@pytest.mark.parametrize("name", PEOPLE)
def test_people_see_count_times_group_most_frequent_values_and_samples(name: str) -> None:
    shown = shown_by(name, digest())
    assert "214 more: sshd: brute force" in shown
    for part in ("214", DIGEST["from"], DIGEST["to"], "web-1 (120), web-2 (94)", "Top data.srcip (approximate)"):
        assert part in shown
    assert "203.0.113.7 (200)" in shown
    assert "Invalid user paco from 172.17.1.1" in shown


LENGTHS: dict[str, tuple[Callable[[Any], int], int]] = {
    "slack": (lambda body: len(body["attachments"][0]["text"]), 8_000),
    "telegram": (lambda body: shown_length(body["text"]), 4_096),
    "ntfy": (lambda body: len(body["message"].encode()), 4_096),
    "jira": (lambda body: len(json.dumps(body["fields"]["description"], ensure_ascii=False)), 32_767),
    "thehive": (lambda body: len(body["description"]), 60_000),
    "iris": (lambda body: len(body["alert_description"]), 60_000),
    "pagerduty": (lambda body: len(json.dumps(body)), 512_000),
}


@pytest.mark.parametrize("name", [*CHATS, *LENGTHS, "email"])
def test_hostile_text_stays_within_the_limits_and_the_count_is_shown(name: str) -> None:
    given = hostile()
    if name in CHATS:
        assert CHATS[name](Received(body=call_of(name, given).body)).accepted
    elif name in LENGTHS:
        measure, longest = LENGTHS[name]
        assert measure(body_of(name, given)) <= longest
    count = {"email": "Count: 214", "pagerduty": '"summary": "214 more: '}.get(name, "Count")
    assert count in shown_by(name, given)


@pytest.mark.parametrize("name", ["slack", "teams", "discord", "googlechat", "mattermost", "rocketchat", "telegram"])
def test_hostile_text_mentions_nobody_and_hides_no_link(name: str) -> None:
    body = body_of(name, hostile())
    body.pop("fallbackText", None)  # of Google Chat, for notifications: without markup
    sent = json.dumps(body)
    for mark in ("<!channel>", "<b>&amp;", r"\u202e", r"\u0000"):
        assert mark not in sent
    if name in {"teams", "discord", "mattermost", "rocketchat"}:
        assert "](https://evil.example)" not in sent


def test_a_value_cannot_pretend_to_be_several() -> None:
    (attachment,) = body_of("slack", digest())["attachments"]
    assert attachment["fields"][-1]["value"] == '203.0.113.7 (200), "a (9), b" (3)'


def test_samples_without_a_log_line_say_what_happened_and_those_without_room_are_counted() -> None:
    event = {"rule": {"description": "Logon"}, "data": {"srcip": "10.0.0.9"}, "agent": {"name": "dc1"}}
    (attachment,) = body_of("slack", digest(samples=[event, 7, *[{"full_log": "x" * 900}] * 8]))["attachments"]
    lines = attachment["text"].splitlines()
    assert lines[:2] == ["Samples:", "dc1: Logon, srcip: 10.0.0.9"]
    assert len(lines[2]) == MAX_SAMPLE_CHARS
    assert lines[-1] == "… (3 more)"


def test_long_values_leave_room_for_the_others_and_for_samples() -> None:
    values = [[f"{n}{'x' * 500}", 9] for n in range(10)]
    (attachment,) = body_of("slack", digest(top={"agent.name": {"values": values}}))["attachments"]
    shown = attachment["fields"][-1]["value"]
    assert shown.startswith("0x")
    assert shown.endswith("x… (9), …")
    assert MAX_TOP_CHARS < len(shown) < MAX_TOP_CHARS + 120


def test_the_group_of_all_others_is_named() -> None:
    (attachment,) = body_of("slack", digest(group={}, others=True))["attachments"]
    assert {"Group", "Count"} <= {one["title"] for one in attachment["fields"]}


# -- forged digests, and digests that are damaged


@pytest.mark.parametrize("name", [*PEOPLE, "pagerduty", "shuffle"])
def test_a_forged_digest_in_an_ordinary_alert_is_shown_as_nothing_special(name: str) -> None:
    forged = alert(courier={"digest": DIGEST})
    plain = alert()
    if name in {"pagerduty", "iris", "shuffle"}:  # what they show; the alert itself is there as well
        left, right = body_of(name, forged), body_of(name, plain)
        for body in (left, right):
            body.pop("all_fields", body.pop("alert_source_content", None))
            body.get("payload", {}).pop("custom_details", None)
        assert left == right
    else:
        assert shown_by(name, forged) == shown_by(name, plain)


@pytest.mark.parametrize("own", [7, {}, {"count": "214"}, {"count": 0}, {"count": True}, {"count": 2**60}])
def test_a_damaged_digest_is_shown_as_the_alert_that_it_is(own: Any) -> None:
    given = digest()
    given.fields["courier"] = {"digest": own}
    (attachment,) = body_of("slack", given)["attachments"]
    assert attachment["title"] == TITLE
    assert attachment["fields"][0]["title"] == "Rule"


# -- templates


def template(text: str, given: Alert) -> dict[str, Any]:
    message = {"title": "T {{ rule.id }}", "text": text, "link": "https://c.example/{{ id }}"}
    (attachment,) = body_of("slack", given, message=message)["attachments"]
    return attachment  # type: ignore[no-any-return]  # JSON


def test_a_template_for_single_alerts_does_not_hide_what_a_digest_says() -> None:
    shown = template("{{ full_log }}", digest())
    assert (shown["title"], shown["title_link"]) == ("T 5712", "https://c.example/1.214")
    assert shown["text"].startswith("Samples:")
    assert shown["fields"][0]["title"] == "Count"


def test_a_template_can_show_a_digest() -> None:
    text = (
        "{{ courier.digest.count }} x {{ courier.digest.top['agent.name']['values'][0][0] }}"
        "{{ courier.digest.group['rule.id'] }}{{ courier.node }}"
    )
    assert template(text, digest())["text"] == "214 x web-15712"
    assert template(text, alert(courier={"digest": DIGEST}))["text"] == "x node1"


# -- PagerDuty


def key_of(given: Alert, identity: str = "pagerduty") -> str:
    block = Integration(id=identity, name="pagerduty", api_key=Secret("k"))
    key: str = json.loads(make_service(block).build_calls(given)[0].body)["dedup_key"]
    return key


def test_all_digests_of_a_group_land_in_one_incident() -> None:
    key = key_of(digest())
    assert len(key) <= MAX_DEDUP_KEY_CHARS
    assert (
        key == key_of(digest(f"{GROUP}:1764504600000:01234567", count=3)) == key_of(digest(f"{ID}+fallback:pagerduty"))
    )
    different = [
        *(digest(group={"rule.id": "5710"}), digest(group={"rule.id": "5712", "agent.id": "1"})),
        *(digest(group={}), digest(group={}, others=True), alert()),
    ]
    keys = {key, key_of(digest(), "pagerduty-2"), *map(key_of, different)}
    assert len(keys) == len(different) + 2


def test_the_incident_has_the_severity_of_the_highest_level() -> None:
    assert body_of("pagerduty", digest())["payload"]["severity"] == "error"
    assert body_of("pagerduty", digest())["payload"]["summary"] == TITLE


# -- services for programs


def test_programs_get_the_count_in_their_own_form() -> None:
    text = body_of("shuffle", digest())
    assert text["text"].startswith("Samples:")
    assert body_of("webhook", digest(), webhook={"format": "ocsf"})["count"] == 214
    alerts = body_of("webhook", digest(), webhook={"format": "alertmanager"})["alerts"]
    assert "Count: 214" in alerts[0]["annotations"]["description"]
    cef = call_of("syslog", digest(), syslog={"address": "siem.example.com:6514", "format": "cef"}).body.decode()
    assert " cnt=214 " in cef
    assert "msg=Count: 214; From: " in cef


def test_a_fallback_keeps_the_digest() -> None:
    given = digest()
    annotated = Alert(annotate(given.raw, FallbackOf("slack", "gone")), f"{ID}+fallback:teams")
    assert annotated.fields["courier"]["undelivered_to"] == "slack"
    assert "web-1 (120), web-2 (94)" in shown_by("teams", annotated)


def test_a_sample_digest_is_shown_as_one_of_the_ledger() -> None:
    shown = shown_by("teams", sample_digest(alert().raw))
    for part in (f"{COUNT} more: sshd", f"web01 ({COUNT})", f"172.17.1.1 ({COUNT})", FIELDS["timestamp"], "rule.id"):
        assert part in shown


# -- the page about digests


PAGE = (Path(__file__).parents[3] / "ops/docs/digest-messages.md").read_text(encoding="utf-8")


def test_the_page_shows_what_people_see() -> None:
    sample = SAMPLE | {"full_log": "Invalid user paco from 172.17.1.1 port 56404"}
    top = DIGEST["top"] | {"data.srcip": {"values": [["203.0.113.7", 200]], "approximate": True}}
    sent = body_of("ntfy", digest(samples=[sample], top=top))
    assert f"```\n{sent['title']}\n\n{sent['message']}\n```" in PAGE


def test_the_template_of_the_page_shows_alerts_and_digests() -> None:
    block = next(one for one in re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL) if "slack.message" in one)
    text = tomllib.loads(block)["integrations"]["slack"]["message"]["text"]
    shown = template(text, digest())["text"].split()
    assert shown[:5] == ["214", "alerts", "since", DIGEST["from"] + ",", "most"]
    assert "203.0.113.7 (200)" in " ".join(shown)
    assert template(text, alert())["text"] == FIELDS["full_log"]
