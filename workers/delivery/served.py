"""Which integrations this worker serves, and with what: a route is everything that one of them needs."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from common.integration import MANAGER_ID, Integration, Kind
from common.ledger import Limits, Notifications
from common.registry.entries import MANAGER, Registry
from workers.delivery.executor import BoundedExecutor
from workers.delivery.pipeline import Pipeline
from workers.delivery.response import ResponseRecorder
from workers.delivery.thread_pool import ThreadPool
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

_log = logging.getLogger("courier.worker")


class Selection(msgspec.Struct, frozen=True):
    """What a worker serves: every integration of these kinds, and those with these ids or names."""

    kinds: frozenset[Kind] = frozenset(Kind)
    names: frozenset[str] = frozenset()

    def includes(self, integration: Integration) -> bool:
        """Say whether this worker serves the integration."""
        return integration.kind in self.kinds or bool(self.names & {integration.id, integration.name})


class ServedIntegration(NamedTuple):
    """One integration as it is served here; `lane` bounds how many of its deliveries run at once.

    `target` is the digest of its credential: integrations with the same one share limits and pauses. `fallback` is the
    integration that gets the alerts of its dead letters, empty for none.
    """

    integration: Integration
    policy: Policy
    target: str
    pipeline: Pipeline
    executor: BoundedExecutor
    fallback: str = ""

    @property
    def notifications(self) -> Notifications:
        """Who hears of its troubles."""
        return Notifications.of(self.policy, self.integration.id, self.fallback)

    @property
    def limits(self) -> Limits:
        """How fast it may go."""
        return Limits.of(self.policy, self.target)


class ServedIntegrations:
    """The routes of one worker process, kept equal to the published registry."""

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
    ) -> None:
        """Take the parts; `outfit` returns the service and the transport for an integration.

        `lookups` returns the remembered answers of a look-up service. `signer` signs the events for the manager.

        `manager` is policy and target of the built-in integration, into which any worker may put something.
        """
        self._registry, self._selection, self.signer = registry, selection, signer
        self._policy = policy
        self.manager = (policy(MANAGER), registry.target(MANAGER))
        self._build, self._random, self._lookups = build, random, lookups
        self._threads = ThreadPool()
        self._version = 0
        self._no_fallbacks: set[tuple[str, str]] = set()
        self._unknown = frozenset[str]()
        self._served: dict[str, ServedIntegration] = {}
        self._lock = threading.Lock()

    def get(self, integration_id: str) -> ServedIntegration | None:
        """Return the route of an integration, None if it is not served here."""
        return self._served.get(integration_id)

    def ids(self) -> set[str]:
        """Return the ids of everything served here."""
        return set(self._served)

    def retry_threads(self) -> None:
        """Begin what waits because a thread was refused; to be called once a second."""
        self._threads.retry_start()

    def refresh(self) -> bool:
        """Take over the registry if it changed; return whether it did. Raises LedgerError and SettingsError."""
        with self._lock:
            if self._served and self._registry.version() == self._version:
                return False
            registry = self._registry.load()
            if registry.version == self._version:
                return False
            self._warn_unknown(registry)
            self._served = self._build_all(registry)
            self._version = 0 if registry.rejected else registry.version  # read again until it is repaired
            return True

    def _build_all(self, registry: Registry) -> dict[str, ServedIntegration]:
        wanted = {e.integration.id: e.integration for e in registry.entries.values()} | {MANAGER_ID: MANAGER}
        built: dict[str, ServedIntegration] = {}
        for integration in wanted.values():
            old = self._served.get(integration.id)
            if not self._selection.includes(integration):
                continue
            route = old if old and old.integration == integration else self._serve(integration)
            fallback = self._fallback(route, registry)
            built[integration.id] = route if route.fallback == fallback else route._replace(fallback=fallback)
        return built

    def _warn_unknown(self, registry: Registry) -> None:
        """Tell once of a name that was asked for and that nothing has; what has it one day is served then."""
        known = {name for entry in registry.entries.values() for name in (entry.integration.id, entry.integration.name)}
        unknown = self._selection.names - known
        for name in sorted(unknown - self._unknown):
            _log.warning(
                "no integration of any ossec.conf has this name or id: nothing is served for it until one does",
                extra={"integration": name},
            )
        self._unknown = unknown

    def _fallback(self, route: ServedIntegration, registry: Registry) -> str:
        """Return the fallback if there is such an integration; that there is none is told once."""
        ours, wanted = route.integration.id, route.policy.fallback
        if not wanted or ours in {wanted, MANAGER_ID}:
            return ""
        entry = registry.entries.get(wanted)
        if entry and not entry.removed and wanted != MANAGER_ID:
            self._no_fallbacks.discard((ours, wanted))
            return wanted
        if (ours, wanted) not in self._no_fallbacks:
            self._no_fallbacks.add((ours, wanted))
            extra = {"integration": ours, "fallback": wanted}
            _log.warning("its fallback is no integration of any ossec.conf: nothing is sent there", extra=extra)
        return ""

    def _serve(self, integration: Integration) -> ServedIntegration:
        policy = self._policy(integration)
        service, transport = self._build(integration, policy)
        lookups = None
        if self._lookups and policy.lookup_cache and isinstance(service, Cacheable):
            lookups = self._lookups(service.namespace)
        _log.info("serving", extra={"integration": integration.id, "concurrency": policy.concurrency})
        return ServedIntegration(
            integration,
            policy,
            self._registry.target(integration),
            Pipeline(
                service,
                transport,
                policy,
                self._random,
                lookups,
                signer=self.signer,
                last_response=ResponseRecorder.of(integration, policy),
            ),
            BoundedExecutor(self._threads, policy.concurrency),
        )
