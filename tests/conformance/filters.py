"""Family `filters`: which blocks an alert fires and, in class `argv`, with what command lines."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from producer.filters.index import FilterIndex
from producer.ossec_conf import parse_ossec_conf
from tests.conformance.case import field_bytes, field_text
from tests.conformance.filters_argv import Command, command, recorded_commands
from tests.conformance.tail import alerts_on

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator

    from common.integration import Integration
    from tests.conformance.case import Case

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
    """What Courier makes of a case. `refused` blocks are those that its configuration reader does not take.

    `commands` are what their scripts are given, if the record tells of command lines.
    """

    accepted: bool
    fired: tuple[Fired, ...]
    refused: tuple[int, ...]
    type_errors: Counter[Any]
    commands: list[Command]

    def blocks(self, case: Case) -> list[tuple[int, str]]:
        """Return index and name of what fired, as recorded: of blocks with one name, the recorder, which knew a
        block by its name alone, noted the first for the first to fire, the second for the next, and so on; from the
        first again for the next alert of a line.
        """
        by_name: dict[str, list[int]] = {}
        for at, name in enumerate(_names(field_text(case, "config"))):
            by_name.setdefault(name, []).append(at)
        names = [fired.integration.name for fired in self.fired]
        return [(by_name[name][names[:at].count(name) % len(by_name[name])], name) for at, name in enumerate(names)]


def ours(case: Case) -> Ours:
    config, alerts = field_bytes(case, "config"), alerts_on(field_bytes(case, "alert"))
    placed = list(_place(field_text(case, "config"), parse_ossec_conf(config, file="etc/ossec.conf").integrations))
    taken = {fired.block for fired in placed}
    refused = tuple(at for at in range(len(_names(field_text(case, "config")))) if at not in taken)
    index = FilterIndex([fired.integration for fired in placed if is_enabled(fired.integration)])
    fires = [
        (fired, one) for one in alerts for ids in (index.match(one),) for fired in placed if fired.integration.id in ids
    ]
    commands = [command(fired.integration, one) for fired, one in fires] if recorded_commands(case) else []
    fired = tuple(fired for fired, _ in fires)
    return Ours(bool(alerts), fired, refused, index.type_errors, commands)


def same(case: Case, ours: Ours) -> bool:
    return fires_alike(case, ours) and ours.commands == recorded_commands(case)


def fires_alike(case: Case, ours: Ours) -> bool:
    alike = ours.accepted == case["accepted"] and ours.blocks(case) == recorded(case)
    return alike and case["outcome"] == "ok"


def recorded(case: Case) -> list[tuple[int, str]]:
    return [(fired["block"], fired["name"]) for fired in case["fired"]]


def is_enabled(integration: Integration) -> bool:
    """Return whether the stock daemon enables the block, given the executables of the recording (spec 1.4)."""
    name = integration.name
    return (
        name in EXECUTABLES
        and (name not in NEEDS_HOOK_URL or integration.hook_url is not None)
        and (name not in NEEDS_API_KEY or integration.api_key is not None)
    )


def blocks_of(config: str) -> list[str]:
    """Return the text of each block."""
    return re.findall(r"<integration\b[^>]*>(.*?)</integration>", config, re.DOTALL)


def _names(config: str) -> list[str]:
    """Return each block's name: of several the last one counts."""
    return [re.findall(r"<name>(.*?)</name>", block, re.DOTALL)[-1] for block in blocks_of(config)]


def _place(config: str, read: tuple[Integration, ...]) -> Iterator[Fired]:
    """Find the index in the file of each block that was read."""
    names = enumerate(_names(config))
    for integration in read:
        yield Fired(next(block for block, name in names if name == integration.name), integration)
