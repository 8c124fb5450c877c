"""Where each integration begins to read: at its cursor, or that of the block that it replaces, or at `start_at`.

A block's id can change with its configuration: a second block of the same name gives the first a suffix, which a new
credential changes. What served the same target before, or has its name, hands on its place then, so that no alert falls
between the two.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from common.errors import LedgerDamaged
from common.ledger import Stored
from common.settings.schema import Start
from common.settings.values import LogPosition
from producer.cursors.signatures import unsigned
from producer.cursors.subscription import Subscription

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from common.integration import Integration
    from common.ledger import Ledger
    from common.registry.published import PublishedRegistry
    from common.settings.schema import Policy
    from producer.cursors.signatures import CursorSigner
    from producer.source import Source

_log = logging.getLogger("courier.producer")


class RemovedIntegration(NamedTuple):
    """An integration that is configured here no more, and the cursor that it has."""

    integration: Integration
    cursor: str


def assign_cursors(
    integrations: Sequence[Integration],
    *,
    node: str,
    ledger: Ledger,
    registry: PublishedRegistry,
    source: Source,
    policy: Callable[[Integration], Policy],
    remembered: Mapping[str, str],
    signer: CursorSigner,
    end: Callable[[], str] | None = None,
    all_known: bool = True,
) -> dict[str, Subscription]:
    """Publish the integrations and return them as readers, by id, each with a committed cursor.

    `remembered` are the last cursors that this process knew, as Redis held them; they count only where Redis has lost
    its own, or holds one that somebody else wrote. One whose keys in Redis are damaged is left out: where it was cannot
    be read.
    `end` returns where `start_at = "end"` is; without it, that is where the log ends now.
    Unless `all_known`, others may be configured that could not be read: what is not here may come back to its place.
    Raises LedgerUnavailable, LedgerMisconfigured, and SettingsError if the registry was sealed with another key.
    """
    entries = registry.publish(node, integrations).entries
    left = [entry.integration for entry in entries.values() if node not in entry.nodes]
    cursors = ledger.cursors([one.id for one in [*integrations, *left]], node)
    trusted = {i: _trusted(i, held, remembered, signer) for i, held in cursors.items()}
    places = [RemovedIntegration(one, trusted[one.id]) for one in left if trusted.get(one.id)]
    inherited = inherit_cursors(places, [one for one in integrations if cursors.get(one.id) == ""], all_known=all_known)
    members = {}
    for integration in integrations:
        if integration.id not in cursors:
            continue
        held, cursor = cursors[integration.id], trusted[integration.id]
        member = Subscription(integration, policy(integration), cursor, held, signer)
        if cursor != unsigned(held):
            member.replace_forged(held, cursor)
        if not member.committed:
            before = inherited.get(integration.id)
            if before:
                _carry_over_pause(before.integration.id, integration.id, ledger)
            known = _from_backup(integration, remembered) or (before.cursor if before else "")
            try:
                _commit_initial(member, known or _start(source, member.policy, end or source.end), ledger, node)
            except LedgerDamaged:
                continue
        members[integration.id] = member
    # One that was handed on is forgotten in any case: it would be read on from a second time if its id came back.
    handed = {place.integration.id for place in inherited.values()}
    for place in places:
        if all_known or place.integration.id in handed:
            with suppress(LedgerDamaged):
                ledger.forget_cursor(place.integration.id, node)
    return members


def _trusted(integration_id: str, held: str, remembered: Mapping[str, str], signer: CursorSigner) -> str:
    """Return the cursor that Redis holds, or the remembered one if somebody else wrote what Redis holds."""
    ours = remembered.get(integration_id, "")
    return unsigned(ours if held and signer.is_forged(integration_id, held, ours) else held)


def _from_backup(integration: Integration, remembered: Mapping[str, str]) -> str:
    cursor = unsigned(remembered.get(integration.id, ""))
    if cursor:
        _log.error(
            "Redis has lost the place in the log (emptied, or a new one?), and whatever waited in it: going on from "
            "the place that is kept here; `courier replay-log` sends a stretch again",
            extra={"integration": integration.id, "cursor": cursor},
        )
    return cursor


def inherit_cursors(
    left: Sequence[RemovedIntegration], new: Sequence[Integration], *, all_known: bool = True
) -> dict[str, RemovedIntegration]:
    """Return, by the id of a `new` block, the one that left whose place it takes.

    Each place goes to one of the same target, else of the same name, whose credential was changed then; unless it may
    be that of a block which could not be read. Only where a block was split does one place serve several: too many
    alerts are better than one too few.
    """
    free, handed = list(left), dict[str, RemovedIntegration]()
    for same in (_target, _name) if all_known else (_target,):
        for one in new:
            place = next((place for place in free if same(place.integration) == same(one)), None)
            if one.id not in handed and place:
                free.remove(place)
                handed[one.id] = place
    split = {_target(place.integration): place for place in left}
    return {one.id: split[_target(one)] for one in new if _target(one) in split} | handed


def _target(integration: Integration) -> tuple[object, ...]:
    return integration.name, integration.hook_url, integration.api_key


def _name(integration: Integration) -> str:
    return integration.name


def _carry_over_pause(before: str, now: str, ledger: Ledger) -> None:
    """Let no new id undo an operator's pause."""
    state = ledger.status(before)
    if state.paused_ms:
        with suppress(LedgerDamaged):
            ledger.pause(now, state.pause_reason)


def _start(source: Source, policy: Policy, end: Callable[[], str]) -> str:
    match policy.start_at:
        case datetime() as moment:
            return source.at(moment)
        case LogPosition() as position:
            return source.position(position)
        case Start.BEGINNING:
            return source.beginning()
        case Start.END:
            return end()


def _commit_initial(member: Subscription, cursor: str, ledger: Ledger, node: str) -> None:
    """Commit the first cursor at once: from here on nothing may be missed."""
    result = ledger.commit(
        member.integration.id,
        node=node,
        expected="",
        cursor=member.signed(cursor),
        deliveries=[],
        max_backlog=member.policy.max_backlog,
        max_backlog_bytes=member.policy.max_backlog_bytes,
    )
    member.cursor = cursor
    if isinstance(result, Stored):
        member.committed = member.signed(cursor)
        _log.info("new here: begins to read", extra={"integration": member.integration.id, "cursor": cursor})
    else:
        member.verify_cursor(ledger.cursor(member.integration.id, node))
