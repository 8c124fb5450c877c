"""No alert is too long for a service: every text is cut to what the service takes, where a reader sees it.

One walk over all services: long texts in every place, of characters of one to four bytes, as they are and with the note
of a fallback in front.
"""

from __future__ import annotations

import json
import re
from html import unescape
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.ledger import FallbackOf
from common.outcome import Delivered, Reason, Rejected
from tests.workers.integrations.every_service import SETTINGS as EVERY_SERVICE
from tests.workers.integrations.examples import FIELDS, alert, refusal, response, rule, service, the_body
from workers.alert.alert import Alert
from workers.delivery.fallback import annotate
from workers.integrations import pagerduty
from workers.integrations.base import NotSendable
from workers.integrations.helpers.manager_event import MAX_DATAGRAM_BYTES, MAX_PART_CHARS, datagram, event
from workers.integrations.helpers.text_limits import ELLIPSIS, MAX_URL_VALUE_BYTES, truncate
from workers.integrations.registry import SERVICES
from workers.message.limits import utf16_units

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from common.outcome import ManagerEvent
    from workers.calls import AppriseCall, Mail, Request
    from workers.integrations.base import Service

MD5 = "44d88612fea8a8f36de82e1278abb02f"
SETTINGS: dict[str, dict[str, Any]] = EVERY_SERVICE | {
    "googlechat": EVERY_SERVICE["googlechat"] | {"googlechat": {"thread": "rule-and-agent"}},
    "syslog": {"syslog": {"address": "siem.example.com:6514", "format": "cef"}},
    "apprise": {"hook_url": "pover://uuuuuuuuuuuuuuuuuuuuuuuuuuuuuu@tttttttttttttttttttttttttttttt"},
}
ORIGIN = FallbackOf("custom-a-script-with-a-rather-long-name", Reason.SCRIPT_UNUSABLE)
CHARACTERS = {"ascii": "a", "asian": "警", "emoji": "🚨"}
"""Those whose size in UTF-8, UTF-16 or an escape of JSON is the smallest and the largest for their number."""
LENGTHS = (985, 1025, 40_001)
LONGEST_URL = 8_000
"""RFC 9110, 4.1."""


def long_alerts(text: str) -> Iterator[Alert]:
    """Yield alerts with the text in each place where a message takes something from, and in all of them."""
    agent, syscheck = FIELDS["agent"], {"path": "/x", "md5_after": MD5, "sha1_after": "3395"}
    places: list[dict[str, Any]] = [
        {"rule": rule(description=text)},
        {"rule": rule(groups=[text])},
        {"full_log": text},
        {"agent": agent | {"name": text}},
        {"location": text},
        {"data": {"srcip": "8.8.4.4", "hostname": text, "url": text}},
        {"syscheck": syscheck | {"path": text, "sha1_after": text}},
        {"syscheck": syscheck | {"md5_after": f"{MD5} {text}"}},
        {"anything": {"else": [text]}},
    ]
    everywhere = {key: value for place in places for key, value in place.items()}
    everywhere["rule"] = rule(description=text, groups=[text])
    for place in (*places, everywhere):
        yield alert(**{"syscheck": syscheck, "data": {"srcip": "8.8.4.4"}} | place)


def fits_slack(call: Request) -> None:
    (attachment,) = json.loads(call.body or b"")["attachments"]
    values = [field["value"] for field in attachment["fields"]]
    for text in (attachment["text"], attachment["title"], *values):
        assert len(text) <= 40_000
        assert (len(text) == 40_000) == text.endswith(ELLIPSIS)  # no text of this test is exactly as long


def fits_pagerduty(call: Request) -> None:
    body = call.body or b""
    assert len(body) <= 512_000
    sent = json.loads(body)
    assert 0 < len(sent["payload"]["summary"]) <= 1_024
    assert len(sent["dedup_key"]) <= 255
    assert isinstance(sent["payload"]["custom_details"], dict)


def fits_url(call: Request) -> None:
    assert len(f"{call.url}?{urlencode(call.params)}") <= LONGEST_URL


def fits_telegram(call: Request) -> None:
    shown = unescape(re.sub("<[^<>]*>", "", json.loads(call.body or b"")["text"]))
    assert 0 < len(shown.encode("utf-16-le")) // 2 <= 4_096


def fits_ntfy(call: Request) -> None:
    body = json.loads(call.body or b"")
    assert 0 < len(body["message"].encode()) <= 4_096
    assert 0 < len(body["title"].encode()) <= 250


def fits_email(call: Mail) -> None:
    assert len(call.message) < 400_000  # servers take 10 MB and more
    assert max(map(len, call.message.split(b"\r\n"))) <= 998


def fits_teams(call: Request) -> None:
    body = call.body or b""
    assert len(body) <= 28_000
    assert len(json.dumps(json.loads(body), ensure_ascii=False).encode("utf-16-le")) <= 28_000


def fits_discord(call: Request) -> None:
    """Check the documented limits, for which a character is one of UTF-16 and so never fewer than code points."""
    (embed,) = json.loads(call.body or b"")["embeds"]
    footer = embed.get("footer", {}).get("text", "")
    assert 0 < utf16_units(embed["title"]) <= 256
    assert utf16_units(embed.get("description", "")) <= 4_096
    assert len(embed["fields"]) <= 25
    for field in embed["fields"]:
        assert 0 < utf16_units(field["name"].strip()) <= 256
        assert 0 < utf16_units(field["value"].strip()) <= 1_024
    texts = [embed["title"], embed.get("description", ""), footer]
    texts += [text for field in embed["fields"] for text in (field["name"], field["value"])]
    assert sum(map(utf16_units, texts)) <= 6_000


def fits_googlechat(call: Request) -> None:
    assert len(call.body or b"") <= 32_000
    assert len(json.loads(call.body or b"")["thread"]["threadKey"]) <= 4_000


def attachment_chars(call: Request, measure: Callable[[str], int]) -> int:
    (attachment,) = json.loads(call.body or b"")["attachments"]
    texts = [attachment["title"], attachment["text"], attachment.get("footer", "")]
    return sum(map(measure, texts + [text for one in attachment["fields"] for text in (one["title"], one["value"])]))


def fits_mattermost(call: Request) -> None:
    assert attachment_chars(call, len) <= 16_383


def fits_rocketchat(call: Request) -> None:
    assert attachment_chars(call, utf16_units) <= 5_000


def fits_anything(call: Request) -> None:
    json.loads(call.body or b"")


def fits_jira(call: Request) -> None:
    sent = json.loads(call.body or b"")
    if "fields" in sent and "jql" not in sent:
        assert len(sent["fields"]["summary"]) <= 255
        assert len(json.dumps(sent["fields"]["description"], ensure_ascii=False)) <= 32_767


def fits_thehive(call: Request) -> None:
    sent = json.loads(call.body or b"")
    assert len(sent["title"]) <= 512
    assert len(sent["description"]) <= 1_048_576
    assert len(sent["sourceRef"]) <= 128
    assert all(len(one) <= 128 for one in sent["tags"])
    assert len(sent.get("observables", [])) <= 20


def fits_iris(call: Request) -> None:
    if call.method == "GET":
        return fits_url(call)
    sent = json.loads(call.body or b"")
    assert len(call.body or b"") <= 2 * 1024 * 1024
    assert len(sent["alert_title"]) <= 500
    return None


def fits_hec(call: Request) -> None:
    event = json.loads(call.body or b"")
    assert len(event["host"]) <= 500


def fits_syslog(call: Request) -> None:
    length, _, message = (call.body or b"").partition(b" ")
    assert int(length) == len(message) <= 1024 * 1024
    _, _, host, _, _, message_id, _, body = message.decode().split(" ", 7)
    assert 0 < len(host) <= 255
    assert 0 < len(message_id) <= 32
    assert body.isprintable()


def calls_for(served: Service[Any, Any], given_: Alert) -> Sequence[Request]:
    """Return the calls; none where the only value to look up is too long for a URL."""
    try:
        return served.build_calls(given_)
    except NotSendable as refused:
        if refused.outcome.reason not in {Reason.NO_FILE_HASH, Reason.NOTHING_TO_LOOK_UP}:
            raise
        return ()


def fits_pushover(call: AppriseCall) -> None:
    """As Apprise says of it."""
    assert utf16_units(call.title) <= 250
    assert utf16_units(call.body) <= 1024


FITS: dict[str, Callable[[Any], None]] = {
    "slack": fits_slack,
    "shuffle": fits_anything,  # it documents no limit
    "pagerduty": fits_pagerduty,
    "virustotal": fits_url,
    "maltiverse": fits_url,
    "teams": fits_teams,
    "discord": fits_discord,
    "googlechat": fits_googlechat,
    "mattermost": fits_mattermost,
    "rocketchat": fits_rocketchat,
    "webhook": fits_anything,  # any receiver has its own
    "telegram": fits_telegram,
    "ntfy": fits_ntfy,
    "email": fits_email,
    "jira": fits_jira,
    "thehive": fits_thehive,
    "iris": fits_iris,
    "splunk-hec": fits_hec,
    "syslog": fits_syslog,
    "apprise": fits_pushover,
}


@pytest.mark.parametrize("character", CHARACTERS.values(), ids=list(CHARACTERS))
@pytest.mark.parametrize("name", SERVICES)
def test_a_long_alert_is_sent_within_every_service_s_limits(name: str, character: str) -> None:
    served = service(name, **SETTINGS[name])
    for length in LENGTHS:
        alerts = list(long_alerts(character * length))
        described, everywhere = alerts[0], alerts[-1]
        noted = [Alert(annotate(long.raw, ORIGIN), long.delivery_id) for long in (described, everywhere)]
        for given_ in (*alerts, *noted):
            for call in calls_for(served, given_):
                FITS[name](call)


def summary_of(given_: Alert) -> str:
    text = the_body("pagerduty", given_, **SETTINGS["pagerduty"])["payload"]["summary"]
    assert isinstance(text, str)
    return text


def test_pagerduty_s_summary_is_truncated_with_a_mark() -> None:
    assert summary_of(alert(rule=rule(description="🚨" * 1024))) == "🚨" * 1024
    assert summary_of(alert(rule=rule(description="🚨" * 1025))) == "🚨" * 1023 + "…"


@pytest.mark.parametrize("length", range(970, 1030))
def test_the_note_of_a_fallback_fits_into_the_summary(length: int) -> None:
    note = f"[Courier: undelivered to {ORIGIN.integration}, script_unusable] "
    summary = summary_of(Alert(annotate(alert(rule=rule(description="é" * length)).raw, ORIGIN), "x"))
    assert len(summary) <= 1024
    assert summary == truncate(note + "é" * length, 1024)


def test_options_cannot_exceed_the_limit_of_the_summary() -> None:
    options = json.dumps({"payload": {"summary": "x" * 2000, "source": "s", "severity": "info"}})
    body = the_body("pagerduty", alert(), **(SETTINGS["pagerduty"] | {"options": options}))
    assert body["payload"] == {"summary": "x" * 1023 + "…", "source": "s", "severity": "info"}


def test_a_note_replaces_an_alert_that_is_too_large_for_pagerduty() -> None:
    payload = the_body("pagerduty", alert(full_log="é" * 100_000), **SETTINGS["pagerduty"])["payload"]
    details = payload["custom_details"]
    assert details["note"].startswith("Courier omitted the alert: with it the event has 600")
    assert (details["id"], details["rule_id"], details["location"]) == (FIELDS["id"], "5712", "/var/log/secure")
    assert details["full_log"] == "é" * 9_999 + "…"
    assert (payload["summary"], payload["source"]) == (FIELDS["rule"]["description"], "web01")


def test_an_event_at_pagerduty_s_limit_is_whole() -> None:
    size = len(json.dumps(the_body("pagerduty", alert(), **SETTINGS["pagerduty"])))
    log = FIELDS["full_log"] + "x" * (pagerduty.MAX_EVENT_BYTES - size)
    assert (
        the_body("pagerduty", alert(full_log=log), **SETTINGS["pagerduty"])["payload"]["custom_details"]["full_log"]
        == log
    )
    details = the_body("pagerduty", alert(full_log=log + "x"), **SETTINGS["pagerduty"])["payload"]["custom_details"]
    assert details["note"]


def test_an_event_too_large_without_the_alert_is_rejected() -> None:
    outcome = refusal("pagerduty", alert(timestamp=["x" * 600_000]), **SETTINGS["pagerduty"])
    assert isinstance(outcome, Rejected)
    assert outcome.reason is Reason.TOO_LARGE


def test_slack_s_texts_are_whole_up_to_its_limit() -> None:
    for length, text in ((40_000, "é" * 40_000), (40_001, "é" * 39_999 + "…")):
        (attachment,) = the_body("slack", alert(full_log="é" * length), **SETTINGS["slack"])["attachments"]
        assert attachment["text"] == text


def maltiverse_event(result: dict[str, Any]) -> ManagerEvent:
    served, given_ = service("maltiverse", **SETTINGS["maltiverse"]), alert(data={"srcip": "8.8.4.4"})
    (call,) = served.build_calls(given_)
    outcome = served.interpret(given_, call, response(200, result))
    assert isinstance(outcome, Delivered)
    (sent,) = outcome.events
    return sent


def test_a_huge_verdict_reaches_the_manager_without_its_long_parts() -> None:
    entries = [{"description": f"bad {number}", "source": "list"} for number in range(3000)]
    result = {"type": "ip", "ip_version": 4, "classification": "malicious", "blacklist": entries, "tag": ["ssh"]}
    sent = maltiverse_event(result)
    assert len(datagram(sent)) <= MAX_DATAGRAM_BYTES
    message = json.loads(sent.message)
    assert message["threat"]["indicator"]["confidence"] == "High"
    assert message["threat"]["indicator"]["sightings"] == 3000
    assert message["threat"]["indicator"]["description"].endswith(ELLIPSIS)
    assert message["maltiverse"]["source"] == result | {"blacklist": []}
    assert message["courier"]["shortened"].startswith("long parts are truncated or omitted: the event had ")


@given(st.text(max_size=40), st.integers(0, 70_000))
def test_an_event_is_shortened_only_if_too_large_for_the_manager(text: str, length: int) -> None:
    message = {
        "virustotal": {"found": 1, "source": {"file": text * length}, "permalink": "p"},
        "integration": "virustotal",
    }
    sent = event("virustotal", message)
    whole = f"1:virustotal:{json.dumps(message)}".encode()
    assert datagram(sent) == whole or (len(whole) > MAX_DATAGRAM_BYTES >= len(datagram(sent)))
    assert json.loads(sent.message)["virustotal"]["source"]["file"] in {
        text * length,
        truncate(text * length, MAX_PART_CHARS),
    }


@given(st.text(), st.integers(1, 50))
def test_a_text_is_truncated_between_characters_with_a_mark(text: str, longest: int) -> None:
    short = truncate(text, longest)
    assert len(short) <= longest
    assert short == text or (short.endswith(ELLIPSIS) and text.startswith(short[:-1]) and len(short) == longest)


@pytest.mark.parametrize("value", [None, 7, True, {"a": "b" * 100}, ["c" * 100]])
def test_truncate_returns_other_values_unchanged(value: object) -> None:
    assert truncate(value, 5) is value


def test_only_a_value_too_long_for_a_url_is_not_looked_up() -> None:
    served = service("maltiverse", **SETTINGS["maltiverse"])
    data = {"srcip": "8.8.4.4", "hostname": "é" * (MAX_URL_VALUE_BYTES // 6 + 1), "url": "https://x.example/"}
    assert [call.key for call in served.build_calls(alert(data=data))] == ["ip", "url"]
