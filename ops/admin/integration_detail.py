"""All about one integration: the data model of `courier show --json` and of the console's page.

What an integration sends, to whom and with which limits is in the published registry, which is encrypted. Without the
secret key of the producer everything else is still known.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import msgspec

from common.errors import CourierError, LedgerMisconfigured, LedgerUnavailable, SettingsError
from common.files import exists
from common.integration import MANAGER_ID
from common.ledger.open_groups import OpenGroup, read_open_groups
from common.registry.encryption import load_cipher
from common.registry.published import PublishedRegistry
from common.settings.published_policy import merge_policy
from common.settings.schema import PUBLISHED_KEYS
from ops.admin.check.filters import describe
from ops.admin.history import Top, count_by, group_json
from ops.admin.latency_history import LatencyStep, last_day, latency_steps
from ops.admin.message_preview import Preview, preview_message
from ops.admin.recent_history import summarize
from ops.admin.status_report import IntegrationReport, read_report, with_held_groups

if TYPE_CHECKING:
    from collections.abc import Callable

    from common.integration import Integration
    from common.settings.load import Settings
    from common.settings.schema import Policy
    from ops.admin.session import LedgerSession

MAX_RULES: Final = 10
MAX_GROUPS: Final = 20


class Published(msgspec.Struct, frozen=True, kw_only=True):
    """What producers published of an integration and workers use. Secrets are masked.

    `alerts` are its filters, conditions, window and digest in words. `policy` has the settings under
    `[integrations.ID]` by name, in the form of courier.toml. `place` is the file and line, if it is known.
    """

    service: str
    kind: str
    alerts: str
    place: str
    policy: dict[str, Any]
    preview: Preview


class IntegrationDetail(msgspec.Struct, frozen=True, kw_only=True):
    """One integration at `time_ms` by the clock of Redis.

    `published` is null if it cannot be read; `unpublished` says why. `latency` and `rules`, the noisiest ones, are of
    the newest `entries` of its history within a day. `groups` are the open groups that end first.
    """

    id: str
    time_ms: int
    status: IntegrationReport
    published: Published | None
    unpublished: str
    entries: int
    latency: list[LatencyStep]
    rules: list[dict[str, Any]]
    groups: list[OpenGroup]


def read_detail(
    session: LedgerSession,
    settings: Settings,
    integration_id: str,
    *,
    clock: Callable[[], float] = time.monotonic,
) -> IntegrationDetail:
    """Read all about a known integration. `clock` is monotonic. Raises LedgerUnavailable or LedgerMisconfigured."""
    entries = last_day(session.ledger, integration_id, session.ledger.now_ms())
    histories = {integration_id: summarize(entries)}
    report = with_held_groups(session, read_report(session, [integration_id], histories=histories))
    published, problem = _published(session, settings, integration_id, clock)
    return IntegrationDetail(
        id=integration_id,
        time_ms=report.time_ms,
        status=report.integrations[integration_id],
        published=published,
        unpublished=problem,
        entries=len(entries),
        latency=latency_steps(entries, report.time_ms),
        rules=[group_json(one) for one in count_by(Top.RULES, entries)[:MAX_RULES]],
        groups=read_open_groups(session.client, integration_id, MAX_GROUPS),
    )


def _published(
    session: LedgerSession, settings: Settings, integration_id: str, clock: Callable[[], float]
) -> tuple[Published | None, str]:
    """Return what is published, or None and why it is not known."""
    if integration_id == MANAGER_ID:
        return None, "it is built in: it delivers Courier's own alerts and verdicts to the manager"
    try:
        integration, policy = _described(session, settings, integration_id)
        preview = preview_message(session, settings, integration, policy, clock=clock)
    except (LedgerUnavailable, LedgerMisconfigured):
        raise
    except (CourierError, ValueError) as error:
        return None, str(error)
    return Published(
        service=integration.service,
        kind=integration.kind,
        alerts=describe(integration),
        place=f"{integration.file}, line {integration.line}" if integration.line else integration.file,
        policy={name: key.reader.show(getattr(policy, key.field)) for name, key in PUBLISHED_KEYS.items()},
        preview=preview,
    ), ""


def _described(session: LedgerSession, settings: Settings, integration_id: str) -> tuple[Integration, Policy]:
    """Return what is in force. Raises SettingsError without the right key, ValueError if no valid entry is there."""
    key, folder = settings.state.secret_key, settings.state.dir
    try:
        has_key = bool(key) or exists(folder / "secret.key")
    except OSError as error:
        raise SettingsError(f"{folder / 'secret.key'}: {error.strerror}") from None
    if not has_key:  # `load_cipher` would create one
        raise SettingsError(
            f"this process has no secret key: neither {folder / 'secret.key'} nor COURIER_SECRET_KEY_FILE; "
            "with the producer's key, as workers have it, filters, settings and a message are shown here "
            "(for a container: ops/docs/console.md, In a container)"
        )
    entry = PublishedRegistry(session.client, load_cipher(key, folder)).read_one(integration_id)
    if entry is None:
        raise ValueError("no producer has published it")
    return entry.integration, merge_policy(settings.policy(entry.integration), entry.policy)
