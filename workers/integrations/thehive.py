"""TheHive 5: each alert becomes an alert of TheHive.

One POST to /api/v1/alert. `sourceRef` is the delivery's id, and TheHive takes each triple of type, source and sourceRef
once (github.com/TheHive-Project/TheHive, issues 203 and 1302): a repeated delivery is refused as one that already
exists, and so it is delivered.

    201                            delivered
    400, 409 "… already exist …"   delivered: an earlier attempt has created it
    400, 413, other 4xx            rejected: TheHive does not accept this alert
    401, 403                       retry: the key is wrong, or its user lacks the permission manageAlert/create
    404                            retry: hook_url is not the address of TheHive 5
    429, 5xx                       retry

The message of a refusal must be about the alert: TheHive 4 also refused alerts because of an observable that already
exists (issue 1963).

The page of the API (docs.strangebee.com/thehive/api-docs, "Create Alert") could not be read. A public source quotes its
limit of `type`, 32 characters (github.com/SEKOIA-IO/automation-library, pull request 511). For the other limits below,
no source was found; they are conservative. 400 and 409 are from issue 1094; no source was found for other statuses.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any, Final

from common.outcome import Delivered
from common.services.sections import options_of
from common.services.thehive import MAX_TAG_CHARS, TheHiveOptions
from common.templates.values import text_of
from workers.calls import Request
from workers.integrations.base import failure_outcome
from workers.integrations.helpers import api
from workers.integrations.helpers.alert_fields import fields_of, get, json_body, moment_of
from workers.integrations.helpers.document import document
from workers.integrations.helpers.json_response import parse_json
from workers.integrations.helpers.observables import HASH_CHARS, Kind, observables
from workers.integrations.webhook.formats import severity
from workers.message.limits import Limits
from workers.message.markup import ANY_TEXT, MARKDOWN, one_line
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
    from workers.integrations.helpers.observables import Observable
    from workers.integrations.helpers.service_options import ServiceOptions

LIMITS: Final = Limits(title=512, text=20_000, fields=25, value=2_000, total=60_000)
"""No source found for TheHive's own limits; nobody reads more."""

MAX_REF_CHARS: Final = 128
MAX_LINK_CHARS: Final = 512
"""Characters of sourceRef and externalLink; no source found, conservative."""

MAX_GROUPS: Final = 20
MAX_TECHNIQUES: Final = 10

SEVERITIES: Final = {"info": 1, "low": 1, "medium": 2, "high": 3, "critical": 4}
"""1 low, 2 medium, 3 high (docs.thehive-project.org, TheHive 3, "Alert"); 4 critical (a client of TheHive 5, see
`common/services/thehive.py`)."""

DATA_TYPES: Final = {
    **dict.fromkeys((Kind.SRCIP, Kind.DSTIP), "ip"),
    **dict.fromkeys(HASH_CHARS, "hash"),
    Kind.URL: "url",
    Kind.DOMAIN: "domain",
    Kind.USER: "other",
}
"""TheHive has types for addresses, hashes, URLs and domains (docs.strangebee.com, "About Observable Type"), not for
users. No source found for the exact names of the types."""

_REPEATED: Final = frozenset({400, 409})
_EXISTS: Final = re.compile(
    r"(?=.{0,400}\balert\b)(?!.{0,400}\bobservable\b).{0,400}\balready exists?\b", re.IGNORECASE
)

THEHIVE_MARKUP: Final = MARKDOWN._replace(escape_title=ANY_TEXT.escape)
"""A title is plain text."""


class TheHive:
    """One integration with TheHive. Needs hook_url, its address, and api_key."""

    markup: Final = THEHIVE_MARKUP

    def __init__(self, block: Integration, statuses: StatusClassifier, choices: ServiceOptions) -> None:
        """Raise ConfigError if the block or one of its sections is invalid."""
        self._url, key = api.address(block), api.key(block)
        self._options = options_of(block, TheHiveOptions)
        self._statuses = statuses
        self._messages = MessageRenderer(block, self.markup, LIMITS, choices)
        self._headers = {"content-type": "application/json", "authorization": f"Bearer {key.reveal()}"}
        if self._options.organisation:
            self._headers["x-organisation"] = self._options.organisation

    def build_calls(self, alert: Alert) -> Sequence[Request]:
        """Return the one POST. Raises NotSendable if the alert has no rule with a level."""
        body = json_body(self._alert(alert, fields_of(alert)))
        return (Request(method="POST", url=f"{self._url.reveal()}/api/v1/alert", headers=self._headers, body=body),)

    def interpret(self, alert: Alert, call: Request, response: Response) -> Outcome:  # noqa: ARG002 — interface of Service
        """Return the meaning of the status; an alert that already exists is delivered."""
        if response.status in _REPEATED and _EXISTS.match(_message_of(response)):
            return Delivered()
        return self._statuses.classify(response)

    def interpret_failure(self, alert: Alert, call: Request, error: TransportError) -> Outcome:  # noqa: ARG002 — as above
        """Retry, unless a retry cannot help."""
        return failure_outcome(error)

    def _alert(self, alert: Alert, fields: Fields) -> dict[str, Any]:
        """Return the alert in TheHive's form."""
        options = self._options
        level = SEVERITIES[severity(fields)]
        message = self._messages.render(alert, fields)
        filed: dict[str, Any] = {
            "type": options.type,
            "source": options.source,
            "sourceRef": source_ref(alert.delivery_id),
            "title": message.title,
            "description": document(message, self.markup) or message.title,
            "severity": level,
            "tags": _tags(options.tags, fields),
            "tlp": options.tlp,
            "pap": options.pap,
        }
        if moment := moment_of(fields):
            filed["date"] = round(moment.timestamp() * 1000)
        if message.link and len(message.link) <= MAX_LINK_CHARS:
            filed["externalLink"] = message.link
        if options.case_template:
            filed["caseTemplate"] = options.case_template
        if options.observables and (found := observables(fields)):
            filed["observables"] = [_observable(one) for one in found]
        return filed


def source_ref(delivery_id: str) -> str:
    """Return the delivery's id, or a hash of one that is too long."""
    if len(delivery_id) <= MAX_REF_CHARS:
        return delivery_id
    return f"courier-{hashlib.blake2b(delivery_id.encode(), digest_size=20).hexdigest()}"


def _tags(own: Sequence[str], fields: Fields) -> list[str]:
    """Return the operator's tags, and those of rule, agent, groups and MITRE techniques."""
    groups, techniques = get(fields, "rule", "groups"), get(fields, "rule", "mitre", "id")
    found = [
        *own,
        *(f"{name}={value}" for name in ("rule", "agent") if (value := text_of(_named(fields, name)))),
        *map(text_of, groups[:MAX_GROUPS] if isinstance(groups, list) else ()),
        *map(text_of, techniques[:MAX_TECHNIQUES] if isinstance(techniques, list) else ()),
    ]
    clean = (one_line(readable(one[:1_000]))[:MAX_TAG_CHARS] for one in found)
    return list(dict.fromkeys(filter(None, clean)))


def _named(fields: Fields, what: str) -> Any:
    return get(fields, "rule", "id") if what == "rule" else get(fields, "agent", "name")


def _observable(one: Observable) -> dict[str, Any]:
    return {"dataType": DATA_TYPES[one.kind], "data": one.value, "message": one.place, "tags": [one.kind.value]}


def _message_of(response: Response) -> str:
    """Return the message of a refusal such as `{"type": "CreateError", "message": "…"}`, empty if there is none."""
    try:
        text = get(parse_json(response), "message")
    except ValueError:
        return ""
    return one_line(text[:400]) if isinstance(text, str) else ""
