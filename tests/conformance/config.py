"""Family `config`: what a configuration file is read as, and which of its blocks then run."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from common.errors import ConfigError
from common.ossec_conf import parse_ossec_conf
from tests.conformance.harness import Deviation
from tests.conformance.sregex import field_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from common.integration import Integration
    from tests.conformance.harness import Case

Block = dict[str, Any]

FILE = "etc/ossec.conf"
LONGEST_STOCK_TEXT = 20_479
DEEPEST_STOCK = 1_000
SCRIPTS_PRESENT = {"custom-a", "custom-b", "custom-a b", "custom-min", "custom-thing"}
REFUSED_AT_STARTUP = {
    "missing hook_url": "hook_url",
    "missing api_key": "api_key",
    "not supported": "name",
    "script not found": "name",
}
"""What the daemon says of a block that it disables → the element that our refusal names."""


class Ours(NamedTuple):
    """What Courier makes of a file: the blocks that were read, the elements that refusals name, and how many
    warnings there are; `fatal` is why the whole file was refused.
    """

    blocks: list[dict[str, Any]]
    refused: list[str]
    warnings: int = 0
    fatal: str | None = None


def ours(case: Case) -> Ours:
    return read(field_bytes(case, "xml"))


def read(content: bytes) -> Ours:
    try:
        configuration = parse_ossec_conf(content, file=FILE)
    except ConfigError as error:
        return Ours([], [], fatal=str(error))
    assert all(error.line and error.problem for error in configuration.refused)
    blocks = [as_recorded(integration) for integration in configuration.integrations]
    return Ours(blocks, [str(error.element) for error in configuration.refused], len(configuration.warnings))


def as_recorded(integration: Integration) -> dict[str, Any]:
    """Return an integration in the form of the records."""
    location = integration.event_location
    is_custom = integration.name.startswith("custom-")
    return {
        "name": integration.name,
        **{
            name: None if secret is None else secret.reveal()
            for name, secret in [
                ("hook_url", integration.hook_url),
                ("api_key", integration.api_key),
                ("options", integration.options),
            ]
        },
        "level": integration.level,
        "max_log": integration.max_log,
        "rule_id": None if integration.rule_ids is None else list(integration.rule_ids),
        "group": integration.group,
        "event_location": None if location is None else {"raw": location, "negate": location.startswith("!")},
        "alert_format": integration.alert_format,
        "timeout": integration.timeout_s,
        "retries": integration.retries,
        "startup": "script not found" if is_custom and integration.name not in SCRIPTS_PRESENT else "enabled",
    }


def same(case: Case, ours: Ours) -> bool:
    if case["outcome"] in {"error", "crash"}:
        return not ours.blocks and (ours.fatal or "").startswith(FILE) != bool(ours.refused)
    if ours.fatal is not None:
        return False
    return _same_blocks(case["integrations"], ours, refused_for=())


def _same_blocks(
    recorded: list[Block], ours: Ours, *, refused_for: Collection[tuple[str, Callable[[Block], bool]]]
) -> bool:
    """Say whether we read what the daemon enables, and refuse what it disables or what is `refused_for` a reason."""
    refused: set[str] = set()
    wanted: list[Block] = []
    for block in recorded:
        reasons = {element for element, holds in refused_for if holds(block)}
        if _is_disabled(block):
            reasons.add(REFUSED_AT_STARTUP[block["startup"]])
        refused |= reasons
        if not reasons:
            wanted.append(block)
    read_alike = len(wanted) == len(ours.blocks) and all(
        {name: there[name] for name in block} == block for block, there in zip(wanted, ours.blocks, strict=True)
    )
    return read_alike and refused <= set(ours.refused) and bool(refused) == bool(ours.refused)


def _is_disabled(block: Block) -> bool:
    """Say whether the daemon disables the block for a reason that is seen in the file: not a custom script's lack."""
    return block.get("startup", "enabled") != "enabled" and not block["name"].startswith("custom-")


# The deviations: each checks what in the case causes it, and that we do what DESIGN says instead.


def _has_rule_id_without_number(block: Block) -> bool:
    """Say whether there may be a `rule_id` with text that means no filter; the record has no text of it."""
    return block["rule_id"] is None


def _has_unusable_options(block: Block) -> bool:
    """Say whether the stock script ends without sending anything (spec 5.1)."""
    if block.get("options") is None or block["name"] not in {"slack", "pagerduty", "shuffle"}:
        return False
    try:
        options = json.loads(block["options"])
        {}.update(options or {})  # what the scripts do with it
    except (ValueError, TypeError):
        return True
    return False


def _has_unusable_hook_url(block: Block) -> bool:
    """Say whether every request of the stock script ends in an error: no scheme, no host or no real host or port."""
    url, needed = block.get("hook_url"), block["name"] in {"slack", "shuffle", "maltiverse"}
    if url is None or not needed:
        return False
    try:
        parts = urlsplit(url.lstrip())
        _ = parts.port
    except ValueError:
        return True
    is_host = re.fullmatch(r"[^\s*.]\S*", parts.netloc) and parts.netloc == re.split("[/?#]", url)[2]
    return parts.scheme not in {"http", "https"} or not parts.hostname or not is_host


def _is_no_text(block: Block) -> bool:
    """Say whether a value is not UTF-8, so that it is recorded in base64, or has control characters."""
    values = [value for value in block.values() if isinstance(value, str)]
    return any(name.endswith("_b64") for name in block) or bool(re.search(r"[\0-\x08\v\f\x0e-\x1f]", "".join(values)))


def _refuses(element: str, holds: Callable[[Block], bool], case: Case, ours: Ours) -> bool:
    """Say whether we refuse, for this reason, the blocks that it holds for, and read the others as recorded."""
    if case["outcome"] != "ok" or ours.fatal is not None:
        return False
    caused = any(map(holds, case["integrations"]))
    return caused and _same_blocks(case["integrations"], ours, refused_for=[(element, holds)])


def _refuses_rule_id(case: Case, ours: Ours) -> bool:
    texts = re.findall(rb"<rule_id>(.*?)</rule_id>", field_bytes(case, "xml"), re.DOTALL)
    has_text = any(text.strip(b" ,\t\r\n") for text in texts)
    return has_text and _refuses("rule_id", _has_rule_id_without_number, case, ours)


def _refuses_what_is_no_text(case: Case, ours: Ours) -> bool:
    return any(_refuses(element, _is_no_text, case, ours) for element in set(ours.refused))


class _Parts(NamedTuple):
    """A file cut into its blocks and the rest; `alone` is what each block is read as in a clean file."""

    rest: str
    alone: list[Ours]


def _parts(case: Case) -> _Parts:
    xml = field_bytes(case, "xml").decode("utf-8", "surrogateescape")
    inside = r"(?:(?!<integration\b).)"
    block = re.compile(rf"<integration\b(?:[^<>]*/>|{inside}*?</integration>|{inside}*)", re.DOTALL)
    roots = "".join(re.findall(r"<ossec_config\b.*?</ossec_config>", xml, re.DOTALL))
    clean = [f"<ossec_config>{text}</ossec_config>" for text in block.findall(roots)]
    return _Parts(block.sub("", xml), [read(text.encode("utf-8", "surrogateescape")) for text in clean])


def _reads_all_but_the_bad_block(case: Case, ours: Ours) -> bool:
    """One bad block ends the stock daemon; we refuse that block alone."""
    alone = _parts(case).alone
    good = [block for part in alone for block in part.blocks]
    bad = [element for part in alone for element in part.refused]
    named = re.search(r"'([^']*)'", case.get("error_text", "").removeprefix(f"Error reading XML file '{FILE}'"))
    cause = (
        case["outcome"] == "error" and bool(bad) and (named is None or not {named[1], "integration"}.isdisjoint(bad))
    )
    return cause and bool(good) and ours.blocks == good and ours.refused == bad


def _reads_xml_declaration_and_cdata(case: Case, ours: Ours) -> bool:
    xml = field_bytes(case, "xml")
    cause = case["outcome"] == "error" and (b"<?xml" in xml or b"<![CDATA[" in xml)
    plain = re.sub(rb"<!\[CDATA\[(.*?)\]\]>", lambda cdata: cdata[1].replace(b"<", b"{LESS}"), xml, flags=re.DOTALL)
    without = read(re.sub(rb"<\?xml[^<>]*\?>", b"", plain))
    alike = json.dumps(ours.blocks) == json.dumps(without.blocks).replace("{LESS}", "<")
    return cause and bool(ours.blocks) and ours.warnings > without.warnings and alike


def _reads_blocks_whatever_is_around(case: Case, ours: Ours) -> bool:
    """Something outside of the blocks ends the stock daemon; we read each block as it would be in a clean file."""
    rest, alone = _parts(case)
    good = [block for part in alone for block in part.blocks]
    named = re.search(r"element in the configuration: '([^']*)'", case.get("error_text", ""))
    warned = ours.warnings > sum(part.warnings for part in alone)
    outside = f"<{named[1]}" in rest if named else warned or _exceeds_stock_limits(field_bytes(case, "xml"))
    cause = case["outcome"] == "error" and outside and not any(part.refused for part in alone)
    return cause and bool(good) and ours.blocks == good and not ours.refused


def _exceeds_stock_limits(xml: bytes) -> bool:
    """Say whether there is more text, or more depth, than the stock reader takes (spec 1.2)."""
    return any(len(text) > LONGEST_STOCK_TEXT for text in re.split(b"[<>]", xml)) or b"<a>" * DEEPEST_STOCK in xml


DEVIATIONS = (
    Deviation("D6", _reads_all_but_the_bad_block),
    Deviation("D7", _refuses_rule_id),
    Deviation("D8", _reads_xml_declaration_and_cdata),
    Deviation("D13", lambda case, ours: _refuses("options", _has_unusable_options, case, ours)),
    Deviation("config-1", _reads_blocks_whatever_is_around),
    Deviation("config-2", lambda case, ours: _refuses("hook_url", _has_unusable_hook_url, case, ours)),
    Deviation("config-3", _refuses_what_is_no_text),
)
