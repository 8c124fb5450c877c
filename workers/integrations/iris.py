"""DFIR-IRIS 2.4: each alert becomes an alert of IRIS (docs.dfir-iris.org, "Alerts", and its API reference, Alerts).

Two calls: a search by `source_reference`, the delivery's id, and POST /alerts/add. IRIS itself does not look for
duplicates (github.com/dfir-iris/iris-web, alerts_routes.py): a repeated delivery finds the alert of the earlier attempt
and adds none. Not every version knows the parameter `source_reference`, and one that does not ignores it (issue 1072).
The search therefore also asks for the newest alerts of the source: such a version returns the last SEARCH_SIZE of them.

    200 "status": "success"   delivered, or for the search: its result
    200 anything else         retry: it is not the response of IRIS, such as the page of a login
    400                       rejected: IRIS does not accept this alert. Retry, if its database has no customer, status,
                              severity or classification with the id that is set: every alert would be refused
    401, 403                  retry: the key is wrong, or lacks alerts_read, alerts_write or the customer
    404                       retry: hook_url is not the address of IRIS
    413                       rejected
    429, 5xx                  retry
"""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING, Any, Final

from common.exact_json import write_json
from common.outcome import Delivered, Reason, Retry
from common.services.iris import IOC_TYPE_IDS, MAX_TAG_CHARS, SEVERITY_IDS, IrisOptions
from common.services.sections import options_of
from common.templates.values import text_of
from workers.calls import MAX_REPORT_BYTES, Request
from workers.integrations.base import failure_outcome
from workers.integrations.helpers import api
from workers.integrations.helpers.alert_fields import fields_of, get, json_body, moment_of
from workers.integrations.helpers.document import document
from workers.integrations.helpers.json_response import parse_json
from workers.integrations.helpers.observables import observables
from workers.integrations.webhook.formats import severity
from workers.message.limits import Limits
from workers.message.markup import ANY_TEXT, MARKDOWN, MATTERMOST, one_line
from workers.message.renderer import MessageRenderer
from workers.redaction import readable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from common.errors import TransportError
    from common.integration import Integration
    from common.outcome import Outcome
    from workers.alert.alert import Alert
    from workers.calls import Response
    from workers.integrations.helpers.alert_fields import Fields
    from workers.integrations.helpers.http_status import StatusClassifier
    from workers.integrations.helpers.service_options import ServiceOptions

LIMITS: Final = Limits(title=500, text=20_000, fields=25, value=2_000, total=60_000)
"""IRIS documents no limit; this is what a person reads."""

MAX_CONTENT_CHARS: Final = 256 * 1024
"""Characters of an alert that is kept as `alert_source_content`. Of a longer one, the message must do."""

MAX_GROUPS: Final = 20

SEARCHED: Final = "GET"

SEARCH_SIZE: Final = 100

BAD_REQUEST: Final = 400

MAX_ERROR_BYTES: Final = 4_096
"""Bytes of a 400 that are searched for its cause, which comes before the SQL with the alert."""

_NO_SUCH_ID: Final = re.compile(rb"Key \(alert_(?:customer|status|severity|classification)_id\)=\(\d+\) is not present")
"""What PostgreSQL says of a missing id; IRIS responds with the error of its database (alerts_routes.py, as above)."""

_BACKSLASH: Final = re.compile(r"\\(.)", re.DOTALL)


def _escape(text: str) -> str:
    """Return a text as Markdown, with entities in place of backslashes.

    Round brackets stay: they mean nothing without square ones.
    """
    return _BACKSLASH.sub(
        lambda found: found[1] if found[1] in "()" else f"&#{ord(found[1])};",
        MARKDOWN.escape(text.replace("&", "&amp;")),
    )


IRIS_MARKUP: Final = MARKDOWN._replace(
    name="Markdown with entities",
    escape=_escape,
    repair=MATTERMOST.repair,
    escape_title=lambda text: html.escape(ANY_TEXT.escape(text), quote=False),
)
"""IRIS shows a description as HTML in the list of alerts (its source, `ui/src/pages/alerts.js`), and as Markdown in a
case: an entity is the same in both, a backslash would be shown. A title is HTML everywhere."""


class Iris:
    """One integration with IRIS. Needs hook_url, its address, and api_key."""

    markup: Final = IRIS_MARKUP

    def __init__(self, block: Integration, statuses: StatusClassifier, choices: ServiceOptions) -> None:
        """Raise ConfigError if the block or one of its sections is invalid."""
        self._url, key = api.address(block), api.key(block)
        options = self._options = options_of(block, IrisOptions)
        self._severities, self._iocs = (
            {**SEVERITY_IDS, **options.severity_ids},
            {**IOC_TYPE_IDS, **options.ioc_type_ids},
        )
        self._statuses = statuses
        self._messages = MessageRenderer(block, self.markup, LIMITS, choices)
        self._headers = {"content-type": "application/json", "authorization": f"Bearer {key.reveal()}"}

    def build_calls(self, alert: Alert) -> Sequence[Request]:
        """Return the search and the POST. Raises NotSendable if the alert has no rule with a level."""
        body = json_body(self._alert(alert, fields_of(alert)))
        wanted = {
            "source_reference": alert.delivery_id,
            "alert_source": self._options.source,
            "sort": "desc",
            "fields": "alert_id,alert_source_ref",
            "per_page": str(SEARCH_SIZE),
        }
        url = self._url.reveal()
        return (
            Request(
                method=SEARCHED,
                url=f"{url}/alerts/filter",
                headers=self._headers,
                params=wanted,
                max_body_bytes=MAX_REPORT_BYTES,
            ),
            Request(method="POST", url=f"{url}/alerts/add", headers=self._headers, body=body, is_once=True),
        )

    def interpret(self, alert: Alert, call: Request, response: Response) -> Outcome:  # noqa: ARG002 — interface of Service
        """Return the meaning of the status and of IRIS' own `status`."""
        outcome = self._statuses.classify(response)
        if isinstance(outcome, Delivered) and (call.method == SEARCHED or not response.is_cut):
            answer = _document(response)
            if answer.get("status") != "success" or (call.method == SEARCHED and _found(answer) is None):
                return Retry(
                    Reason.INVALID_RESPONSE, f"it is not the response of IRIS: {self._statuses.detail(response)}"
                )
        if response.status == BAD_REQUEST and _NO_SUCH_ID.search(response.body, 0, MAX_ERROR_BYTES):
            return Retry(Reason.GONE, self._statuses.detail(response))
        return outcome

    def interpret_failure(self, alert: Alert, call: Request, error: TransportError) -> Outcome:  # noqa: ARG002 — as above
        """Retry, unless a retry cannot help."""
        return failure_outcome(error)

    def next_calls(
        self, alert: Alert, call: Request, response: Response, planned: Sequence[Request]
    ) -> Sequence[Request]:
        """Return the POST, unless the search has found the alert."""
        found = _found(_document(response)) if call.method == SEARCHED else ()
        is_there = any(get(one, "alert_source_ref") == alert.delivery_id for one in found or ())
        return () if is_there else planned

    def _alert(self, alert: Alert, fields: Fields) -> dict[str, Any]:
        """Return the alert in IRIS' form."""
        options = self._options
        word = severity(fields)
        message = self._messages.render(alert, fields)
        filed: dict[str, Any] = {
            "alert_title": message.title,
            "alert_description": document(message, self.markup) or message.title,
            "alert_source": options.source,
            "alert_source_ref": alert.delivery_id,
            "alert_source_link": message.link,
            "alert_severity_id": self._severities[word],
            "alert_status_id": options.status_id,
            "alert_customer_id": options.customer_id,
            "alert_tags": ",".join(_tags(options.tags, fields)),
            "alert_source_content": fields if _is_short(fields) else {"courier": "the alert is too long to be kept"},
        }
        if moment := moment_of(fields):
            filed["alert_source_event_time"] = moment.strftime("%Y-%m-%dT%H:%M:%S.%f")  # IRIS keeps UTC without a zone
        if options.classification_id:
            filed["alert_classification_id"] = options.classification_id
        if options.iocs and (found := observables(fields)):
            filed["alert_iocs"] = [
                {
                    "ioc_value": one.value,
                    "ioc_description": one.place,
                    "ioc_type_id": self._iocs[one.kind],
                    "ioc_tlp_id": options.tlp_id,
                    "ioc_tags": "wazuh",
                }
                for one in found
            ]
        return filed


def _is_short(fields: Fields) -> bool:
    try:
        return len(write_json(fields)) <= MAX_CONTENT_CHARS
    except ValueError:
        return False


def _tags(own: Sequence[str], fields: Fields) -> list[str]:
    """Return the operator's tags, the rule and its groups; a comma would begin another tag."""
    groups = get(fields, "rule", "groups")
    found = [*own, f"rule={text_of(get(fields, 'rule', 'id'))}"]
    found += map(text_of, groups[:MAX_GROUPS] if isinstance(groups, list) else ())
    clean = (one_line(readable(one[:1_000]).replace(",", " "))[:MAX_TAG_CHARS] for one in found)
    return list(dict.fromkeys(filter(None, clean)))


def _document(response: Response) -> dict[str, Any]:
    """Return the response's JSON object, an empty one if it has none."""
    try:
        answer = parse_json(response)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _found(answer: dict[str, Any]) -> list[Any] | None:
    """Return the alerts of a search, None if it is no result of one."""
    alerts = get(answer, "data", "alerts")
    return alerts if isinstance(alerts, list) else None
