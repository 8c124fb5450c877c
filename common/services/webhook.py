"""What `[integrations.ID.webhook]` can say: the body, the request around it, and what counts as success."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Final

import msgspec

from common.errors import ConditionError
from common.secret import MASK, Secret
from common.services.declaration import Declaration
from common.settings.definition import non_empty, secret_or_reference
from common.settings.secret_values import http_headers, is_reference
from common.settings.template_values import template_file, template_text
from common.settings.values import Reader, integer, one_of, quoted
from common.templates.source import TemplateSource

if TYPE_CHECKING:
    from collections.abc import Iterator

    from common.integration import Integration

MAX_SIGNING_SECRETS: Final = 2
"""The former and the new one, while the receiver changes over."""

SIGNING_PREFIX: Final = "whsec_"
SIGNING_BYTES: Final = range(24, 65)
"""Bytes of a signing secret (github.com/standard-webhooks, spec, "Symmetric")."""

RESERVED_HEADERS: Final = frozenset(
    {
        *("connection", "content-length", "host", "idempotency-key", "transfer-encoding"),
        *("webhook-id", "webhook-signature", "webhook-timestamp"),
    }
)

_STATUS: Final = re.compile(r"[1-5]xx")


class Format(StrEnum):
    """What the body is, if it is not that of a template."""

    WAZUH = "wazuh"
    CLOUDEVENTS = "cloudevents"
    ALERTMANAGER = "alertmanager"
    OCSF = "ocsf"


class Method(StrEnum):
    """The methods that have a body."""

    POST = "POST"
    PUT = "PUT"
    PATCH = "PATCH"


def statuses() -> Reader[tuple[str, ...]]:
    """Read a list of HTTP statuses, such as `[200, "3xx"]`."""

    def parse(raw: object) -> tuple[str, ...]:
        items = raw if isinstance(raw, list) else [raw]
        return tuple(map(_status, items))

    return Reader('a list of statuses, such as [200, 202] or ["2xx", 409]', parse, list)


def signing_secrets() -> Reader[tuple[Secret, ...]]:
    """Read a secret of Standard Webhooks, or two while it is changed."""
    one = secret_or_reference()

    def parse(raw: object) -> tuple[Secret, ...]:
        items = raw if isinstance(raw, list) else [raw]
        if not 1 <= len(items) <= MAX_SIGNING_SECRETS:
            raise ValueError(f"there are {len(items)} secrets")
        return tuple(map(one.parse, items))

    def show(secrets: tuple[Secret, ...]) -> list[str]:
        return [secret.reveal() if is_reference(secret.reveal()) else MASK for secret in secrets]

    return Reader('"whsec_…", "env:NAME" or "file:PATH", or a list of two of them', parse, show)


class BatchFormat(StrEnum):
    """How several alerts are one body."""

    ARRAY = "array"
    NDJSON = "ndjson"


class WebhookOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The options of a webhook. `body`, or `template` for a file, replaces `format`.

    From `batch` 2 on a request holds a list, even of a single alert.
    """

    format: Annotated[Format | None, one_of(Format)] = None
    body: Annotated[TemplateSource | None, template_text()] = None
    template: Annotated[TemplateSource | None, template_file()] = None
    method: Annotated[Method, one_of(Method)] = Method.POST
    headers: Annotated[Mapping[str, Secret], http_headers(RESERVED_HEADERS)] = {}
    signing_secret: Annotated[tuple[Secret, ...], signing_secrets()] = ()
    success: Annotated[tuple[str, ...], statuses()] = ("2xx",)
    success_if: Annotated[str | None, non_empty()] = None
    batch: Annotated[int, integer(1, 1000)] = 1
    batch_format: Annotated[BatchFormat, one_of(BatchFormat)] = BatchFormat.ARRAY


def signing_key(secret: Secret) -> bytes:
    """Return the key of a signing secret. Raises ValueError, which does not quote it."""
    try:
        key = b64decode(secret.reveal().strip().removeprefix(SIGNING_PREFIX), validate=True)
    except ValueError:
        raise ValueError(f"is not base64: write {SIGNING_PREFIX} and the base64 of the secret") from None
    if len(key) not in SIGNING_BYTES:
        raise ValueError(
            f"has {len(key)} bytes: Standard Webhooks asks for {SIGNING_BYTES.start} to {SIGNING_BYTES.stop - 1}"
        )
    return key


def check(integration: Integration, options: WebhookOptions) -> Iterator[tuple[str, str]]:  # noqa: ARG001 — an interface
    """Yield what contradicts what."""
    bodies = [name for name in ("format", "body", "template") if getattr(options, name) is not None]
    if len(bodies) > 1:
        yield bodies[1], f"excludes {bodies[0]}: write one of format, body and template"
    if options.batch > 1 and options.format is Format.ALERTMANAGER:
        yield "batch", 'excludes format = "alertmanager": its receivers do not take lists'
    for secret in options.signing_secret:
        try:
            signing_key(secret)
        except ValueError as error:
            yield "signing_secret", f"{MASK} {error}"
    if options.success_if is not None:
        from common.conditions import parse_condition  # noqa: PLC0415 — slow to import, and few processes need it

        try:
            parse_condition(options.success_if)
        except ConditionError as error:
            yield "success_if", str(error)


DECLARATION: Final = Declaration(
    required=("hook_url",), options=WebhookOptions, check=check, json_templates=frozenset({"body", "template"})
)


def _status(raw: object) -> str:
    text = str(raw).lower()
    if isinstance(raw, bool) or not (_STATUS.fullmatch(text) or (text.isdecimal() and 100 <= int(text) <= 599)):  # noqa: PLR2004 — the statuses of HTTP
        raise ValueError(f"{quoted(raw)} is not a status of HTTP")
    return text
