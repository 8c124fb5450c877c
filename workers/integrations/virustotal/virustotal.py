"""VirusTotal: looks up the hash of a changed file, and sends the verdict to the manager (spec 5.5, D11).

The request and the format of the response depend on the API's version: v2, as in the stock script, or v3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from common.exact_json import as_number, read_json
from common.outcome import Delivered, Reason, Rejected, Retry, Skipped
from workers.integrations.base import NotSendable, failure_outcome
from workers.integrations.helpers import config
from workers.integrations.helpers.alert_fields import Fields, fields_of, get, json_body
from workers.integrations.helpers.http_status import StatusClassifier
from workers.integrations.helpers.manager_event import agent_location, event
from workers.integrations.virustotal.v2 import V2
from workers.message.markup import NONE as NO_MARKUP

if TYPE_CHECKING:
    from collections.abc import Sequence

    from common.errors import TransportError
    from common.integration import Integration
    from common.outcome import ManagerEvent, Outcome
    from workers.alert.alert import Alert
    from workers.calls import Request, Response
    from workers.integrations.helpers.http_status import StatusClassifier
    from workers.integrations.virustotal.v3 import V3

TAG: Final = "virustotal"

QUOTA_EXCEEDED: Final = 204
CREDENTIALS: Final = 403
NOT_FOUND: Final = 404
TIMED_OUT: Final = 408

QUOTA_PAUSE_S: Final = 60.0
"""The quota of the public API is counted per minute."""

ERRORS: Final = {
    QUOTA_EXCEEDED: "Error: Public API request rate limit reached",
    CREDENTIALS: "Error: Check credentials",
}
ANY_OTHER_ERROR: Final = "Error: API request fail"
NO_RESPONSE: Final = "Error: API request timed out"
"""The manager's rules 87101, 87102 and 87106 match the numbers; these texts are for people."""


TTL_MALICIOUS_S: Final = 7 * 86_400.0
TTL_CLEAN_S: Final = 86_400.0
TTL_UNKNOWN_S: Final = 3600.0
"""How long a verdict is cached. A malicious file stays malicious; a clean one may be detected later; an unknown one may
be uploaded at any time."""


class VirusTotal:
    """One VirusTotal block. Needs api_key. `timeout` is the time limit of a request in seconds."""

    markup: Final = NO_MARKUP

    def __init__(self, block: Integration, statuses: StatusClassifier, api: V2 | V3 | None = None) -> None:
        self._key, self._api = config.api_key(block), api or V2()
        self.namespace = self._api.namespace
        self._timeout_s = (
            float(block.timeout_s) if block.timeout_s > 0 else None
        )  # the stock client accepts no limit of 0
        self._statuses = statuses

    def build_calls(self, alert: Alert) -> Sequence[Request]:
        """Return the look-up. Raises NotSendable (skipped) for an alert without a hash."""
        fields = fields_of(alert)
        resource = self._api.resource(fields)
        if resource is None:
            raise NotSendable(Skipped(Reason.NO_FILE_HASH, "no hash of the file in syscheck"))
        agent_location(fields, TAG)  # reject an alert without these fields before it uses the quota
        return (self._api.request(resource, self._key, self._timeout_s),)

    def interpret(self, alert: Alert, call: Request, response: Response) -> Outcome:  # noqa: ARG002 — the shape of all
        """Turn a report into a verdict; any other response is an error."""
        if not self._api.is_report(response):
            return self._failure(alert.fields, response)
        try:
            findings = self._api.report(response)
        except ValueError as error:
            return Retry(Reason.INVALID_RESPONSE, f"HTTP {response.status}, but {error}")
        if findings is None:
            return Retry(Reason.NOT_READY, "VirusTotal has not analysed the file yet")
        return Delivered((_verdict(alert.fields, findings),))

    def interpret_failure(self, alert: Alert, call: Request, error: TransportError) -> Outcome:  # noqa: ARG002 — as above
        """Retry. After the last attempt, the manager receives an event about a time-out."""
        outcome = failure_outcome(error)
        if isinstance(outcome, Retry) and outcome.reason is Reason.TIMEOUT:
            return msgspec.structs.replace(outcome, final_events=(_error(alert.fields, TIMED_OUT, NO_RESPONSE),))
        return outcome

    def cache_key(self, call: Request) -> str:
        """Return the hash; the response depends on nothing else."""
        return self._api.cache_key(call)

    def cache_entry(self, call: Request, response: Response) -> tuple[bytes, float]:  # noqa: ARG002 — the shape of all
        """Cache the findings; how long depends on the verdict."""
        try:
            findings = self._api.report(response) if self._api.is_report(response) else None
        except ValueError:
            findings = None
        if findings is None:
            return b"", 0.0
        kept_s = TTL_UNKNOWN_S if not findings else TTL_MALICIOUS_S if _is_malicious(findings) else TTL_CLEAN_S
        return json_body(findings), kept_s

    def from_cache(self, alert: Alert, call: Request, content: bytes) -> Outcome:  # noqa: ARG002 — as above
        """Build the verdict from the cached findings."""
        return Delivered((_verdict(alert.fields, read_json(content.decode())),))

    def _failure(self, fields: Fields, response: Response) -> Outcome:
        """Classify by the status. The manager receives an event when the look-up has failed finally."""
        number = self._api.error_code(response)
        events = (_error(fields, number, ERRORS.get(number, ANY_OTHER_ERROR)),)
        outcome = self._statuses.classify(response)
        if response.status == NOT_FOUND:  # of a look-up, the status refers to the file
            outcome = Rejected(Reason.HTTP_4XX, self._statuses.detail(response))
        if isinstance(outcome, Rejected):
            return msgspec.structs.replace(outcome, events=events)
        if number == QUOTA_EXCEEDED:
            outcome = Retry(
                Reason.RATE_LIMITED, f"HTTP {response.status}: quota exceeded", getattr(outcome, "after_s", None)
            )
        if not isinstance(outcome, Retry):
            outcome = Retry(Reason.INVALID_RESPONSE, self._statuses.detail(response))
        limited = outcome.reason is Reason.RATE_LIMITED
        after_s = max(outcome.after_s or 0.0, QUOTA_PAUSE_S) if limited else outcome.after_s
        return msgspec.structs.replace(outcome, after_s=after_s, final_events=events)


def _is_malicious(findings: dict[str, Any]) -> bool:
    return (as_number(findings.get("positives")) or 0) > 0


def _verdict(fields: Fields, findings: dict[str, Any]) -> ManagerEvent:
    verdict = {
        "found": int(bool(findings)),
        "malicious": int(_is_malicious(findings)),
        "source": _source(fields),
    }
    return event(agent_location(fields, TAG), {"virustotal": verdict | findings, "integration": TAG})


def _error(fields: Fields, status: int, description: str) -> ManagerEvent:
    """Return the event for a failed look-up, located at the manager and with the source added (D11)."""
    error = {"error": status, "description": description, "source": _source(fields)}
    return event(TAG, {"virustotal": error, "integration": TAG})


def _source(fields: Fields) -> dict[str, Any]:
    """Return the alert and the file; fields that the alert does not have are omitted."""
    source = {
        "alert_id": get(fields, "id"),
        "file": get(fields, "syscheck", "path"),
        "md5": get(fields, "syscheck", "md5_after"),
        "sha1": get(fields, "syscheck", "sha1_after"),
    }
    return {name: value for name, value in source.items() if value is not None}
