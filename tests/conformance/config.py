"""Family `config`: what a configuration file is read as, and which of its blocks then run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from common.errors import ConfigError
from common.ossec_conf import parse_ossec_conf
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
    return ours.fatal is None and reads_alike(case["integrations"], ours)


def reads_alike(recorded: list[Block], ours: Ours, *, refused_for: Sequence[set[str]] = ()) -> bool:
    """Say whether we read what the daemon enables, and refuse what it disables and what is `refused_for` a reason:
    of each block, the elements that a refusal must name.
    """
    refused: set[str] = set()
    wanted: list[Block] = []
    for at, block in enumerate(recorded):
        elements = refused_for[at] if refused_for else set()
        if _is_disabled(block):
            elements = elements | {REFUSED_AT_STARTUP[block["startup"]]}
        refused |= elements
        if not elements:
            wanted.append(_as_text(block))
    read_alike = len(wanted) == len(ours.blocks) and all(
        {name: there[name] for name in block} == block for block, there in zip(wanted, ours.blocks, strict=True)
    )
    return read_alike and refused <= set(ours.refused) and bool(refused) == bool(ours.refused)


def _as_text(block: Block) -> Block:
    """Return a recorded block with its base64 settings as text, which no block of ours can have."""
    names = {name.removesuffix("_b64") for name in block}
    return {name: field_text(block, name) if f"{name}_b64" in block else block[name] for name in names}


def _is_disabled(block: Block) -> bool:
    """Say whether the daemon disables the block for a reason that is seen in the file: not a custom script's lack."""
    if block.get("startup", "enabled") == "enabled":
        return False
    return not (block["startup"] == "script not found" and field_text(block, "name").startswith("custom-"))
