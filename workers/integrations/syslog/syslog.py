"""Syslog: each alert is one message of RFC 5424, with its length in front (RFC 6587, 3.4.1; RFC 5425, 4.3).

The body is the alert as JSON, or CEF. The header has the alert's time, the agent as host, the rule as MSGID and a
severity by the level. There is no structured data: its names need a private enterprise number.

No response tells that a collector has read a message. `workers/transports/syslog/transport.py` says what is known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from common.digest import read_digest
from common.outcome import Delivered, Reason, Rejected
from common.services.sections import options_of
from common.services.syslog import Body, Facility, SyslogOptions, split_address
from common.templates.values import text_of
from workers.calls import SyslogFrames
from workers.integrations.base import NotSendable, failure_outcome
from workers.integrations.helpers.alert_fields import fields_of, get, json_body, moment_of, require_level
from workers.integrations.helpers.config import config_error
from workers.integrations.syslog.cef import cef
from workers.message.markup import NONE as NO_MARKUP

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from common.errors import TransportError
    from common.integration import Integration
    from common.outcome import Outcome
    from workers.alert.alert import Alert
    from workers.calls import Sent
    from workers.integrations.helpers.alert_fields import Fields
    from workers.integrations.helpers.http_status import StatusClassifier
    from workers.integrations.helpers.service_options import ServiceOptions

FACILITIES: Final[Mapping[Facility, int]] = {
    Facility.USER: 1,
    Facility.DAEMON: 3,
    Facility.AUTH: 4,
    Facility.AUTHPRIV: 10,
    Facility.AUDIT: 13,
    Facility.ALERT: 14,
    **{Facility(f"local{n}"): 16 + n for n in range(8)},
}
"""The numbers of RFC 5424, table 1."""

SEVERITIES: Final = ((15, 2), (12, 3), (7, 4), (4, 5), (0, 6))
"""The lowest level of each severity, as the Wazuh dashboard groups levels: critical, error, warning, notice, info."""

MAX_HOST_CHARS: Final = 255
MAX_MSGID_CHARS: Final = 32
MAX_MESSAGE_BYTES: Final = 1024 * 1024
"""Courier's own limit. Collectors have theirs: rsyslog 8 KiB (rsyslog.com, "Global Configuration", `maxMessageSize`),
syslog-ng `log-msg-size()`, by default 64 KiB (no source found)."""

MAX_BATCH_BYTES: Final = 256 * 1024
NIL: Final = "-"


class Syslog:
    """One collector. Needs the option `address`."""

    markup = NO_MARKUP
    max_batch_bytes = MAX_BATCH_BYTES

    def __init__(self, block: Integration, statuses: StatusClassifier, choices: ServiceOptions) -> None:  # noqa: ARG002 — the interface of all
        """Raise ConfigError if the section is invalid."""
        self._options = options_of(block, SyslogOptions)
        if self._options.address is None:
            raise config_error(block, "address", "syslog needs it")
        split_address(self._options.address)
        self.batch = self._options.batch

    def build_calls(self, alert: Alert) -> Sequence[SyslogFrames]:
        """Return the message for this alert alone. Raises NotSendable if the alert has no rule with a level."""
        fields = fields_of(alert)
        message = self._message(alert, fields)
        frame = b"%d %s" % (len(message), message)
        assert self._options.address  # noqa: S101 — checked above
        return (SyslogFrames(address=self._options.address, is_tls=self._options.tls, body=frame),)

    def join(self, calls: Sequence[SyslogFrames]) -> SyslogFrames:
        """Return all messages, one after the other."""
        if len(calls) == 1:
            return calls[0]
        return msgspec.structs.replace(calls[0], body=b"".join(call.body for call in calls))

    def culprit(self, response: Sent) -> None:
        """Return nothing: no collector rejects anything."""

    def interpret(self, alert: Alert, call: SyslogFrames, response: Sent) -> Outcome:  # noqa: ARG002 — interface of Service
        """Say that the collector's machine has the message."""
        return Delivered()

    def interpret_failure(self, alert: Alert, call: SyslogFrames, error: TransportError) -> Outcome:  # noqa: ARG002 — as above
        """Retry, unless a retry cannot help."""
        return failure_outcome(error)

    def _message(self, alert: Alert, fields: Fields) -> bytes:
        level = require_level(fields)
        severity = next((number for lowest, number in SEVERITIES if level >= lowest), SEVERITIES[-1][1])
        moment = moment_of(fields)
        host = text_of(get(fields, "agent", "name")) or text_of(get(fields, "manager", "name"))
        header = [
            f"<{8 * FACILITIES[self._options.facility] + severity}>1",
            moment.isoformat(timespec="milliseconds").replace("+00:00", "Z") if moment else NIL,
            _token(host, MAX_HOST_CHARS),
            self._options.app_name,
            NIL,
            _token(text_of(get(fields, "rule", "id")), MAX_MSGID_CHARS),
            NIL,
        ]
        is_cef = self._options.format is Body.CEF
        body = cef(fields, level, read_digest(alert.delivery_id, fields)) if is_cef else json_body(fields)
        message = b"%s %s" % (" ".join(header).encode("ascii"), body)
        if len(message) > MAX_MESSAGE_BYTES:
            why = f"the message has {len(message)} bytes; the limit is {MAX_MESSAGE_BYTES}"
            raise NotSendable(Rejected(Reason.TOO_LARGE, why))
        return message


def _token(text: str, limit: int) -> str:
    """Return a text as a word of the header: visible ASCII (PRINTUSASCII), `-` if it is empty."""
    return "".join(letter if "!" <= letter <= "~" else "_" for letter in text[:limit]) or NIL
