"""The base class of services that receive each alert as one POST and report success by the status alone."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Final

from common.secret import Secret
from workers.calls import Request
from workers.integrations.base import failure_outcome
from workers.integrations.helpers import config
from workers.integrations.helpers.alert_fields import fields_of, json_body
from workers.message.markup import NONE as NO_MARKUP

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from common.errors import TransportError
    from common.integration import Integration
    from common.outcome import Outcome
    from workers.alert.alert import Alert
    from workers.calls import Response
    from workers.integrations.helpers.alert_fields import Fields
    from workers.integrations.helpers.http_status import StatusClassifier
    from workers.message.markup import Markup

HEADERS: Final = {"content-type": "application/json", "Accept-Charset": "UTF-8"}


class SinglePost(ABC):
    """One block of such a service. A subclass builds the message; `<options>` replace or extend its members."""

    markup: ClassVar[Markup] = NO_MARKUP
    varying: ClassVar[frozenset[str]] = frozenset()
    """The names of parameters that differ from alert to alert."""

    def __init__(self, block: Integration, statuses: StatusClassifier, url: str | None = None) -> None:
        """Without `url`, the block needs a hook_url. Raises ConfigError if the block is invalid."""
        self._url = Secret(url) if url else config.hook_url(block)
        self._options = config.options(block)
        self._statuses = statuses

    @abstractmethod
    def message(self, alert: Alert, fields: Fields) -> dict[str, Any]:
        """Return the message without `<options>`. Raises NotSendable if the alert must not or cannot be sent."""

    def encode(self, message: dict[str, Any], fields: Fields) -> bytes:  # noqa: ARG002 — subclasses use the fields
        """Return the body for a message with `<options>`. A subclass may wrap or shorten the message."""
        return json_body(message)

    def params(self, alert: Alert, fields: Fields) -> Mapping[str, str]:  # noqa: ARG002 — subclasses use the alert
        """Return the parameters that are added to the URL."""
        return {}

    def build_calls(self, alert: Alert) -> Sequence[Request]:
        """Return the one POST."""
        fields = fields_of(alert)
        body = self.encode(self.message(alert, fields) | self._options, fields)
        params = self.params(alert, fields)
        url, varying = self._url.reveal(), self.varying
        return (Request(method="POST", url=url, headers=HEADERS, body=body, params=params, varying=varying),)

    def interpret(self, alert: Alert, call: Request, response: Response) -> Outcome:  # noqa: ARG002 — interface of Service
        """Return the meaning of the status."""
        return self._statuses.classify(response)

    def interpret_failure(self, alert: Alert, call: Request, error: TransportError) -> Outcome:  # noqa: ARG002 — as above
        """Retry, unless a retry cannot help."""
        return failure_outcome(error)
