"""The queue message of a task. `Dispatcher` publishes only this form, so workers accept only this form.

A client that can write to Redis can put any bytes into a queue. Celery and kombu trust messages: they obey compression,
ETA, callbacks and task name, and an unexpected type in a header stops the consumer. So they never see a message before
`decode` accepts it, and then they see a new one: `encode` builds it only from the accepted ids.

The format is message protocol 2 of Celery ("Message Protocol" in its internals guide) inside the JSON envelope of
kombu's virtual transports (`kombu.transport.virtual.base.Message.serializable`).
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import msgspec

from common.ledger.record import MAX_ID_CHARS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DELIVER: Final = "courier.deliver"
"""The name of the only task: `deliver(integration_id, delivery_ids)`.

Within a worker it can have a third argument: further ids by integration, from other messages.
"""

MAX_MESSAGE_BYTES: Final = 512 * 1024
"""Maximum size of a message that is parsed. The largest published one has 1,000 ids (the limit of `batch_max`) of about
150 bytes each, in base64."""

_ARGSREPR_CHARS: Final = 1024
"""Maximum length of the arguments that Flower shows; the same limit as Celery's `argsrepr_maxsize`."""


_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_ID_CHARS)]
_Ids = Annotated[list[_Text], msgspec.Meta(min_length=1, max_length=1000)]


class Task(msgspec.Struct, frozen=True):
    """One task: its Celery id, the integration and the ids of its deliveries."""

    task_id: str
    integration_id: str
    delivery_ids: list[str]


class _Headers(msgspec.Struct):
    """The checked headers. All other headers are dropped."""

    id: _Text
    task: Literal["courier.deliver"]
    eta: None = None
    expires: None = None
    group: None = None
    timelimit: tuple[None, None] = (None, None)
    retries: Literal[0] = 0
    compression: None = None


class _Properties(msgspec.Struct):
    body_encoding: Literal["base64"]


class _Envelope(msgspec.Struct, rename={"content_type": "content-type", "content_encoding": "content-encoding"}):
    body: str
    content_type: Literal["application/json"]
    content_encoding: Literal["utf-8"]
    headers: _Headers
    properties: _Properties


class _Embedded(msgspec.Struct):
    """Tasks that Celery would call after this one. All must be empty, otherwise the message is rejected."""

    callbacks: None = None
    errbacks: None = None
    chain: None = None
    chord: None = None


class _NoKeywords(msgspec.Struct, forbid_unknown_fields=True):
    pass


_envelope: Final = msgspec.json.Decoder(_Envelope)
_body: Final = msgspec.json.Decoder(tuple[tuple[_Text, _Ids], _NoKeywords, _Embedded])
_encoder: Final = msgspec.json.Encoder()
_NO_CALLBACKS: Final = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}


def queue_name(integration_id: str) -> str:
    """Return the name of an integration's Celery queue, which is also the Redis key of its list.

    kombu's Redis transport takes messages from the tail of that list, so they are pushed to its head.
    """
    return f"courier.{integration_id}"


def decode(raw: bytes) -> Task | None:
    """Return the task of a queue message, None for any message that `Dispatcher` would not publish."""
    if len(raw) > MAX_MESSAGE_BYTES:
        return None
    try:
        envelope = _envelope.decode(raw)
        (integration_id, ids), *_ = _body.decode(base64.b64decode(envelope.body, validate=True))
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return Task(envelope.headers.id, integration_id, ids)


def encode(task: Task, more: Mapping[str, Sequence[str]] | None = None) -> bytes:
    """Return the message of a task, which the dispatcher publishes and Celery's consumer gets.

    `more` holds ids of further integrations. Only a worker adds them, for Celery in its own process: `decode` rejects
    them, because whoever can write to one queue must not reach other integrations.
    """
    arguments = (task.integration_id, task.delivery_ids, *([more] if more else ()))
    headers = {
        "lang": "py",
        "task": DELIVER,
        "id": task.task_id,
        "root_id": task.task_id,
        "argsrepr": repr(arguments)[:_ARGSREPR_CHARS],
        "kwargsrepr": "{}",
        "ignore_result": True,
    }
    return envelope((arguments, {}, _NO_CALLBACKS), headers, correlation_id=task.task_id)


def envelope(body: Any, headers: dict[str, Any], *, correlation_id: str = "") -> bytes:
    """Return `body` (any JSON value) in kombu's envelope, with only these headers."""
    return _encoder.encode(
        {
            "body": base64.b64encode(_encoder.encode(body)).decode(),
            "content-type": "application/json",
            "content-encoding": "utf-8",
            "headers": headers,
            "properties": {
                "correlation_id": correlation_id,
                "delivery_info": {},
                "delivery_tag": correlation_id,
                "body_encoding": "base64",
            },
        }
    )
