"""Selects the service class for an <integration> block by the block's name."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, NoReturn

from common.errors import ConfigError
from common.integration import Kind
from common.outcome import Reason, Rejected
from workers.integrations.apprise import Apprise
from workers.integrations.base import NotSendable, failure_outcome
from workers.integrations.discord import Discord
from workers.integrations.email import Email
from workers.integrations.googlechat import GoogleChat
from workers.integrations.helpers.config import config_error
from workers.integrations.helpers.http_status import StatusClassifier
from workers.integrations.helpers.service_options import ServiceOptions
from workers.integrations.iris import Iris
from workers.integrations.jira.jira import Jira
from workers.integrations.maltiverse.maltiverse import Maltiverse
from workers.integrations.manager import Manager
from workers.integrations.mattermost import Mattermost
from workers.integrations.ntfy import Ntfy
from workers.integrations.pagerduty import PagerDuty
from workers.integrations.rocketchat import RocketChat
from workers.integrations.script.script import Script
from workers.integrations.shuffle import Shuffle
from workers.integrations.slack import Slack
from workers.integrations.splunk_hec import SplunkHec
from workers.integrations.syslog.syslog import Syslog
from workers.integrations.teams import Teams
from workers.integrations.telegram import Telegram
from workers.integrations.thehive import TheHive
from workers.integrations.virustotal.v2 import V2
from workers.integrations.virustotal.v3 import V3
from workers.integrations.virustotal.virustotal import VirusTotal
from workers.integrations.webhook.webhook import Webhook
from workers.redaction import Redactor

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from common.errors import TransportError
    from common.integration import Integration
    from common.outcome import Outcome
    from workers.alert.alert import Alert
    from workers.integrations.base import Service
    from workers.integrations.helpers.event_signer import EventSigner
    from workers.integrations.helpers.http_status import Clock


DEFAULTS: Final = ServiceOptions()


def _virustotal(block: Integration, statuses: StatusClassifier, choices: ServiceOptions) -> VirusTotal:
    api = V3 if choices.virustotal_api == "v3" else V2
    return VirusTotal(block, statuses, api(choices.url))


SERVICES: Final[Mapping[str, Callable[[Integration, StatusClassifier, ServiceOptions], Service[Any, Any]]]] = {
    "slack": Slack,
    "pagerduty": PagerDuty,
    "shuffle": Shuffle,
    "virustotal": _virustotal,
    "maltiverse": lambda block, statuses, _: Maltiverse(block, statuses),
    "teams": Teams,
    "discord": Discord,
    "googlechat": GoogleChat,
    "mattermost": Mattermost,
    "rocketchat": RocketChat,
    "webhook": Webhook,
    "telegram": Telegram,
    "ntfy": Ntfy,
    "email": Email,
    "jira": Jira,
    "thehive": TheHive,
    "iris": Iris,
    "splunk-hec": SplunkHec,
    "syslog": Syslog,
    "apprise": Apprise,
}
"""The built-in services, by name. `email`, `syslog` and `apprise` have transports of their own, all others HTTP."""


def make_service(
    integration: Integration,
    choices: ServiceOptions = DEFAULTS,
    *,
    now: Clock = time.time,
    redactor: Redactor | None = None,
    signer: EventSigner | None = None,
) -> Service[Any, Any]:
    """Return the service of a block; `now` returns the time in seconds since the epoch.

    `redactor` masks the secrets of the block and of its settings in the details of outcomes. Only `manager` needs the
    `signer`; without it, `manager` rejects every event.

    Never raises: each delivery of an invalid block becomes a dead letter that says why, and the worker's other
    integrations keep running.
    """
    try:
        if integration.kind is Kind.MANAGER:
            return Manager(signer)
        return _make(integration, choices, now, redactor or Redactor.of(integration))
    except ConfigError as error:
        return MisconfiguredService(error)


class MisconfiguredService:
    """The service of an invalid block: it rejects every delivery."""

    def __init__(self, problem: ConfigError) -> None:
        self._problem = str(problem)

    def build_calls(self, alert: Alert) -> NoReturn:  # noqa: ARG002 — the shape of all
        """Raise NotSendable, which says what is wrong with the block."""
        raise NotSendable(Rejected(Reason.NOT_CONFIGURED, self._problem))

    def interpret(self, alert: Alert, call: object, response: object) -> Outcome:  # noqa: ARG002 — as above
        """Say the same; nothing was ever sent."""
        return Rejected(Reason.NOT_CONFIGURED, self._problem)

    def interpret_failure(self, alert: Alert, call: object, error: TransportError) -> Outcome:  # noqa: ARG002 — as above
        """Say the same; nothing was ever sent."""
        return failure_outcome(error)


def _make(integration: Integration, choices: ServiceOptions, now: Clock, redactor: Redactor) -> Service[Any, Any]:
    if integration.kind is Kind.SCRIPT:
        return Script(integration, redactor, choices.permanent_exit_codes)
    if integration.service not in SERVICES:
        raise config_error(integration, "name", "there is no such integration")
    return SERVICES[integration.service](integration, StatusClassifier(now, redactor), choices)
