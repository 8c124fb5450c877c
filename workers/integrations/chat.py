"""The base class of services that show a message: one POST for each alert.

A subclass names its `markup` and its `limits` with where they are documented, and turns a `Message` into its service's
JSON. Everything in a `Message` is escaped and cut already.

The status decides what a response means (`helpers/http_status.py`), with two additions. Some services respond 400 if
the webhook itself is at fault and not the message; `HOOK_AT_FAULT` recognises them, so that no alert is rejected for
it. And for 429, `pause_s` reads the headers in which a service says when its quota is renewed.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Final

import msgspec

from common.outcome import Reason, Retry
from workers.integrations.helpers.alert_fields import require_level
from workers.integrations.helpers.http_status import retry_after_s
from workers.integrations.single_post import SinglePost
from workers.message.limits import Limits, cut, json_bytes
from workers.message.markup import PLAIN, Markup
from workers.message.renderer import MessageRenderer

if TYPE_CHECKING:
    import re

    from common.integration import Integration
    from common.outcome import Outcome
    from workers.alert.alert import Alert
    from workers.calls import Request, Response
    from workers.integrations.helpers.alert_fields import Fields
    from workers.integrations.helpers.http_status import StatusClassifier
    from workers.integrations.helpers.service_options import ServiceOptions
    from workers.message.message import Message

BAD_REQUEST: Final = 400

MAX_ERROR_BYTES: Final = 4_096
"""Bytes of a response that are searched for the cause of a 400; such bodies have a few hundred."""

MAX_LINK_BYTES: Final = 2_048
"""Bytes of a link in JSON; a longer one is left out. It is the limit of Discord's URLs, and all browsers open it."""

MAX_NOTE: Final = 400
"""The length of a note, in the unit of the service's limits, which leave room for it."""

OPEN: Final = "Open the alert"
"""The text of a button or link to the alert."""


class Chat(SinglePost):
    """One integration with a service that shows messages."""

    markup: ClassVar[Markup] = PLAIN
    limits: ClassVar[Limits] = Limits()

    HOOK_AT_FAULT: ClassVar[re.Pattern[bytes] | None] = None
    """What a 400 contains if the webhook is at fault, for every alert."""

    HOOK_REASON: ClassVar[Reason] = Reason.GONE
    """Why such a response is retried."""

    def __init__(
        self, block: Integration, statuses: StatusClassifier, choices: ServiceOptions, url: str | None = None
    ) -> None:
        """Without `url`, the block needs a hook_url. Raises ConfigError if the block is invalid."""
        super().__init__(block, statuses, url)
        self.messages = MessageRenderer(block, self.markup, self.limits, choices)

    def message(self, alert: Alert, fields: Fields) -> dict[str, Any]:
        """Return the service's JSON. Raises NotSendable if the alert has no rule with a level."""
        require_level(fields)  # without a rule it is no alert
        message = self.messages.render(alert, fields)
        link = message.link if json_bytes(message.link) <= MAX_LINK_BYTES else ""
        note = cut(message.note, MAX_NOTE, PLAIN, self.limits.measure)
        return self.payload(msgspec.structs.replace(message, link=link, note=note), alert)

    @abstractmethod
    def payload(self, message: Message, alert: Alert) -> dict[str, Any]:
        """Return the service's JSON for a message. `message.note`, if there is one, must be shown."""

    def pause_s(self, response: Response) -> float | None:
        """Return the seconds until the service takes messages again after a 429, None if the response does not say."""
        return retry_after_s(response, self._statuses.now_s())

    def interpret(self, alert: Alert, call: Request, response: Response) -> Outcome:
        """Return the meaning of the status, and of a 400 whether the webhook is at fault."""
        if (
            self.HOOK_AT_FAULT
            and response.status == BAD_REQUEST
            and self.HOOK_AT_FAULT.search(response.body, 0, MAX_ERROR_BYTES)
        ):
            return Retry(self.HOOK_REASON, self._statuses.detail(response))
        outcome = super().interpret(alert, call, response)
        if isinstance(outcome, Retry) and outcome.reason is Reason.RATE_LIMITED:
            return msgspec.structs.replace(outcome, after_s=self.pause_s(response))
        return outcome
