"""Starts a worker process: builds its parts from the settings, waits for Redis and runs until a signal stops it."""

from __future__ import annotations

import gc
import logging
import os
import resource
from contextlib import suppress
from functools import cache, partial
from random import Random
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, TypeVar

from common.connection.client import connect
from common.connection.path_monitor import PathMonitor
from common.connection.wait import wait_until_available
from common.errors import SettingsError
from common.health.state_file import HealthFile
from common.integration import Integration, Kind
from common.ledger import Ledger
from common.logs import LogLevel
from common.malloc import limit_arenas, trim
from common.metrics import serve
from common.registry.encryption import load_cipher
from common.registry.published import PublishedRegistry
from common.telemetry import start_tracing
from common.version import full_version
from workers.delivery.factory import build_service
from workers.delivery.lookup_store import PURPOSE, LookupStore
from workers.delivery.served import ServedIntegrations
from workers.integrations.helpers.event_signer import EventSigner
from workers.metrics import WorkerMetrics
from workers.own_settings import OwnSettings
from workers.transports.http.connections import Connections
from workers.transports.script.home import home_warnings
from workers.transports.script.private_files import remove_stale
from workers.transports.script.process_groups import ProcessGroups
from workers.transports.script.user import clear_ambient_capabilities, script_user
from workers.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from common.settings.load import Settings
    from common.settings.schema import Policy
    from common.telemetry.spans import Tracing
    from workers.calls import Transport
    from workers.delivery.served import Selection
    from workers.delivery.task import AttemptFunction
    from workers.integrations.base import Service

GC_THRESHOLD: Final = 50_000
"""New objects between two runs of the garbage collector. Python's default, 700, is about five deliveries."""

OPEN_FILES: Final = 65_536
"""An integration has up to `concurrency` connections, and while a name is resolved libcurl opens further files. The
usual limit is 1,024."""

T = TypeVar("T")

_log = logging.getLogger("courier.worker")


def run(settings: Settings, selection: Selection, *, name: str) -> int:
    """Deliver until SIGTERM or SIGINT, then finish the deliveries in flight. Return the exit status.

    Raises SettingsError or LedgerMisconfigured for errors that waiting does not fix.
    """
    environ = dict(os.environ)  # before Celery adds its own variables, which scripts must not see
    clear_ambient_capabilities()  # before the first thread starts: each thread has its own capabilities
    limit_arenas()
    raise_file_limit()
    url = settings.redis.connection_url.reveal()
    client = connect(url)
    cipher = load_cipher(settings.state.secret_key, settings.state.dir)
    signer = EventSigner(cipher)
    tracing = start_tracing(settings.telemetry.otlp_endpoint, "worker")
    trace_calls, trace_attempts, trace_id = _tracers(tracing)
    metrics, health = WorkerMetrics(trace_id=trace_id), HealthFile(settings.health.path)
    serve(settings.metrics, metrics.registry)
    for warning in wait_until_available(Ledger(client).check_server, _log):
        _log.warning("%s", warning)
    groups = ProcessGroups(monotonic)
    own, authenticator = OwnSettings(settings, monotonic), cipher.authenticator(PURPOSE)
    integrations = ServedIntegrations(
        PublishedRegistry(client, cipher),
        selection,
        policy=own.policy,
        build=_service_builder(settings, environ, groups, signer=signer, metrics=metrics, trace_calls=trace_calls),
        random=Random(os.urandom(16)),  # noqa: S311 — spreads retries, keeps no secret
        signer=signer,
        lookups=lambda namespace: LookupStore(client, namespace, authenticator),
        own=own,
    )
    wait_until_available(integrations.refresh, _log)
    check_script_users(integrations)
    metrics.init_series(integrations.ids())
    PathMonitor(url, _log).start()
    _log.info("worker started", extra={"worker": name, "redis": settings.redis.address, "version": full_version()})
    worker = Worker(
        name=name,
        slots=settings.worker.max_tasks,
        drain_s=settings.worker.drain_timeout_s,
        redis_url=url,
        client=client,
        integrations=integrations,
        groups=groups,
        stop_scripts=partial(_stop_scripts, settings.worker.script_temp_dir),
        metrics=metrics,
        health=health,
        log=settings.log.deliveries,
        trace_attempts=trace_attempts,
    )
    _tune_gc()
    try:
        status = worker.run()
    finally:
        if tracing:
            tracing.close()
    _log.info("worker stopped; unstarted deliveries stay queued", extra={"worker": name})
    return status


def _service_builder(
    settings: Settings,
    environ: Mapping[str, str],
    groups: ProcessGroups,
    *,
    signer: EventSigner,
    metrics: WorkerMetrics,
    trace_calls: Callable[[Transport], Transport],
) -> Callable[[Integration, Policy], tuple[Service[Any, Any], Transport]]:
    """Return the function that builds the service of an integration, and its transport with metrics and traces."""
    connections = Connections()

    @cache
    def check_home() -> None:
        for warning in home_warnings(settings.worker.wazuh_home):
            _log.warning("%s", warning)

    def build(integration: Integration, policy: Policy) -> tuple[Service[Any, Any], Transport]:
        if integration.kind is Kind.SCRIPT and not policy.user:
            check_home()
        service, transport = build_service(
            integration,
            policy,
            settings.worker,
            connections=connections,
            groups=groups,
            environ=environ,
            debug=settings.log.level is LogLevel.DEBUG,
            signer=signer,
            on_render=partial(metrics.template_rendered, integration.id),
        )
        return service, metrics.wrap_timed(integration.id, trace_calls(transport))

    return build


def _tracers(
    tracing: Tracing | None,
) -> tuple[
    Callable[[Transport], Transport],
    Callable[[AttemptFunction], AttemptFunction],
    Callable[[str, str], str] | None,
]:
    """Return what wraps transports and attempts in spans, and the function for the trace of a delivery.

    Without traces, they are returned unchanged, and there is no function.
    """
    if not tracing:
        return _unchanged, _unchanged, None
    from common.telemetry.spans import trace_id_of  # noqa: PLC0415 — needs OpenTelemetry, which is optional
    from workers.tracing import TracedTransport, trace_attempts  # noqa: PLC0415 — as above

    return partial(TracedTransport, tracing), partial(trace_attempts, tracing), trace_id_of


def _stop_scripts(base: Path | None) -> None:
    with suppress(OSError):  # every call of a script says so if the folder cannot be read
        remove_stale(base)


def _unchanged(one: T) -> T:
    return one


def check_script_users(integrations: ServedIntegrations) -> None:
    """Raise SettingsError if an integration has a script user that this process cannot switch to."""
    for served in integrations.all():
        if served.integration.kind is Kind.SCRIPT:
            try:
                script_user(served.policy)
            except SettingsError as error:
                raise SettingsError(f"integration {served.integration.id}: {error}") from None


def raise_file_limit() -> None:
    """Raise the soft limit of open files to OPEN_FILES, or to the hard limit if that is lower (setrlimit(2))."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _tune_gc() -> None:
    """Exclude the objects loaded so far from garbage collection, as they are never freed, and collect less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD, 20, 50)
    trim()
