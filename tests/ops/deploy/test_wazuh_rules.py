from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree as ET

import ops

FILE = Path(ops.__file__).parent / "deploy/wazuh" / "courier_rules.xml"
SCRIPTS = Path(ops.__file__).parents[1] / "common" / "ledger"
RULES = {rule.attrib["id"]: rule for rule in ET.parse(FILE).getroot().iter("rule")}  # noqa: S314 — our own file


def script_events() -> set[str]:
    """Return every event that the Lua scripts send to the manager."""
    texts = [path.read_text() for path in SCRIPTS.glob("*.lua")]
    return {event for text in texts for event in re.findall(r"notify_manager\('([a-z_]+)'", text)}


def test_rule_ids_are_local_and_all_follow_the_first() -> None:
    first, *others = RULES
    assert all(100_000 <= int(number) <= 120_000 for number in RULES)
    assert {rule.findtext("if_sid") for number, rule in RULES.items() if number in others} == {first}
    assert RULES[first].findtext("field") == "^courier$"


def test_each_event_has_a_rule() -> None:
    fields = [field for rule in RULES.values() for field in rule.iter("field")]
    events = {(field.text or "").strip("^$") for field in fields if field.attrib["name"] == "courier.event"}
    assert events == script_events() == {"breaker_opened", "dead_letters", "lagging"}


def test_descriptions_use_existing_fields() -> None:
    written = "".join(path.read_text() for path in SCRIPTS.glob("*.lua"))
    named = {
        name
        for rule in RULES.values()
        for name in re.findall(r"\$\(courier\.(\w+)\)", rule.findtext("description") or "")
    }
    assert named
    assert all(f'"{name}":' in written for name in named)
