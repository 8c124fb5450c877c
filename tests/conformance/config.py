"""Family `config`: what a configuration file is read as, and which of its blocks then run."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from common.errors import ConfigError
from producer.ossec_conf import parse_ossec_conf
from tests.conformance.case import field_bytes, field_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from common.integration import Integration
    from tests.conformance.case import Case

Block = dict[str, Any]

FILE = "etc/ossec.conf"
SCRIPTS_PRESENT = {"custom-a", "custom-b", "custom-a b", "custom-min", "custom-thing"}
REFUSED_AT_STARTUP = {
    "missing hook_url": "hook_url",
    "missing api_key": "api_key",
    "not supported": "name",
    "script not found": "name",
}
"""What the daemon says of a block that it disables → the element that our refusal names."""


COMMENT = re.compile(r"<!(?!\[CDATA\[).*?(?:-->|!>)", re.DOTALL)
BLOCK = re.compile(r"<integration\b[^<>]*>.*?</integration>", re.DOTALL)
NAME = re.compile(r"<name\b[^<>]*?(?:/>|>(.*?)</name>)", re.DOTALL)
RULE_ID = re.compile(r"<rule_id\b.*?</rule_id>", re.DOTALL)
MAX_LOG = re.compile(r"(<max_log\b[^<>]*>)([0-9]+)(?=</)")
NUMBER = re.compile(r"<rule_id\b[^<>]*>[ ,]*[0-9]")
UNREADABLE = re.compile(r"[\0-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


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
    return ours.fatal is None and reads_alike(case, ours)


def reads_alike(case: Case, ours: Ours, *, refused_for: Sequence[set[str]] = ()) -> bool:
    """Return whether we read what the daemon enables, and refuse what it disables and what is `refused_for` a reason.

    `refused_for` has, for each block, the elements that a refusal must name. Refused blocks must also be as recorded.
    """
    refused: set[str] = set()
    wanted: list[Block] = []
    for at, block in enumerate(case["integrations"]):
        elements = refused_for[at] if refused_for else set()
        if _is_disabled(block):
            elements = elements | {REFUSED_AT_STARTUP[block["startup"]]}
        refused |= elements
        if not elements:
            wanted.append(_as_text(block))
    read_alike = len(wanted) == len(ours.blocks) and all(
        {name: there[name] for name in block} == block for block, there in zip(wanted, ours.blocks, strict=True)
    )
    alike = read_alike and refused <= set(ours.refused) and bool(refused) == bool(ours.refused)
    return alike and (not refused or _refused_alike(case))


def _refused_alike(case: Case) -> bool:
    """Return whether the texts of all blocks are as recorded, without the elements for which we refuse some of them.

    Each block has the name of a script, no `rule_id` without a number, `max_log` as 32 bits hold it, and only text.
    """
    xml = COMMENT.sub("", field_text(case, "xml"))
    names = [NAME.findall(source)[-1] for source in BLOCK.findall(xml)]
    texts = [xml, re.sub("\0[^<]*", "", xml)]  # a NUL ends a text in C
    return any(_healed_alike(case, text, names) for text in texts)


def _healed_alike(case: Case, xml: str, names: list[str]) -> bool:
    healed = NAME.sub("<name>custom-a</name>", UNREADABLE.sub("x", xml))
    if not all(map(has_rule_ids, case["integrations"])):
        healed = RULE_ID.sub(lambda one: one[0] if NUMBER.match(one[0]) else "", healed)
    healed = MAX_LOG.sub(lambda one: f"{one[1]}{int(one[2]) % 2**32}", healed)
    there = read(healed.encode()).blocks
    recorded = [_as_text(block) for block in case["integrations"]]
    alike = [
        {key: UNREADABLE.sub("x", text) if isinstance(text, str) else text for key, text in block.items()}
        == {**our, "name": UNREADABLE.sub("x", name), "startup": block["startup"]}
        for block, our, name in zip(recorded, there, names, strict=True)
    ]
    return all(alike)


def has_rule_ids(block: Block) -> bool:
    return block["rule_id"] is not None


def _as_text(block: Block) -> Block:
    """Return a recorded block with its base64 settings as text, which no block of ours can have."""
    names = {name.removesuffix("_b64") for name in block}
    return {name: field_text(block, name) if f"{name}_b64" in block else block[name] for name in names}


def _is_disabled(block: Block) -> bool:
    """Return whether the daemon disables the block for a reason in the file, not because its script is missing."""
    if block.get("startup", "enabled") == "enabled":
        return False
    return not (block["startup"] == "script not found" and field_text(block, "name").startswith("custom-"))
