"""Splunk's HTTP Event Collector (HEC): alerts as events, several in one request.

Sources: help.splunk.com, "Format events for HTTP Event Collector" (the event, several one after the other in a body),
"Troubleshoot HTTP Event Collector" (the codes below, in the JSON of the response; its table was read in a copy that
others published, with the codes 0 to 27).

    0, 24, 25  200: accepted; 24 and 25 say that a queue is nearly full
    1 to 4     401, 403: the token
    6, 12, 13  400: an event is invalid. `invalid-event-number` counts from 0. It alone is rejected. The others are
               sent again, also those before it: no document says that Splunk keeps them, and a duplicate can be found
    7, 10, 11, 14 to 16, 21, 22
               400: the index, the channel, indexed fields or the token: all alerts would be refused: they stay queued
    8          500, 9, 18 to 20 and 23: 503: Splunk is busy, its queues are full, or it shuts down: retried
    26, 27     429: as every 429

A 200 means that Splunk has accepted the events, not that they are on its disk. Indexer acknowledgment would tell, but
only some time later, by a further request; Courier does not use it.

Each event has the delivery's id as the indexed field `courier_delivery`, the same in each attempt: `| dedup
courier_delivery` removes duplicates.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import msgspec

from common.outcome import Reason, Retry
from common.secret import Secret
from common.services.sections import options_of
from common.services.splunk_hec import SplunkHecOptions
from common.templates.values import text_of
from workers.calls import Request
from workers.integrations.base import failure_outcome
from workers.integrations.helpers import config
from workers.integrations.helpers.alert_fields import fields_of, get, json_body, moment_of, require_level
from workers.integrations.helpers.json_response import json_object
from workers.message.markup import NONE as NO_MARKUP

if TYPE_CHECKING:
    from collections.abc import Sequence

    from common.errors import TransportError
    from common.integration import Integration
    from common.outcome import Outcome
    from workers.alert.alert import Alert
    from workers.calls import Response
    from workers.integrations.helpers.http_status import StatusClassifier
    from workers.integrations.helpers.service_options import ServiceOptions

PATH: Final = "/services/collector/event"
"""Appended to a hook_url without a path."""

MAX_BATCH_BYTES: Final = 1_000_000
"""Courier's own limit. Splunk's is `max_content_length` of limits.conf, [http_input]: 800 MiB in newer releases, 1 MB
in old ones (github.com/splunk/fluent-plugin-splunk-hec, README). Above it, Splunk responds 413."""

BAD_REQUEST: Final = 400

SETTINGS_CODES: Final = frozenset({7, 10, 11, 14, 15, 16, 21, 22})
"""Codes with status 400 that are about the token, its settings or Courier's, not about an event."""

INVALID_EVENT: Final = "invalid-event-number"

MAX_TEXT_CHARS: Final = 500
"""Of a host: it is an indexed field of Splunk."""


class SplunkHec:
    """One token of an HTTP Event Collector. Needs hook_url, and the token as api_key."""

    markup = NO_MARKUP
    max_batch_bytes = MAX_BATCH_BYTES

    def __init__(self, block: Integration, statuses: StatusClassifier, choices: ServiceOptions) -> None:  # noqa: ARG002 — the interface of all
        """Raise ConfigError if the block or its section is invalid."""
        self._url, token = _with_path(config.hook_url(block)), config.api_key(block)
        self._headers = {"Authorization": f"Splunk {token.reveal().strip()}", "Content-Type": "application/json"}
        self._statuses = statuses
        options = options_of(block, SplunkHecOptions)
        self.batch, self._host = options.batch, options.host
        named = {"index": options.index, "sourcetype": options.sourcetype, "source": options.source}
        self._metadata = {name: value for name, value in named.items() if value}

    def build_calls(self, alert: Alert) -> Sequence[Request]:
        """Return the request for this alert alone. Raises NotSendable if the alert has no rule with a level."""
        fields = fields_of(alert)
        require_level(fields)
        event: dict[str, Any] = {}
        if moment := moment_of(fields):
            event["time"] = round(moment.timestamp(), 3)
        agent = text_of(get(fields, "agent", "name")) or text_of(get(fields, "manager", "name"))
        if host := self._host or agent[:MAX_TEXT_CHARS]:
            event["host"] = host
        event |= self._metadata
        if alert.delivery_id:
            event["fields"] = {"courier_delivery": alert.delivery_id}
        body = json_body(event | {"event": fields})
        return (Request(method="POST", url=self._url.reveal(), headers=self._headers, body=body),)

    def join(self, calls: Sequence[Request]) -> Request:
        """Return one request with all events."""
        if len(calls) == 1:
            return calls[0]
        return msgspec.structs.replace(calls[0], body=b"\n".join(call.body or b"" for call in calls))

    def culprit(self, response: Response) -> int | None:
        """Return the number of the invalid event."""
        number = get(json_object(response), INVALID_EVENT)
        return number if isinstance(number, int) and not isinstance(number, bool) else None

    def interpret(self, alert: Alert, call: Request, response: Response) -> Outcome:  # noqa: ARG002 — interface of Service
        """Return the meaning of the status, and of the code where the status is 400."""
        code = get(json_object(response), "code") if response.status == BAD_REQUEST else None
        if isinstance(code, int) and code in SETTINGS_CODES:
            return Retry(Reason.NOT_CONFIGURED, self._statuses.detail(response))
        return self._statuses.classify(response)

    def interpret_failure(self, alert: Alert, call: Request, error: TransportError) -> Outcome:  # noqa: ARG002 — as above
        """Retry, unless a retry cannot help."""
        return failure_outcome(error)


def _with_path(url: Secret) -> Secret:
    try:
        parts = urlsplit(url.reveal())
    except ValueError:
        return url  # the transport says what is wrong
    return url if parts.path.strip("/") else Secret(parts._replace(path=PATH).geturl())
