"""Which code serves which integration, by the name of its block."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, NoReturn

from common.errors import ConfigError
from common.integration import Kind
from common.outcome import Reason, Rejected
from workers.integrations.base import Refusal, unanswered
from workers.integrations.blocks import wrong
from workers.integrations.maltiverse import Maltiverse
from workers.integrations.manager import Manager
from workers.integrations.pagerduty import PagerDuty
from workers.integrations.shuffle import Shuffle
from workers.integrations.slack import Slack
from workers.integrations.virustotal import VirusTotal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from common.alert import Alert
    from common.errors import TransportError
    from common.integration import Integration
    from common.outcome import Outcome
    from workers.integrations.base import Service
    from workers.integrations.statuses import Clock

    Maker = Callable[[Integration, Clock], Service[Any, Any]]

HTTP: Final[Mapping[str, Maker]] = {
    "slack": Slack,
    "pagerduty": PagerDuty,
    "shuffle": Shuffle,
    "virustotal": VirusTotal,
    "maltiverse": Maltiverse,
}


def service_for(integration: Integration, *, now: Clock = time.time) -> Service[Any, Any]:
    """Return the code that serves a block; `now` is the time in seconds since the epoch.

    Never raises: of a block that cannot be served every delivery becomes a dead letter that says why, and the other
    integrations of the worker go on.
    """
    try:
        return _make(integration, now)
    except ConfigError as error:
        return Unusable(error)


class Unusable:
    """Stands where a block cannot be served."""

    def __init__(self, problem: ConfigError) -> None:
        self._problem = str(problem)

    def calls(self, alert: Alert) -> NoReturn:  # noqa: ARG002 — the shape of all
        """Refuse, and say what is wrong with the block."""
        raise Refusal(Rejected(Reason.NOT_CONFIGURED, self._problem))

    def read(self, alert: Alert, call: object, answer: object) -> Outcome:  # noqa: ARG002 — as above
        """Say the same; nothing was ever sent."""
        return Rejected(Reason.NOT_CONFIGURED, self._problem)

    def unanswered(self, alert: Alert, call: object, error: TransportError) -> Outcome:  # noqa: ARG002 — as above
        """Say the same; nothing was ever sent."""
        return unanswered(error)


def _make(integration: Integration, now: Clock) -> Service[Any, Any]:
    if integration.kind is Kind.MANAGER:
        return Manager()
    # Kind.SCRIPT: `return Script(integration)` belongs here as soon as workers.integrations.script exists.
    maker = HTTP.get(integration.name)
    if maker is None:
        raise wrong(integration, "name", "there is no such integration")
    return maker(integration, now)
