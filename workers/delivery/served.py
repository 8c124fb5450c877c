"""The integrations that this worker serves, each with everything that its deliveries need."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from common.broker.dispatcher import ReleaseTarget
from common.integration import MANAGER_ID, Integration, Kind
from common.ledger import Limits, Notifications
from common.registry.entries import MANAGER, Registry
from common.services import check_service
from common.settings.published_policy import merge_policy
from workers.delivery.pipeline import Pipeline
from workers.delivery.response import ResponseRecorder
from workers.integrations.base import Cacheable

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from common.registry.published import PublishedRegistry
    from common.settings.schema import Policy
    from workers.calls import Transport
    from workers.delivery.lookup_store import LookupStore
    from workers.integrations.base import Service
    from workers.integrations.helpers.event_signer import EventSigner
    from workers.own_settings import OwnSettings

_log = logging.getLogger("courier.worker")


class Selection(msgspec.Struct, frozen=True):
    """Selects what a worker serves: every integration of these kinds, and those with these ids or names."""

    kinds: frozenset[Kind] = frozenset(Kind)
    names: frozenset[str] = frozenset()

    def includes(self, integration: Integration) -> bool:
        """Return whether this worker serves the integration."""
        return integration.kind in self.kinds or bool(self.names & {integration.id, integration.name})


class ServedIntegration(NamedTuple):
    """One integration that this worker serves.

    Integrations with the same credential share their limits and pauses (`Limits.target`). `notifications` names the
    fallback, which gets the alerts of its dead letters.
    """

    integration: Integration
    policy: Policy
    limits: Limits
    pipeline: Pipeline
    notifications: Notifications

    @property
    def release_target(self) -> ReleaseTarget:
        """What the dispatcher needs to release its deliveries."""
        return ReleaseTarget(self.integration.id, self.policy, self.limits)


class ServedIntegrations:
    """The integrations that one worker process serves; `refresh` follows the published registry."""

    def __init__(
        self,
        registry: PublishedRegistry,
        selection: Selection,
        *,
        policy: Callable[[Integration], Policy],
        build: Callable[[Integration, Policy], tuple[Service[Any, Any], Transport]],
        random: Random,
        signer: EventSigner,
        lookups: Callable[[str], LookupStore] | None = None,
        own: OwnSettings | None = None,
    ) -> None:
        """`policy` returns this worker's own policy of an integration: what is published replaces most of it.

        `own` follows the file of these settings, and excludes integrations whose own settings are invalid.

        `build` returns the service and the transport of an integration.

        `lookups` returns the cache for the namespace of a look-up service. `signer` signs the events for the manager.

        The attribute `manager` is the release target of the built-in integration `manager`, to which the settlements
        of every worker add events.
        """
        self._registry, self._selection, self.signer = registry, selection, signer
        self._policy, self._own = policy, own
        self.manager = ReleaseTarget.of(MANAGER_ID, policy(MANAGER), registry.target(MANAGER))
        self._build, self._random, self._lookups = build, random, lookups
        self._version = 0
        self._missing_fallbacks: set[tuple[str, str]] = set()
        self._missing_names = frozenset[str]()
        self._unknown_services: set[tuple[str, str]] = set()
        self._served: dict[str, ServedIntegration] = {}
        self._lock = threading.Lock()

    def get(self, integration_id: str) -> ServedIntegration | None:
        """Return the integration, None if this worker does not serve it."""
        return self._served.get(integration_id)

    @property
    def config_error(self) -> str:
        """Why the last change of the worker's own settings was refused, empty if it was not."""
        return self._own.error if self._own else ""

    def ids(self) -> set[str]:
        """Return the ids of all integrations that this worker serves."""
        return set(self._served)

    def all(self) -> list[ServedIntegration]:
        """Return all integrations that this worker serves."""
        return [*self._served.values()]

    def refresh(self) -> bool:
        """Load the registry if it changed; return whether it did. Raises LedgerError or SettingsError."""
        with self._lock:
            if self._own and self._own.reload():
                self._version = 0
            if self._served and self._registry.version() == self._version:
                return False
            registry = self._registry.load()
            if registry.version == self._version:
                return False
            self._warn_missing(registry)
            self._served = self._build_all(registry)
            # 0 makes every call load the registry again, until the rejected entries are repaired.
            self._version = 0 if registry.rejected else registry.version
            return True

    def _build_all(self, registry: Registry) -> dict[str, ServedIntegration]:
        manager_policy = merge_policy(self._policy(MANAGER), registry.entries[MANAGER_ID].policy)
        self.manager = ReleaseTarget.of(MANAGER_ID, manager_policy, self._registry.target(MANAGER))
        built: dict[str, ServedIntegration] = {}
        for entry in registry.entries.values():
            integration = entry.integration
            previous = self._served.get(integration.id)
            if not self._selection.includes(integration):
                continue
            if not self._knows_service(integration):
                continue
            if self._own and not self._own.is_usable(integration, entry.policy):
                continue
            policy = merge_policy(self._policy(integration), entry.policy)
            is_same = previous and (previous.integration, previous.policy) == (integration, policy)
            served = previous if previous and is_same else self._serve(integration, policy)
            fallback = self._fallback(served, registry)
            if served.notifications.fallback != fallback:
                served = served._replace(notifications=Notifications.of(served.policy, integration.id, fallback))
            built[integration.id] = served
        return built

    def _warn_missing(self, registry: Registry) -> None:
        """Log a warning once for each selected name that no integration has; it is served as soon as one has it."""
        known = {name for entry in registry.entries.values() for name in (entry.integration.id, entry.integration.name)}
        missing = self._selection.names - known
        for name in sorted(missing - self._missing_names):
            _log.warning(
                "selected integration not found in any ossec.conf; waiting for it", extra={"integration": name}
            )
        self._missing_names = missing

    def _knows_service(self, integration: Integration) -> bool:
        """Return whether this version has the service, and log once if not: its deliveries wait for another worker."""
        if integration.kind is Kind.MANAGER:
            return True
        try:
            check_service(integration.service)
        except ValueError:
            unknown = integration.id, integration.service
            if unknown not in self._unknown_services:
                self._unknown_services.add(unknown)
                _log.error(
                    "integration not served: this version does not have its service; upgrade this worker",
                    extra={"integration": integration.id, "service": integration.service},
                )
            return False
        return True

    def _fallback(self, served: ServedIntegration, registry: Registry) -> str:
        """Return the fallback, empty if there is no such integration. Log a missing fallback once."""
        ours, wanted = served.integration.id, served.policy.fallback
        if not wanted or ours in {wanted, MANAGER_ID}:
            return ""
        entry = registry.entries.get(wanted)
        if entry and not entry.removed and wanted != MANAGER_ID:
            self._missing_fallbacks.discard((ours, wanted))
            return wanted
        if (ours, wanted) not in self._missing_fallbacks:
            self._missing_fallbacks.add((ours, wanted))
            extra = {"integration": ours, "fallback": wanted}
            _log.warning("fallback not found in any ossec.conf; dead letters are not forwarded", extra=extra)
        return ""

    def _serve(self, integration: Integration, policy: Policy) -> ServedIntegration:
        service, transport = self._build(integration, policy)
        lookups = None
        if self._lookups and policy.lookup_cache and isinstance(service, Cacheable):
            lookups = self._lookups(service.namespace)
        _log.info("serving integration", extra={"integration": integration.id, "concurrency": policy.concurrency})
        return ServedIntegration(
            integration,
            policy,
            Limits.of(policy, self._registry.target(integration)),
            Pipeline(
                service,
                transport,
                policy,
                self._random,
                lookups,
                signer=self.signer,
                last_response=ResponseRecorder.of(integration, policy),
            ),
            Notifications.of(policy, integration.id, fallback=""),
        )
