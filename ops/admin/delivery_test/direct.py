"""A test without Redis and without a worker: this process builds the service as a worker would, and sends once.

For a new hook before anything runs. Proxy, certificates, `deny_private`, the user and the limits of scripts are those
of the settings of this machine.
"""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING

from cryptography.fernet import Fernet

from common.errors import SettingsError
from common.integration import Kind
from common.ledger import Delivery, Header
from common.logs import LogLevel
from common.registry.encryption import Cipher
from ops.admin.delivery_test.result import DeliveryTestResult, Outcome, Steps
from workers.delivery.factory import build_service
from workers.delivery.pipeline import Pipeline
from workers.delivery.response import ResponseRecorder
from workers.delivery.test_attempt import attempt_once
from workers.integrations.helpers.event_signer import EventSigner
from workers.transports.http.connections import Connections
from workers.transports.script.process_groups import ProcessGroups
from workers.transports.script.user import clear_ambient_capabilities, script_user

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    from common.integration import Integration
    from common.settings.load import Settings


def run_direct(
    settings: Settings,
    integrations: Sequence[Integration],
    alerts: Sequence[tuple[str, bytes]],
    *,
    timeout_s: float,
    random: Random,
) -> list[DeliveryTestResult]:
    """Send one alert, with its delivery id, for each integration, all at once; return the results in this order."""
    clear_ambient_capabilities()
    groups = ProcessGroups(time.monotonic)
    try:
        return asyncio.run(_run_all(settings, integrations, alerts, timeout_s=timeout_s, random=random, groups=groups))
    finally:
        groups.kill_all()


async def _run_all(
    settings: Settings,
    integrations: Sequence[Integration],
    alerts: Sequence[tuple[str, bytes]],
    *,
    timeout_s: float,
    random: Random,
    groups: ProcessGroups,
) -> list[DeliveryTestResult]:
    connections = Connections()
    signer = EventSigner(Cipher(Fernet.generate_key()))  # of events that are not sent: no secret key is needed

    async def run_one(integration: Integration, delivery_id: str, alert: bytes) -> DeliveryTestResult:
        try:
            policy = settings.policy(integration)
            if integration.kind is Kind.SCRIPT:
                script_user(policy)
        except SettingsError as error:
            return DeliveryTestResult(
                integration=integration.id, delivery=delivery_id, outcome=Outcome.NOT_SENT, why=str(error)
            )
        service, transport = build_service(
            integration,
            policy,
            settings.worker,
            connections=connections,
            groups=groups,
            environ=os.environ,
            debug=settings.log.level is LogLevel.DEBUG,
        )
        responses = ResponseRecorder.of(integration, policy)
        pipeline = Pipeline(service, transport, policy, random, signer=signer, last_response=responses)
        delivery = Delivery(delivery_id, Header(committed_ms=0), alert)
        try:
            async with asyncio.timeout(timeout_s):
                _, report = await attempt_once(pipeline, integration, policy, delivery)
        except TimeoutError:
            return DeliveryTestResult(
                integration=integration.id,
                delivery=delivery_id,
                outcome=Outcome.UNKNOWN,
                why=f"no response within {timeout_s:g} s; it may have been sent",
            )
        return DeliveryTestResult.of(integration.id, delivery_id, report, Steps(sent_ms=report.attempt_ms))

    try:
        pairs = zip(integrations, alerts, strict=True)
        return await asyncio.gather(*(run_one(one, delivery_id, alert) for one, (delivery_id, alert) in pairs))
    finally:
        connections.close()
