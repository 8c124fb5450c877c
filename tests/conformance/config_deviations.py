"""Where the stock daemon reads a configuration otherwise, and why.

A file with something wrong in it ends the stock daemon as a whole, so what it would have made of the other blocks is
not recorded. There, ours is compared with what each block is read as when it stands alone in a clean file.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from producer.secret_references import without_blanks
from tests.conformance.case import field_bytes, field_text
from tests.conformance.config import FILE, Ours, read, reads_alike
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

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conformance.case import Case

TRIMMED = ("hook_url", "api_key")
LONGEST_STOCK_TEXT = 20_479
DEEPEST_STOCK = 1_000
ENDS_STOCK = {"error", "crash"}

_INSIDE = r"(?:(?!<integration\b).)"
_BLOCK = re.compile(rf"<integration\b(?:[^<>]*/>|{_INSIDE}*?</integration>|{_INSIDE}*)", re.DOTALL)
_ROOT = re.compile(r"<ossec_config\b.*?(?:</ossec_config>|\Z)", re.DOTALL)
_WITH_GREATER_THAN = re.compile(rb"""=\s*(?:"[^"<]*>[^"<]*"|'[^'<]*>[^'<]*')""")
_COMMENT = re.compile(r"<!(?!\[CDATA\[).*?(?:-->|!>)", re.DOTALL)


def refuses(cause: str, case: Case, ours: Ours) -> bool:
    """The daemon runs a block whatever this says; we refuse the blocks that say so, and read the others as recorded."""
    if case["outcome"] != "ok" or ours.fatal is not None:
        return False
    refused_for = _refused_for(case)
    there = any(cause in causes for causes in refused_for)
    elements = [{element for named in causes.values() for element in named} for causes in refused_for]
    return there and reads_alike(case, ours, refused_for=elements)


def _refused_for(case: Case) -> list[dict[str, set[str]]]:
    """Return of each block for what we refuse it although the stock daemon runs it, and what our refusals name."""
    sources = _sources(case)
    if len(sources) != len(case["integrations"]):  # of so odd a file, only what was recorded is known
        sources = [""] * len(case["integrations"])
    return [_causes(block, source) for block, source in zip(case["integrations"], sources, strict=True)]


def _causes(block: dict[str, Any], source: str) -> dict[str, set[str]]:
    name, options, hook_url = (block.get(key) for key in ("name", "options", "hook_url"))
    texts = re.findall(r"<(\w+)\b[^<>]*>(.*?)</\1>", source.partition(">")[2], re.DOTALL)
    there = {
        "rule_id": {"rule_id"} if block["rule_id"] is None and has_rule_id_without_number(source) else set(),
        "max_log": {"max_log"} if has_wrapping_max_log(source) else set(),
        "options": {"options"} if name in MERGES_OPTIONS and has_unusable_options(options) else set(),
        "no JSON number": {"options"} if name in MERGES_OPTIONS and has_no_json_number(options) else set(),
        "hook_url": {"hook_url"} if name in USES_HOOK_URL and has_unusable_hook_url(hook_url) else set(),
        "no text": {element for element, text in texts if unreadable_text(text)},
    }
    return {cause: elements for cause, elements in there.items() if elements}


def _sources(case: Case) -> list[str]:
    roots = "".join(_ROOT.findall(_COMMENT.sub("", field_text(case, "xml"))))
    return _BLOCK.findall(roots)


class _Parts(NamedTuple):
    """A file cut into its blocks and the rest; `alone` is what each block is read as in a clean file."""

    rest: str
    alone: list[Ours]

    @property
    def good(self) -> list[dict[str, Any]]:
        return [block for part in self.alone for block in part.blocks]

    @property
    def bad(self) -> list[str]:
        return [element for part in self.alone for element in part.refused]


def _parts(case: Case) -> _Parts:
    xml = field_text(case, "xml")
    sources = _BLOCK.findall("".join(_ROOT.findall(xml)))
    clean = [f"<ossec_config>{text}</ossec_config>".encode("utf-8", "surrogateescape") for text in sources]
    return _Parts(_BLOCK.sub("", xml), [read(text) for text in clean])


def reads_all_but_the_bad_block(case: Case, ours: Ours) -> bool:
    """One bad block ends the stock daemon; we refuse that block alone."""
    parts = _parts(case)
    named = re.search(r"'([^']*)'", case.get("error_text", "").removeprefix(f"Error reading XML file '{FILE}'"))
    cause = named is None or not {named[1], "integration"}.isdisjoint(parts.bad)
    instead = ours.blocks == parts.good and ours.refused == parts.bad
    return case["outcome"] in ENDS_STOCK and bool(parts.good) and bool(parts.bad) and cause and instead


def reads_other_xml(case: Case, ours: Ours) -> bool:
    """An XML declaration, CDATA or a `>` in an attribute's value ends the stock daemon; here all is read around it."""
    xml = _WITH_GREATER_THAN.sub(lambda one: one[0].replace(b">", b""), field_bytes(case, "xml"))
    odd = b"<?xml" in xml or b"<![CDATA[" in xml or xml != field_bytes(case, "xml")
    cause = case["outcome"] in ENDS_STOCK and odd
    plain = re.sub(rb"<!\[CDATA\[(.*?)\]\]>", lambda cdata: cdata[1].replace(b"<", b"{LESS}"), xml, flags=re.DOTALL)
    without = read(re.sub(rb"<\?xml[^<>]*\?>", b"", plain))
    alike = json.dumps(ours.blocks) == json.dumps(without.blocks).replace("{LESS}", "<")
    return cause and bool(ours.blocks) and ours.warnings > without.warnings and alike


def reads_blocks_whatever_is_around(case: Case, ours: Ours) -> bool:
    """Something outside of the blocks ends the stock daemon; we read each block as it would be in a clean file."""
    if case["outcome"] != "error":
        return False
    named = re.search(r"element in the configuration: '([^']*)'", case.get("error_text", ""))
    if named:
        return any(_reads_alike(ours, without) for without in _without_an_element(field_text(case, "xml"), named[1]))
    parts = _parts(case)
    warned = ours.warnings > sum(part.warnings for part in parts.alone)
    cause = (warned or _exceeds_stock_limits(field_text(case, "xml"))) and not parts.bad
    return cause and bool(parts.good) and ours.blocks == parts.good and not ours.refused


def _without_an_element(xml: str, name: str) -> Iterator[Ours]:
    """Yield what is read without each of the elements of this name."""
    start = rf"<{re.escape(name)}(?=[\s/>])[^<>]*?"
    for element in re.finditer(rf"(?={start}(/>|>.*?</{re.escape(name)}>))", xml, re.DOTALL):
        yield read(f"{xml[: element.start()]}{xml[element.end(1) :]}".encode("utf-8", "surrogateescape"))


def _reads_alike(ours: Ours, without: Ours) -> bool:
    """Return whether ours is what is read without something, but for a warning about it."""
    alike = (ours.blocks, ours.refused, ours.fatal, without.fatal) == (without.blocks, without.refused, None, None)
    return alike and ours.warnings > without.warnings


def removes_blanks(case: Case, ours: Ours) -> bool:
    """The same is read, but for the blanks around hook_url and api_key."""
    trimmed = [
        {key: without_blanks(text) if key in TRIMMED and isinstance(text, str) else text for key, text in block.items()}
        for block in case["integrations"]
    ]
    return trimmed != case["integrations"] and reads_alike({**case, "integrations": trimmed}, ours)


def survives(case: Case, ours: Ours) -> bool:
    """The stock reader dies of a signal; we read each block as it would be in a clean file."""
    parts = _parts(case)
    return case["outcome"] == "crash" and bool(parts.good) and ours.blocks == parts.good and not ours.refused


def refuses_a_file_without_root(case: Case, ours: Ours) -> bool:
    """The stock daemon leaves with success; we say that this is no ossec.conf."""
    cause = case["outcome"] == "none" and "<ossec_config" not in _COMMENT.sub("", field_text(case, "xml"))
    return cause and ours == Ours([], [], fatal=ours.fatal) and "no ossec.conf" in (ours.fatal or "")


def _exceeds_stock_limits(xml: str) -> bool:
    """Return whether there is more text, or more depth, than the stock reader takes (spec 1.2)."""
    depth = deepest = 0
    for tag in re.findall(r"</?[^<>!?/][^<>]*>", xml):
        depth += -1 if tag.startswith("</") else not tag.endswith("/>")
        deepest = max(deepest, depth)
    longest = max(len(text.encode("utf-8", "surrogateescape")) for text in re.split("[<>]", xml))
    return longest > LONGEST_STOCK_TEXT or deepest > DEEPEST_STOCK
