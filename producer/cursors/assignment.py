"""Assigns each integration its first cursor: its own, that of the block that it replaces, or `start_at`.

A block's id can change with its configuration: a second block of the same name gives the first a suffix, and a new
credential changes that suffix. The new block then inherits the cursor of a removed block with the same target or name,
so that no alert is lost between the two.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from common.errors import LedgerDamaged
from common.ledger import Stored
from common.registry.entries import MANAGER
from common.settings.moments import LogPosition
from common.settings.published_policy import publish_policy
from common.settings.schema import Start
from producer.cursors.signatures import unsigned
from producer.cursors.subscription import Subscription

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from common.integration import Integration
    from common.ledger import Ledger
    from common.registry.published import PublishedRegistry
    from common.settings.published_policy import PublishedPolicy
    from common.settings.schema import Policy
    from producer.cursors.signatures import CursorSigner
    from producer.source import Source

_log = logging.getLogger("courier.producer")


class RemovedIntegration(NamedTuple):
    """An integration that is no longer configured on this node, and its cursor."""

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
    """Publish the integrations and return a subscription for each, by id, with a committed cursor.

    `remembered` holds the last known cursors in their signed form; they are used only if Redis lost a cursor or holds a
    forged one. An integration whose keys in Redis are damaged is left out, because its cursor cannot be read.
    `end` returns the cursor for `start_at = "end"`; without it, that is the current end of the log.
    With `all_known` false, blocks of the file could not be read: the cursors of removed integrations are kept for them.
    Raises LedgerUnavailable, LedgerMisconfigured, and SettingsError if the registry was sealed with another key.
    """
    entries = registry.publish(node, integrations, published_policies(integrations, policy)).entries
    gone = [entry.integration for entry in entries.values() if node not in entry.nodes]
    cursors = ledger.cursors([one.id for one in [*integrations, *gone]], node)
    trusted = {i: _trusted(i, held, remembered, signer) for i, held in cursors.items()}
    removed = [RemovedIntegration(one, trusted[one.id]) for one in gone if trusted.get(one.id)]
    new = [one for one in integrations if cursors.get(one.id) == ""]
    inherited = inherit_cursors(removed, new, all_known=all_known)
    subscriptions = {}
    for integration in integrations:
        if integration.id not in cursors:
            continue
        held, cursor = cursors[integration.id], trusted[integration.id]
        subscription = Subscription(integration, policy(integration), cursor, held, signer)
        if cursor != unsigned(held):
            subscription.replace_forged(held, cursor)
        if not subscription.committed:
            before = inherited.get(integration.id)
            if before:
                _carry_over_pause(before.integration.id, integration.id, ledger)
            known = _from_backup(integration, remembered) or (before.cursor if before else "")
            try:
                _commit_initial(
                    subscription, known or _start(source, subscription.policy, end or source.end), ledger, node
                )
            except LedgerDamaged:
                continue
        subscriptions[integration.id] = subscription
    # An inherited cursor is always deleted: if its old id came back, its alerts would be sent a second time.
    for old in removed if all_known else inherited.values():
        with suppress(LedgerDamaged):
            ledger.forget_cursor(old.integration.id, node)
    return subscriptions


def published_policies(
    integrations: Iterable[Integration], policy: Callable[[Integration], Policy]
) -> dict[str, PublishedPolicy]:
    """Return what is published of the policies of these integrations and of the built-in `manager`, by id."""
    return {one.id: publish_policy(policy(one)) for one in [*integrations, MANAGER]}


def _trusted(integration_id: str, held: str, remembered: Mapping[str, str], signer: CursorSigner) -> str:
    """Return the cursor that Redis holds, or the remembered one if that in Redis is forged."""
    ours = remembered.get(integration_id, "")
    return unsigned(ours if held and signer.is_forged(integration_id, held, ours) else held)


def _from_backup(integration: Integration, remembered: Mapping[str, str]) -> str:
    cursor = unsigned(remembered.get(integration.id, ""))
    if cursor:
        _log.error(
            "Redis lost the cursor and the queued deliveries (emptied or replaced?); continuing from the backup; "
            "use `courier replay-log` to send a range of the log again",
            extra={"integration": integration.id, "cursor": cursor},
        )
    return cursor


def inherit_cursors(
    removed: Sequence[RemovedIntegration], new: Sequence[Integration], *, all_known: bool = True
) -> dict[str, RemovedIntegration]:
    """Return, by the id of a `new` block, the removed integration whose cursor it inherits.

    A cursor goes to a block with the same target, else to one with the same name, whose credential then was changed.
    Names do not count unless `all_known`: the cursor may belong to a block that could not be read. Only if a block was
    split do several blocks inherit one cursor: repeated alerts are better than lost ones.
    """
    free, inherited = list(removed), dict[str, RemovedIntegration]()
    for same in (_target, _name) if all_known else (_target,):
        for one in new:
            old = next((old for old in free if same(old.integration) == same(one)), None)
            if one.id not in inherited and old:
                free.remove(old)  # each cursor goes to one block first
                inherited[one.id] = old
    split = {_target(old.integration): old for old in removed}
    return {one.id: split[_target(one)] for one in new if _target(one) in split} | inherited


def _target(integration: Integration) -> tuple[object, ...]:
    return integration.name, integration.hook_url, integration.api_key


def _name(integration: Integration) -> str:
    return integration.name


def _carry_over_pause(before: str, now: str, ledger: Ledger) -> None:
    """Keep an operator's pause when the id of an integration changes."""
    state = ledger.status(before)
    if state.paused_ms:
        with suppress(LedgerDamaged):
            ledger.pause(now, state.pause_reason, until_ms=state.paused_until_ms)


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


def _commit_initial(subscription: Subscription, cursor: str, ledger: Ledger, node: str) -> None:
    """Commit the first cursor at once: no alert after it may be missed, even if the producer stops now."""
    result = ledger.commit(
        subscription.integration.id,
        node=node,
        expected="",
        cursor=subscription.signed(cursor),
        deliveries=[],
        max_backlog=subscription.policy.max_backlog,
        max_backlog_bytes=subscription.policy.max_backlog_bytes,
    )
    subscription.cursor = cursor
    if isinstance(result, Stored):
        subscription.committed = subscription.signed(cursor)
        _log.info(
            "new integration; reading starts", extra={"integration": subscription.integration.id, "cursor": cursor}
        )
    else:
        subscription.verify_cursor(ledger.cursor(subscription.integration.id, node))
