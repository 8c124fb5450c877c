"""Family `filters`: which blocks an alert fires. (Class `argv` also records command lines.)"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from common.ossec_conf import parse_ossec_conf
from producer.filters import FilterIndex
from producer.line import BadLine
from tests.conformance.harness import Deviation
from tests.conformance.sregex import has_unanchored_non_ascii

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator

    from common.integration import Integration
    from tests.conformance.harness import Case

LONGEST_STOCK_LINE_BYTES = 65_536
DEEPEST_STOCK_NESTING = 1_000
EXECUTABLES = {
    *("slack", "pagerduty", "virustotal", "shuffle", "maltiverse"),
    *(f"custom-{letter}" for letter in "abcde"),
    *(f"custom-l{level:02}" for level in range(17)),
    "custom-a b",
}
NEEDS_HOOK_URL = {"slack", "shuffle", "maltiverse"}
NEEDS_API_KEY = {"pagerduty", "virustotal", "maltiverse"}


class Fired(NamedTuple):
    """One block that ran: its index in the file, and what was read of it."""

    block: int
    integration: Integration


class Ours(NamedTuple):
    """What Courier makes of a case. `refused` blocks are those that its configuration reader does not take."""

    accepted: bool
    fired: tuple[Fired, ...]
    refused: tuple[int, ...]
    wrong_types: Counter[Any]

    def blocks(self, case: Case) -> list[tuple[int, str]]:
        """Return index and name of what fired, as recorded: of blocks with one name, the recorder, which knew a
        block by its name alone, noted the first for the first to fire, the second for the next, and so on.
        """
        by_name = {
            name: [at for at, other in enumerate(_names(case["config"])) if other == name] for name in EXECUTABLES
        }
        names = [fired.integration.name for fired in self.fired]
        return [(by_name[name][names[:at].count(name)], name) for at, name in enumerate(names)]


def ours(case: Case) -> Ours:
    return make_of(case)


def make_of(case: Case) -> Ours:
    read = parse_ossec_conf(case["config"].encode(), file="etc/ossec.conf").integrations
    placed = list(_place(case["config"], read))
    taken = {fired.block for fired in placed}
    refused = tuple(block for block in range(len(_names(case["config"]))) if block not in taken)
    index = FilterIndex([fired.integration for fired in placed if is_enabled(fired.integration)])
    try:
        ids = index.match(alert_bytes(case))
    except BadLine:
        return Ours(accepted=False, fired=(), refused=refused, wrong_types=index.wrong_types)
    fired = tuple(fired for fired in placed if fired.integration.id in ids)
    return Ours(accepted=True, fired=fired, refused=refused, wrong_types=index.wrong_types)


def same(case: Case, ours: Ours) -> bool:
    alike = ours.accepted == case["accepted"] and ours.blocks(case) == recorded(case)
    return alike and case["outcome"] == "ok"


def recorded(case: Case) -> list[tuple[int, str]]:
    return [(fired["block"], fired["name"]) for fired in case["fired"]]


def alert_bytes(case: Case) -> bytes:
    return str(case["alert"]).encode("utf-8", "surrogateescape")


def is_enabled(integration: Integration) -> bool:
    """Say whether the stock daemon enables the block, given the executables of the recording (spec 1.4)."""
    name = integration.name
    return (
        name in EXECUTABLES
        and (name not in NEEDS_HOOK_URL or integration.hook_url is not None)
        and (name not in NEEDS_API_KEY or integration.api_key is not None)
    )


def _names(config: str) -> list[str]:
    return re.findall(r"<name>(.*?)</name>", config)


def _place(config: str, read: tuple[Integration, ...]) -> Iterator[Fired]:
    """Find the index in the file of each block that was read."""
    names = enumerate(_names(config))
    for integration in read:
        yield Fired(next(block for block, name in names if name == integration.name), integration)


# The deviations: each checks what in the case causes it, and that we do what DESIGN says instead.


def _survives(case: Case, ours: Ours) -> bool:
    """A value of the wrong type ends the stock daemon: in a filter, or in the text form of the alert."""
    cause = case["outcome"] == "crash" and (ours.wrong_types or _text_form_crashes(case))
    return bool(cause) and ours.blocks(case)[: len(case["fired"])] == recorded(case)


def _text_form_crashes(case: Case) -> bool:
    alert = json.loads(case["alert"])
    data = alert.get("data")
    values = alert.get("full_log", ""), data.get("srcip", "") if isinstance(data, dict) else ""
    has_text_form = case["config"].count("<integration>") > case["config"].count("<alert_format>json")
    return has_text_form and not all(isinstance(value, str) for value in values)


def _accepts(case: Case, ours: Ours) -> bool:
    return ours.accepted and not case["accepted"] and case["outcome"] == "ok"


def _takes_long_or_padded_lines(case: Case, ours: Ours) -> bool:
    raw = alert_bytes(case)
    return _accepts(case, ours) and (len(raw) >= LONGEST_STOCK_LINE_BYTES or raw != raw.rstrip())


def _reads_keys_as_everyone(case: Case, ours: Ours) -> bool:
    """Given the alert's keys as the stock reader sees them, and only then, we do what was recorded."""
    there = make_of(_as_stock_reads(case))
    alike = there.accepted == case["accepted"] and there.blocks(case) == recorded(case)
    return alike and ours != there and case["outcome"] == "ok"


def _as_stock_reads(case: Case) -> Case:
    """Return the case with the alert's keys in lower case and without duplicates but the first."""
    try:
        alert = json.loads(case["alert"], object_pairs_hook=_first_of_each)
    except (ValueError, RecursionError):
        return case
    return {**case, "alert": json.dumps(alert)}


def _first_of_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return {key.lower(): value for key, value in reversed(pairs)}


def _matches_non_ascii(case: Case, ours: Ours) -> bool:
    patterns = re.findall(r"<event_location>(.*?)</event_location>", case["config"])
    return ours.accepted == case["accepted"] and any(has_unanchored_non_ascii(text.encode()) for text in patterns)


def _refuses(element: str, case: Case, ours: Ours) -> bool:
    """Say whether we refused exactly the blocks with this element, and the others fired as recorded."""
    blocks = re.findall(r"<integration>(.*?)</integration>", case["config"], re.DOTALL)
    with_element = all(f"<{element}>" in blocks[block] for block in ours.refused)
    others = [fired for fired in recorded(case) if fired[0] not in ours.refused]
    there = make_of(_as_stock_reads(case))  # D3 may come on top
    alike = there.accepted == case["accepted"] and there.blocks(case) == others
    return bool(ours.refused) and with_element and alike


def _takes_lone_surrogates_and_any_depth(case: Case, ours: Ours) -> bool:
    alert = case["alert"]
    paired = re.sub(r"\\ud[89ab]..\\ud[c-f]..", "", alert, flags=re.IGNORECASE)
    lone = re.search(r"\\ud[89a-f]", paired, re.IGNORECASE)
    deep = alert.count("[") + alert.count("{") > DEEPEST_STOCK_NESTING
    return _accepts(case, ours) and bool(lone or deep)


def _takes_nul_bytes(case: Case, ours: Ours) -> bool:
    return _accepts(case, ours) and "\0" in case["alert"]


DEVIATIONS = (
    Deviation("D1", _survives),
    Deviation("D2", _takes_long_or_padded_lines),
    Deviation("D3", _reads_keys_as_everyone),
    Deviation("D5", _matches_non_ascii),
    Deviation("D7", lambda case, ours: _refuses("rule_id", case, ours)),
    Deviation("D13", lambda case, ours: _refuses("options", case, ours)),
    Deviation("filters-1", _takes_lone_surrogates_and_any_depth),
    Deviation("filters-2", _takes_nul_bytes),
)
