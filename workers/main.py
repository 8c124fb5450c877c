"""A worker as a process: parts put together from the settings, the wait for Redis, and how it ends."""

from __future__ import annotations

import gc
import logging
import os
import resource
from functools import cache
from random import Random
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from common.connection.client import connect
from common.connection.path_monitor import PathMonitor
from common.connection.wait import wait_until_available
from common.errors import SettingsError
from common.integration import SCRIPT_PREFIX, Integration, Kind
from common.ledger import Ledger
from common.logs import LogLevel
from common.malloc import limit_arenas, trim
from common.metrics import serve
from common.registry.encryption import load_cipher
from common.registry.published import PublishedRegistry
from common.settings.schema import INTEGRATIONS
from common.settings.sources import dotted
from workers.delivery.factory import build_service
from workers.delivery.lookup_store import PURPOSE, LookupStore
from workers.delivery.served import ServedIntegrations
from workers.integrations.helpers.event_signer import EventSigner
from workers.metrics import WorkerMetrics
from workers.transports.http.pool import ConnectionPool
from workers.transports.script.home import home_warnings
from workers.transports.script.process_groups import ProcessGroups
from workers.transports.script.user import clear_ambient_capabilities, script_user
from workers.worker import Worker

if TYPE_CHECKING:
    from common.settings.load import Settings
    from common.settings.schema import Policy
    from workers.calls import Transport
    from workers.delivery.served import Selection
    from workers.integrations.base import Service

GC_THRESHOLD: Final = 50_000
"""New objects before the garbage collector looks for cycles among them; Python's own 700 are some five deliveries."""

OPEN_FILES: Final = 65_536
"""A connection takes three (libcurl), and each integration may have `concurrency` of them; the usual limit is 1,024."""

_log = logging.getLogger("courier.worker")


def run(settings: Settings, selection: Selection, *, name: str) -> int:
    """Deliver until SIGTERM or SIGINT, then finish what is running. Return the exit status.

    Raises SettingsError and LedgerMisconfigured for what waiting does not mend.
    """
    environ = dict(os.environ)  # before Celery adds variables of its own, which are not for scripts
    clear_ambient_capabilities()  # before there are threads: each has capabilities of its own
    limit_arenas()
    if Kind.SCRIPT in selection.kinds or any(name.startswith(SCRIPT_PREFIX) for name in selection.names):
        check_script_users(settings)
    raise_file_limit()
    url = settings.redis.connection_url.reveal()
    client = connect(url)
    vault = load_cipher(settings.state.secret_key, settings.state.dir)
    registry, signer = PublishedRegistry(client, vault), EventSigner(vault)
    remembered = vault.authenticator(PURPOSE)
    metrics = WorkerMetrics()
    serve(settings.metrics, metrics.registry)
    for warning in wait_until_available(Ledger(client).check_server, _log):
        _log.warning("%s", warning)

    connections, groups = ConnectionPool(), ProcessGroups(monotonic)

    @cache
    def look_at_home() -> None:
        for warning in home_warnings(settings.worker.wazuh_home):
            _log.warning("%s", warning)

    def outfit_for(integration: Integration, policy: Policy) -> tuple[Service[Any, Any], Transport]:
        if integration.kind is Kind.SCRIPT and not policy.user:
            look_at_home()
        debug = settings.log.level is LogLevel.DEBUG
        service, transport = build_service(
            integration,
            policy,
            settings.worker,
            connections=connections,
            groups=groups,
            environ=environ,
            debug=debug,
            signer=signer,
        )
        return service, metrics.wrap_timed(integration.id, transport)

    jitter = Random(os.urandom(16))  # noqa: S311 — spreads retries, keeps no secret
    routes = ServedIntegrations(
        registry,
        selection,
        policy=settings.policy,
        build=outfit_for,
        random=jitter,
        signer=signer,
        lookups=lambda topic: LookupStore(client, topic, remembered),
    )
    wait_until_available(routes.refresh, _log)
    metrics.init_series(routes.ids())
    PathMonitor(url, _log).start()
    _log.info("delivering", extra={"worker": name, "redis": settings.redis.address})
    worker = Worker(
        name=name,
        slots=settings.worker.max_tasks,
        drain_s=settings.worker.drain_timeout_s,
        redis_url=url,
        client=client,
        routes=routes,
        groups=groups,
        metrics=metrics,
        looks=[connections.close_idle],
    )
    _tune_gc()
    status = worker.run()
    _log.info("ended; what was not begun is left to others", extra={"worker": name})
    return status


def check_script_users(settings: Settings) -> None:
    """Raise SettingsError if scripts are to run as a user that this process cannot become."""
    for table in settings.integrations:
        try:
            script_user(settings.policy(Integration(id=table, name=table)))
        except SettingsError as error:
            raise SettingsError(f"[{dotted((INTEGRATIONS, table))}] {error}") from None


def raise_file_limit() -> None:
    """Allow this process as many open files as it may need, or as many as the system permits (setrlimit(2))."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _tune_gc() -> None:
    """Leave what was loaded out of every collection, since it stays, and look at the rest less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD, 20, 50)
    trim()
