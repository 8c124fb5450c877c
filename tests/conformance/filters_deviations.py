"""Where the stock daemon fires otherwise, and why.

Every predicate replays the case through Courier with the stock habits put into its input: the alert's keys as the stock
reader sees them, blocks without what Courier refuses them for, patterns that never match. What was recorded must
follow from that, and must not follow once the habit in question is left out.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from producer.secret_references import without_blanks
from tests.conformance import filters, stock_line
from tests.conformance.case import field_bytes, field_text, with_field
from tests.conformance.config_causes import (
    MERGES_OPTIONS,
    USES_HOOK_URL,
    has_no_json_number,
    has_rule_id_without_number,
    has_unusable_hook_url,
    has_unusable_options,
    has_wrapping_max_log,
    unreadable_text,
)
from tests.conformance.filters_argv import passes_a_vector, recorded_commands
from tests.conformance.sregex import is_unanchored_non_ascii
from tests.conformance.tail import alerts_on, is_alert

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conformance.case import Case
    from tests.conformance.filters import Ours

NEVER = "^courier-conformance-never-matches$"


def survives(case: Case, ours: Ours) -> bool:
    """A value of the wrong type ends the stock daemon; here the filter does not match, as if there were no value."""
    without = filters.ours(with_field(case, "alert", _without_wrong_types(field_bytes(case, "alert"))))
    return _ends_at_wrong_type(case, ours) and ours.fired == without.fired and not without.type_errors


def accepts_the_line(cause: str, case: Case, ours: Ours) -> bool:
    """The stock reader drops the line for this cause; here it passes the filters by what it says."""
    raw = field_bytes(case, "alert")
    if case["accepted"] or case["fired"] or case["outcome"] != "ok" or cause not in stock_line.why_dropped(raw):
        return False
    alert = stock_line.repaired(raw)
    plain = {key: alert[key] for key in ("rule", "location") if key in alert}
    return ours.accepted and ours.fired == filters.ours(with_field(case, "alert", json.dumps(plain).encode())).fired


def accepts_whole_alerts(case: Case, ours: Ours) -> bool:
    """The stock reader drops the line, or reads what is before a NUL byte; here each whole alert on it fires."""
    raw = field_bytes(case, "alert")
    if alerts_on(raw) == [raw] or not ours.accepted or ours != filters.ours(case):
        return False
    before = raw.partition(b"\0")[0]
    if before != raw and is_alert(before):
        there = with_field(case, "alert", before)
        return filters.same(there, filters.ours(there))
    return case["outcome"] == "ok" and not case["accepted"] and not case["fired"]


def reads_keys_like_standard_json(case: Case, ours: Ours) -> bool:
    everyone = with_field(case, "alert", stock_line.with_standard_json_keys(field_bytes(case, "alert")))
    return _explained_by("keys", case) and ours.fired == filters.ours(everyone).fired


def matches_non_ascii(case: Case, ours: Ours) -> bool:
    return ours.accepted and _explained_by("event_location", case)


def refuses(element: str, case: Case, ours: Ours) -> bool:
    """The stock daemon runs the block whatever this element says; here exactly the blocks with such text do not run."""
    blocks = re.findall(r"<integration\b.*?</integration>", field_text(case, "config"), re.DOTALL)
    causes = [_causes(block) for block in blocks]
    with_cause = tuple(at for at, elements in enumerate(causes) if elements)
    there = any(element in elements for elements in causes)
    return there and ours.refused == with_cause and _explained_by(element, case)


def passes_vectors(case: Case, ours: Ours) -> bool:
    """The same blocks run; their arguments are a vector, which the daemon's printing and splitting would have made
    what was recorded.
    """
    return bool(ours.commands) and filters.fires_alike(case, ours) and _vectors_become_recorded(case, ours)


def removes_blanks(case: Case, ours: Ours) -> bool:
    """The same blocks run; with the blanks around hook_url and api_key their arguments would be what was recorded."""
    blocks = re.findall(r"<integration\b.*?</integration>", field_text(case, "config"), re.DOTALL)
    commands = [
        one._replace(argv=[*one.argv[:2], *_with_blanks(blocks[fired.block], one.argv[2:4]), *one.argv[4:]])
        for one, fired in zip(ours.commands, ours.fired, strict=False)
    ]
    with_them = ours._replace(commands=commands)
    return commands != ours.commands and filters.fires_alike(case, ours) and _vectors_become_recorded(case, with_them)


def _with_blanks(block: str, values: list[str]) -> list[str]:
    """Return api_key and hook_url as they stand in the block, where blanks are all that they differ in."""
    texts = [re.findall(rf"<{name}\b[^<>]*>([^<]*)</{name}>", block) for name in ("api_key", "hook_url")]
    return [
        there[-1] if there and without_blanks(there[-1]) == value else value
        for there, value in zip(texts, values, strict=True)
    ]


def _vectors_become_recorded(case: Case, ours: Ours) -> bool:
    names = [fired.integration.name for fired in ours.fired][: len(ours.commands)]
    pairs = zip(ours.commands, recorded_commands(case), names, strict=True)
    return all(passes_a_vector(our, their, name) for our, their, name in pairs)


def _explained_by(habit: str, case: Case) -> bool:
    """Return whether what was recorded follows from the stock habits, and does not without this one."""
    return _follows(case, _with_habits(case)) and not _follows(case, _with_habits(case, but=habit))


def _follows(case: Case, there: Case) -> bool:
    ours = filters.ours(there)
    if not filters.fires_alike(case, ours):
        return _ends_at_wrong_type({**there, "fired": case["fired"]}, ours)
    return _vectors_become_recorded(case, ours)


def _with_habits(case: Case, *, but: str = "") -> Case:
    """Return the case so that Courier does with it what the stock daemon does, except in one respect."""
    config = re.sub(
        r"<integration\b.*?</integration>",
        lambda block: _as_stock_runs(block[0], but),
        field_text(case, "config"),
        flags=re.DOTALL,
    )
    there = with_field(case, "config", config.encode("utf-8", "surrogateescape"))
    if but == "keys":
        return there
    return with_field(there, "alert", stock_line.as_stock_reads_keys(field_bytes(case, "alert")))


def _as_stock_runs(block: str, but: str) -> str:
    """Return a block without that for which we refuse it, and with patterns that never match as the daemon's do."""
    refused_for = _causes(block) - {but}
    for cause, (element, instead) in _HARMLESS.items():
        if cause in refused_for:
            block = re.sub(rf"<{element}>.*?</{element}>", instead, block, flags=re.DOTALL)
    if "no text" in refused_for:
        block = re.sub(r"[\ud800-\udfff\x00-\x08\x0b\x0c\x0e-\x1f]", "x", block)
    if but == "event_location":
        return block
    return re.sub(r"(<event_location>)(!?)(.*?)(</event_location>)", _never_matching, block, flags=re.DOTALL)


_HARMLESS = {
    "rule_id": ("rule_id", ""),
    "max_log": ("max_log", ""),
    "options": ("options", ""),
    "no JSON number": ("options", ""),
    "hook_url": ("hook_url", "<hook_url>http://h</hook_url>"),
}
"""What stands in the place of an element for which we refuse a block that the stock daemon runs."""


def _never_matching(found: re.Match[str]) -> str:
    texts = (text.encode("utf-8", "surrogateescape") for text in found[3].split("|"))
    stock = [NEVER if is_unanchored_non_ascii(text) else text.decode("utf-8", "surrogateescape") for text in texts]
    return f"{found[1]}{found[2]}{'|'.join(stock)}{found[4]}"


def _causes(block: str) -> set[str]:
    """Return for what we refuse a block that the stock daemon runs."""
    texts = dict(re.findall(r"<(\w+)>(.*?)</\1>", block.partition(">")[2], re.DOTALL))
    name, options = texts.get("name", ""), texts.get("options")
    there = {
        "rule_id": has_rule_id_without_number(block),
        "max_log": has_wrapping_max_log(block),
        "options": name in MERGES_OPTIONS and has_unusable_options(options),
        "no JSON number": name in MERGES_OPTIONS and has_no_json_number(options),
        "hook_url": name in USES_HOOK_URL and has_unusable_hook_url(texts.get("hook_url")),
        "no text": unreadable_text(block),
    }
    return {element for element, is_there in there.items() if is_there}


def _ends_at_wrong_type(case: Case, ours: Ours) -> bool:
    """Return whether the recorded blocks are those of ours before one that looks at a value of the wrong type."""
    if case["outcome"] != "crash" or not case["accepted"]:
        return False
    count = len(case["fired"])
    before, after = ours.fired[:count], ours.fired[count:]
    is_there = any(
        all(one.block < at for one in before)
        and all(one.block >= at for one in after)
        and (is_filter or (bool(after) and after[0].block == at))
        for at, is_filter in _looking_at_wrong_types(case)
    )
    return is_there and ours.blocks(case)[:count] == filters.recorded(case)


def _looking_at_wrong_types(case: Case) -> Iterator[tuple[int, bool]]:
    """Yield the index of each block that the stock daemon may not survive with this alert (spec 3.2, 4.1), and whether
    that is a filter; else it is the text form, which is written once the block has passed.
    """
    alert = stock_line.repaired(field_bytes(case, "alert"))
    rule = alert.get("rule")
    rule = rule if isinstance(rule, dict) else {}
    groups = rule.get("groups", [])
    items = list(groups.values()) if isinstance(groups, dict) else groups if isinstance(groups, list) else []
    data = alert.get("data")
    wrong = {
        "event_location": not isinstance(alert.get("location", ""), str),
        "rule_id": not isinstance(rule.get("id", ""), str),
        "group": not all(isinstance(item, str) for item in items),
        "text form": not isinstance(alert.get("full_log", ""), str)
        or not isinstance(data.get("srcip", "") if isinstance(data, dict) else "", str),
    }
    for at, block in enumerate(filters.blocks_of(field_text(case, "config"))):
        if any(wrong[name] and f"<{name}" in block for name in ("event_location", "rule_id", "group")):
            yield at, True
        elif wrong["text form"] and "<alert_format>json" not in block:
            yield at, False


def _without_wrong_types(raw: bytes) -> bytes:
    """Return the line without the values that no filter can use."""
    alert = stock_line.repaired(raw)
    if not isinstance(alert.get("location", ""), str):
        del alert["location"]
    alert["rule"] = _right(alert["rule"]) if isinstance(alert["rule"], dict) else {}
    return json.dumps(alert).encode()


def _right(rule: dict[str, Any]) -> dict[str, Any]:
    groups = rule.get("groups", [])
    items = groups.values() if isinstance(groups, dict) else groups if isinstance(groups, list) else []
    level = rule.get("level", 0)
    rule |= {"groups": [item for item in items if isinstance(item, str)]}
    rule |= {"level": level if isinstance(level, int | float) and level is not True else int(level is True)}
    return {key: value for key, value in rule.items() if key != "id" or isinstance(value, str)}
