"""The base class of services that show a message: one POST for each alert.

A subclass names its `markup` and its `limits` with where they are documented, and turns a `Message` into its service's
JSON. Everything in a `Message` is escaped and cut already.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from workers.integrations.helpers.alert_fields import require_level
from workers.integrations.single_post import SinglePost
from workers.message.limits import Limits
from workers.message.markup import PLAIN, Markup
from workers.message.renderer import MessageRenderer

if TYPE_CHECKING:
    from common.integration import Integration
    from workers.alert.alert import Alert
    from workers.integrations.helpers.alert_fields import Fields
    from workers.integrations.helpers.http_status import StatusClassifier
    from workers.integrations.helpers.service_options import ServiceOptions
    from workers.message.message import Message


class Chat(SinglePost):
    """One integration with a service that shows messages."""

    markup: ClassVar[Markup] = PLAIN
    limits: ClassVar[Limits] = Limits()

    def __init__(
        self, block: Integration, statuses: StatusClassifier, choices: ServiceOptions, url: str | None = None
    ) -> None:
        """Without `url`, the block needs a hook_url. Raises ConfigError if the block is invalid."""
        super().__init__(block, statuses, url)
        self.messages = MessageRenderer(block, self.markup, self.limits, choices)

    def message(self, alert: Alert, fields: Fields) -> dict[str, Any]:
        """Return the service's JSON. Raises NotSendable if the alert has no rule with a level."""
        require_level(fields)  # without a rule it is no alert
        return self.payload(self.messages.render(alert, fields), alert)

    @abstractmethod
    def payload(self, message: Message, alert: Alert) -> dict[str, Any]:
        """Return the service's JSON for a message. `message.note`, if there is one, must be shown."""
