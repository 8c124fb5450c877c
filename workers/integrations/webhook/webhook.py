"""A webhook: sends each alert as JSON to any address, in a known format or as the operator's own document.

The status decides, as everywhere, unless `success` lists other statuses or `success_if` has a condition about the
response. A response that does not fulfil them is retried: it may be an error of the receiver that it reports with 200.

Each request has the delivery's id as `webhook-id` and as `idempotency-key`, the same one in each attempt, so that a
receiver can recognise a repeated delivery. With `batch`, first attempts are sent in lists with an id of their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from common.conditions import compile_condition, parse_condition
from common.errors import ConditionError, TemplateError
from common.exact_json import read_json
from common.outcome import Delivered, Reason, Retry
from common.services.sections import options_of
from common.services.webhook import Format, WebhookOptions, signing_key
from workers.calls import Request
from workers.integrations.base import failure_outcome
from workers.integrations.helpers import config
from workers.integrations.helpers.alert_fields import fields_of, json_body, require_level
from workers.integrations.helpers.json_response import json_object
from workers.integrations.webhook.formats import CONTENT_TYPES, FORMATS, JSON_TYPE, Origin
from workers.integrations.webhook.joint import id_of_list, join, list_type, wrap
from workers.integrations.webhook.signature import signature_headers
from workers.message.markup import NONE as NO_MARKUP
from workers.message.renderer import variables

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from common.errors import TransportError
    from common.integration import Integration
    from common.outcome import Outcome
    from common.templates.environment import Template
    from workers.alert.alert import Alert
    from workers.calls import Response
    from workers.integrations.helpers.alert_fields import Fields
    from workers.integrations.helpers.http_status import StatusClassifier
    from workers.integrations.helpers.service_options import ServiceOptions

MAX_BODY_CHARS: Final = 1024 * 1024
"""Characters of a body that a template makes. It may contain the whole alert."""

MAX_BATCH_BYTES: Final = 1_000_000
"""Bytes of a list of alerts; the bodies that web servers take end at 1 MiB (nginx, client_max_body_size)."""

ID: Final = "webhook-id"
VARYING: Final = frozenset({ID, "idempotency-key", "webhook-timestamp", "webhook-signature"})
"""The headers of `_identity`."""

NOTE: Final = "courier"
"""The member of the alert in which Courier says why it does not send the operator's document."""


class Webhook:
    """One webhook. Needs hook_url."""

    markup = NO_MARKUP
    max_batch_bytes = MAX_BATCH_BYTES

    def __init__(self, block: Integration, statuses: StatusClassifier, choices: ServiceOptions) -> None:
        """Raise ConfigError if the block or its section is invalid."""
        self._url = config.hook_url(block)
        self._statuses = statuses
        options = options_of(block, WebhookOptions)
        self._method, self._success = str(options.method), frozenset(options.success)
        self._format = options.format or Format.WAZUH
        self.batch, self._batch_format = options.batch, options.batch_format
        self._headers = {name: value.reveal() for name, value in options.headers.items()}
        self._on_render = choices.on_render
        self._origin = Origin(block.id, choices.dashboard_url)
        try:
            self._keys = [signing_key(secret) for secret in options.signing_secret]
            self._template = _compiled(options)
            self._succeeded = _test(options.success_if)
        except (ValueError, TemplateError, ConditionError) as error:
            raise config.config_error(block, "webhook", str(error)) from None

    def build_calls(self, alert: Alert) -> Sequence[Request]:
        """Return the one request. Raises NotSendable if the alert has no rule with a level."""
        fields = fields_of(alert)
        require_level(fields)
        body, content_type = self._body(alert, fields)
        if self.batch > 1:
            body, content_type = wrap(body, self._batch_format), list_type(content_type, self._batch_format)
        named = {name.lower() for name in self._headers}
        headers = {
            **({} if "content-type" in named else {"content-type": content_type}),
            **self._headers,
            **self._identity(alert.delivery_id, body),
        }
        return (Request(method=self._method, url=self._url.reveal(), headers=headers, body=body, varying=VARYING),)

    def join(self, calls: Sequence[Request]) -> Request:
        """Return one request with all alerts, and an id of its own."""
        if len(calls) == 1:
            return calls[0]
        body = join([call.body or b"" for call in calls], self._batch_format)
        headers = {**calls[0].headers, **self._identity(id_of_list([call.headers[ID] for call in calls]), body)}
        return msgspec.structs.replace(calls[0], headers=headers, body=body)

    def culprit(self, response: Response) -> None:
        """Return nothing: no receiver says which alert it does not take."""

    def interpret(self, alert: Alert, call: Request, response: Response) -> Outcome:  # noqa: ARG002 — interface of Service
        """Return the meaning of the status, and of the response if there is a condition about it."""
        if not self._success & {str(response.status), f"{response.status // 100}xx"}:
            outcome = self._statuses.classify(response)
            return self._not_fulfilled("success", response) if isinstance(outcome, Delivered) else outcome
        if self._succeeded and not self._succeeded(json_object(response)):
            return self._not_fulfilled("success_if", response)
        return Delivered()

    def interpret_failure(self, alert: Alert, call: Request, error: TransportError) -> Outcome:  # noqa: ARG002 — as above
        """Retry, unless a retry cannot help."""
        return failure_outcome(error)

    def _identity(self, identity: str, body: bytes) -> dict[str, str]:
        """Return the headers that identify and sign a request."""
        signed = signature_headers(self._keys, identity, body, self._statuses.now_s())
        return {ID: identity, "idempotency-key": identity, **signed}

    def _not_fulfilled(self, option: str, response: Response) -> Retry:
        return Retry(Reason.INVALID_RESPONSE, f"not what {option} asks for: {self._statuses.detail(response)}")

    def _body(self, alert: Alert, fields: Fields) -> tuple[bytes, str]:
        """Return the body and its type. If the template fails on this alert, the body is the alert, with a note."""
        if self._template is None:
            return json_body(FORMATS[self._format](alert, fields, self._origin)), CONTENT_TYPES[self._format]
        try:
            text = self._template.render(variables(alert, fields, self._origin.integration))
            read_json(text)
            self._on_render(len(self._template.missing), failed=False)
            return text.encode(), JSON_TYPE
        except TemplateError as error:
            problem = str(error)
        except ValueError:
            problem = "the template does not give valid JSON for this alert"
        self._on_render(0, failed=True)
        own = fields.get(NOTE)
        note = {**(own if isinstance(own, dict) else {}), "note": f"Courier sends the whole alert: {problem}"}
        return json_body({**fields, NOTE: note}), JSON_TYPE


def _compiled(options: WebhookOptions) -> Template | None:
    source = options.template or options.body
    if source is None:
        return None
    from common.templates.environment import Compiler  # noqa: PLC0415 — Jinja2 is slow to import, and not always needed

    return Compiler(as_json=True, max_chars=MAX_BODY_CHARS).compile(source)


def _test(condition: str | None) -> Callable[[dict[str, Any]], bool] | None:
    return None if condition is None else compile_condition(parse_condition(condition))
