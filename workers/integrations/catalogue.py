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
from workers.integrations.script import Script
from workers.integrations.shuffle import Shuffle
from workers.integrations.slack import Slack
from workers.integrations.virustotal import VirusTotal

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from common.alert import Alert
    from common.errors import TransportError
    from common.integration import Integration
    from common.outcome import Outcome
    from common.secret import Secret
    from workers.integrations.base import Service
    from workers.integrations.statuses import Clock

WITH_HOOK: Final[Mapping[str, Callable[[Integration, Clock], Service[Any, Any]]]] = {
    "slack": Slack,
    "shuffle": Shuffle,
    "maltiverse": Maltiverse,
}
"""Those whose address is the block's hook_url."""

WITHOUT_HOOK: Final[Mapping[str, Callable[[Integration, Clock, Secret | None], Service[Any, Any]]]] = {
    "pagerduty": PagerDuty,
    "virustotal": VirusTotal,
}
"""Those whose address is the vendor's, unless the policy names another."""

NATIVE: Final = (*WITH_HOOK, *WITHOUT_HOOK)
"""The names of all that speak HTTP."""


def service_for(
    integration: Integration,
    *,
    endpoint: Secret | None = None,
    final_exits: Collection[int] = (),
    now: Clock = time.time,
) -> Service[Any, Any]:
    """Return the code that serves a block; `now` is the time in seconds since the epoch.

    `endpoint` replaces the address of a service whose block has no hook_url. `final_exits` are the exit statuses of a
    script that no further attempt can mend.

    Never raises: of a block that cannot be served every delivery becomes a dead letter that says why, and the other
    integrations of the worker go on.
    """
    try:
        if integration.kind is Kind.SCRIPT:
            return Script(integration, final_exits)
        return _make(integration, endpoint, now)
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


def _make(integration: Integration, endpoint: Secret | None, now: Clock) -> Service[Any, Any]:
    if integration.kind is Kind.MANAGER:
        return Manager()
    if integration.name in WITHOUT_HOOK:
        return WITHOUT_HOOK[integration.name](integration, now, endpoint)
    if integration.name in WITH_HOOK:
        return WITH_HOOK[integration.name](integration, now)
    raise wrong(integration, "name", "there is no such integration")
