"""Builds what serves an integration: its service and the transport for its kind of call."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from common.integration import Kind
from workers.integrations.helpers.service_options import ServiceOptions, ignore_rendering
from workers.integrations.registry import make_service
from workers.integrations.syslog.syslog import Syslog
from workers.redaction import Redactor
from workers.transports.apprise import AppriseTransport
from workers.transports.http.connections import Connections
from workers.transports.http.transport import HttpTransport
from workers.transports.manager_socket import ManagerSocket
from workers.transports.script.transport import ScriptTransport
from workers.transports.smtp import SmtpTransport
from workers.transports.syslog.transport import SyslogTransport
from workers.transports.threads import InThreads

if TYPE_CHECKING:
    from collections.abc import Mapping

    from common.integration import Integration
    from common.settings.schema import Policy, WorkerSettings
    from workers.calls import Transport
    from workers.integrations.base import Service
    from workers.integrations.helpers.event_signer import EventSigner
    from workers.integrations.helpers.service_options import OnRender
    from workers.transports.script.process_groups import ProcessGroups


def build_service(
    integration: Integration,
    policy: Policy,
    worker: WorkerSettings,
    *,
    connections: Connections | None = None,
    groups: ProcessGroups | None = None,
    environ: Mapping[str, str] = os.environ,
    debug: bool = False,
    signer: EventSigner | None = None,
    on_render: OnRender = ignore_rendering,
) -> tuple[Service[Any, Any], Transport]:
    """Return the service and the transport of one block.

    `connections` is shared by the HTTP calls of all integrations, `groups` by all scripts. Scripts inherit `environ`
    without Courier's own variables. `debug` is passed to scripts, as the stock Integrator passes its own. `signer`
    verifies the events that `manager` may send. `on_render` records the rendering of templates.
    """
    choices = ServiceOptions(
        policy.endpoint,
        policy.virustotal_api,
        policy.permanent_exit_codes,
        policy.escape,
        policy.dashboard_url,
        on_render,
    )
    redactor = Redactor.of(integration, policy, environ)
    service = make_service(integration, choices, redactor=redactor, signer=signer)
    if integration.service == "email":
        return service, SmtpTransport(policy)
    if integration.service == "apprise":
        return service, AppriseTransport(HttpTransport(policy, connections or Connections()), policy)
    if isinstance(service, Syslog):
        return service, SyslogTransport(policy)
    if integration.kind is Kind.HTTP:
        return service, HttpTransport(policy, connections or Connections())
    if integration.kind is Kind.MANAGER:
        return service, InThreads(ManagerSocket(worker.queue_socket, request_timeout_s=policy.request_timeout_s))
    script = ScriptTransport(
        policy,
        redactor=redactor,
        home=worker.wazuh_home,
        integrations_dir=worker.integrations_dir,
        script_temp_dir=worker.script_temp_dir,
        groups=groups,
        environ=environ,
        debug=debug,
    )
    return service, InThreads(script)
