from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

from common.settings.load import load_settings
from ops.demo.expect import FOLDED, Arrival, arrived, compare, expected, look_ups
from ops.demo.messages import Inbox
from ops.demo.setup import ALERTS, SAMPLE
from producer.configuration import read_configuration
from producer.ossec_conf import parse_ossec_conf

if TYPE_CHECKING:
    from pathlib import Path

BLOCKS = b"""<ossec_config>
<integration><name>slack</name><hook_url>http://h/</hook_url><level>7</level></integration>
<integration><name>shuffle</name><hook_url>http://h/</hook_url></integration>
<integration><name>virustotal</name><api_key>k</api_key></integration>
<integration><name>maltiverse</name><api_key>k</api_key><hook_url>http://h</hook_url></integration>
</ossec_config>"""
INTEGRATIONS = parse_ossec_conf(BLOCKS, file="f").integrations
MD5 = "44d88612fea8a8f36de82e1278abb02f"


def alert(rule_id: str = "1", level: int = 3, **more: object) -> bytes:
    return json.dumps({"rule": {"id": rule_id, "level": level}, "id": "1.2", **more}).encode() + b"\r\n"


def must(*lines: bytes) -> set[tuple[str, str]]:
    return {(arrival.integration, arrival.identity) for arrival in expected(lines, INTEGRATIONS)}


def test_filters_and_skipped_alerts() -> None:
    assert must(alert(level=7)) == {("slack", "1.2"), ("shuffle", "1.2")}
    assert must(alert("5710")) == set()
    assert must(b"no json\n", b"[]\n") == set()


def test_look_ups_and_their_events() -> None:
    assert must(alert("5710", syscheck={"md5_after": MD5})) == {
        ("virustotal", MD5),
        ("manager", "virustotal 1.2"),
        ("maltiverse", f"sample/md5/{MD5}"),
        ("manager", f"maltiverse 1.2 {MD5}"),
    }
    assert must(alert("5710", syscheck={"md5_after": "x"}, data={"srcip": "10.0.0.1"})) == {
        ("maltiverse", "sample/md5/x")
    }


def test_only_public_addresses_are_looked_up() -> None:
    asked = [[path for path, _ in look_ups({"data": {"srcip": ip}})] for ip in ("8.8.4.4", "100.64.0.1", "224.0.0.1")]
    assert asked == [["ip/8.8.4.4"], ["ip/100.64.0.1"], ["ip/224.0.0.1"]]
    for ip in ("192.168.0.1", "203.0.113.9", "::1", "no address"):
        assert list(look_ups({"data": {"srcip": ip}})) == []
    assert list(look_ups({"data": "text", "syscheck": None})) == []


def test_missing_unexpected_and_repeated_messages() -> None:
    a, b, c = (Arrival("slack", name) for name in "abc")
    comparison = compare(Counter({a: 1, b: 2}), Counter({b: 1, c: 1}))
    assert not comparison.complete
    assert comparison == ((a, b), (c,), ())
    assert compare(Counter({a: 1}), Counter({a: 2})).repeated == (a,)
    assert compare(Counter({a: 1}), Counter({a: 2})).complete


def test_refused_message_has_not_arrived_but_a_404_has() -> None:
    inbox = Inbox(lambda: 0.0)
    for status, accepted in ((500, False), (404, False), (200, True)):
        inbox.add(service="s", integration="i", status=status, accepted=accepted, identity=str(status), title="")
    assert set(arrived(inbox.after(0))) == {("i", "404"), ("i", "200")}


def test_a_digest_counts_as_the_messages_that_it_is_for(tmp_path: Path) -> None:
    (tmp_path / "ossec.conf").write_text("<ossec_config></ossec_config>")
    toml = '[integrations.soc]\nservice = "mattermost"\nhook_url = "http://h/x"\nlevel = 7\ndigest.every = "5s"\n'
    (tmp_path / "courier.toml").write_text(toml)
    settings = load_settings(file=None, environment={}, cwd=tmp_path, overrides={"producer.config": "ossec.conf"})
    found = expected([alert(level=7), alert(level=9), alert(level=3)], read_configuration(settings).integrations)
    assert found == Counter({Arrival("soc", FOLDED): 2})
    inbox = Inbox(lambda: 0.0)
    title = "2 more: sshd: brute force"
    inbox.add(service="m", integration="soc", status=200, accepted=True, identity="1.2", title=title)
    assert arrived(inbox.after(0)) == found


def test_sample_has_every_kind_of_message() -> None:
    configuration = parse_ossec_conf((SAMPLE / "ossec.conf").read_bytes(), file="ossec.conf")
    assert not configuration.refused
    assert all("placeholder" in warning.text for warning in configuration.warnings), "its hooks are examples"
    names = Counter(i.name for i in configuration.integrations)
    assert names == {"slack": 2, "pagerduty": 1, "virustotal": 1, "shuffle": 1, "maltiverse": 1, "custom-ticket": 1}
    with ALERTS.open("rb") as log:
        arrivals = expected(log, configuration.integrations)
    assert {a.integration for a in arrivals} == {i.id for i in configuration.integrations} | {"manager"}
    assert set(arrivals.values()) <= set(range(1, 20))


def test_sample_covers_the_unusual_alerts() -> None:
    content = ALERTS.read_bytes()
    assert content.endswith(b"\n")
    lines = content.removesuffix(b"\n").split(b"\n")
    alerts = [json.loads(line) for line in lines]
    assert len({a["id"] for a in alerts}) == len(alerts) >= 60
    assert {a["rule"]["level"] for a in alerts} >= {3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}
    assert sum(line.endswith(b"\r") for line in lines) == 1
    assert sum(len(line) > 100_000 for line in lines) == 1
    assert any(a["rule"]["id"] == "5710" for a in alerts)
    assert any("agentless" in a and "agent" not in a for a in alerts)
    assert any("agent" in a and "ip" not in a["agent"] and a["agent"]["id"] != "000" for a in alerts)
    assert {a.get("syscheck", {}).get("event") for a in alerts} >= {"added", "modified", "deleted"}
