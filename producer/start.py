"""Where each integration begins to read: at its cursor, or that of the block that it replaces, or at `start_at`.

A block's id can change with its configuration: a second block of the same name gives the first a suffix. What served
the same target before hands on its place then, so that no alert falls between the two.
"""

from __future__ import annotations

import logging
from datetime import datetime
from typing import TYPE_CHECKING

from common.ledger import Stored
from common.settings_schema import Start
from producer.members import Member

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from common.integration import Integration
    from common.ledger import Ledger
    from common.registry import PublishedRegistry
    from common.settings_schema import Policy
    from producer.source import Source

_log = logging.getLogger("courier.producer")


def take_places(
    integrations: Sequence[Integration],
    *,
    node: str,
    ledger: Ledger,
    registry: PublishedRegistry,
    source: Source,
    policy: Callable[[Integration], Policy],
    remembered: Mapping[str, str],
) -> dict[str, Member]:
    """Publish the integrations and return them as readers, by id, each with a committed cursor.

    `remembered` are the last cursors that this process knew; they count only where Redis has lost its own.
    Raises LedgerUnavailable, LedgerUnfit, and SettingsError if the registry was sealed with another key.
    """
    entries = registry.publish(node, integrations).entries
    left = [entry.integration for entry in entries.values() if node not in entry.nodes]
    cursors = ledger.cursors([one.id for one in [*integrations, *left]], node)
    places = {one.id: (one, cursors[one.id]) for one in left if cursors[one.id]}
    members = {}
    for integration in integrations:
        member = Member(integration, policy(integration), cursors[integration.id], cursors[integration.id])
        if not member.committed:
            known = _remembered(integration, remembered) or _inherited(integration, places.values())
            _begin(member, known or _start(source, member.policy), ledger, node)
        members[integration.id] = member
    for integration_id in places:
        ledger.forget_cursor(integration_id, node)
    return members


def _remembered(integration: Integration, remembered: Mapping[str, str]) -> str:
    cursor = remembered.get(integration.id, "")
    if cursor:
        _log.error(
            "Redis has lost the place in the log (emptied, or a new one?), and whatever waited in it: going on from "
            "the place that is kept here; `courier replay-log` sends a stretch again",
            extra={"integration": integration.id, "cursor": cursor},
        )
    return cursor


def _inherited(integration: Integration, places: Iterable[tuple[Integration, str]]) -> str:
    """Return the cursor of a block of the same name and target that is not configured any more, '' if there is none."""
    target = integration.name, integration.hook_url, integration.api_key
    return next((cursor for one, cursor in places if (one.name, one.hook_url, one.api_key) == target), "")


def _start(source: Source, policy: Policy) -> str:
    match policy.start_at:
        case datetime() as moment:
            return source.at(moment)
        case Start.BEGINNING:
            return source.beginning()
        case Start.END:
            return source.end()


def _begin(member: Member, cursor: str, ledger: Ledger, node: str) -> None:
    """Commit the first cursor at once: from here on nothing may be missed."""
    result = ledger.commit(
        member.integration.id,
        node=node,
        expected="",
        cursor=cursor,
        deliveries=[],
        max_backlog=member.policy.max_backlog,
        max_backlog_bytes=member.policy.max_backlog_bytes,
    )
    if isinstance(result, Stored):
        member.cursor = member.committed = cursor
        _log.info("new here: begins to read", extra={"integration": member.integration.id, "cursor": cursor})
    else:
        member.check(ledger.cursor(member.integration.id, node))
