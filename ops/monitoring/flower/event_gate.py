"""Validates the events that Flower receives from Redis: only events that a Courier worker can send pass.

Every Redis user that may publish can send an event. Flower stores all its fields unchecked: one heartbeat with a string
in place of a number makes its pages fail until it restarts, and a compressed message can use gigabytes of memory. The
gate therefore builds each event again from fields of known names, types and lengths.
"""

from __future__ import annotations

import base64
import math
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import msgspec

from common.broker.gated import amqp_with
from common.broker.task_message import envelope
from common.ledger.record import MAX_ID_CHARS

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Iterator

    from celery.app.amqp import AMQP

MAX_MESSAGE_BYTES: Final = 4 * 2**20
"""The longest message that is parsed. Celery sends task events in batches of about 1,000, each up to 3 kB."""

LOG_INTERVAL_S: Final = 60.0

_MAX_NUMBER: Final = 2**53
"""The largest integer that JSON in a browser represents exactly (RFC 8259, 6)."""

_MAX_TIME_S: Final = 253_402_300_799
"""The last second of the year 9999, the maximum of Python's datetime."""

_Count = Annotated[int, msgspec.Meta(ge=0, le=_MAX_NUMBER)]
_Seconds = Annotated[float, msgspec.Meta(ge=0, le=_MAX_TIME_S)]
_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=255, pattern=r"""^[^\s<>&"']+$""")]
_Id = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_ID_CHARS, pattern=r"^[A-Za-z0-9_.:@-]+$")]
_Word = Annotated[str, msgspec.Meta(max_length=64)]
_Shown = Annotated[str, msgspec.Meta(max_length=8192)]
"""Celery truncates arguments and results at 1,024 characters (`argsrepr_maxsize`, `resultrepr_maxsize`)."""
_Traceback = Annotated[str, msgspec.Meta(max_length=65_536)]


class _Event(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The fields of every event (Celery, "Monitoring and Management Guide", "Event Reference")."""

    hostname: _Name
    timestamp: _Seconds
    clock: _Count
    utcoffset: Annotated[float, msgspec.Meta(ge=-24, le=24)]
    pid: _Count | None = None

    def __post_init__(self) -> None:
        if not self.hostname.isprintable():
            raise ValueError("hostname has unprintable characters")


class WorkerEvent(_Event, kw_only=True, omit_defaults=True):
    """Reports that a worker runs, and its load."""

    type: Literal["worker-online", "worker-heartbeat", "worker-offline"]
    freq: Annotated[float, msgspec.Meta(gt=0, le=3600)] | None = None
    active: _Count | None = None
    processed: _Count | None = None
    loadavg: tuple[_Seconds, _Seconds, _Seconds] | None = None
    sw_ident: _Word | None = None
    sw_ver: _Word | None = None
    sw_sys: _Word | None = None


class TaskEvent(_Event, kw_only=True, omit_defaults=True):
    """Reports that a task of Courier reached its next state."""

    type: Literal["task-received", "task-started", "task-succeeded", "task-failed", "task-retried", "task-rejected"]
    uuid: _Id
    name: Literal["courier.deliver"] | None = None
    args: _Shown | None = None
    kwargs: _Shown | None = None
    result: _Shown | None = None
    exception: _Shown | None = None
    traceback: _Traceback | None = None
    runtime: _Seconds | None = None
    retries: _Count | None = None
    root_id: _Id | None = None
    parent_id: _Id | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not all(text.isprintable() for text in (self.args, self.kwargs, self.result, self.exception) if text):
            raise ValueError("not a repr, which is how Celery sends these fields")


class _Headers(msgspec.Struct):
    compression: None = None


class _Properties(msgspec.Struct):
    body_encoding: Literal["base64"]


class _Envelope(msgspec.Struct):
    body: str
    properties: _Properties
    headers: _Headers = msgspec.field(default_factory=_Headers)


_envelope: Final = msgspec.json.Decoder(_Envelope)


def decode(raw: bytes) -> tuple[list[dict[str, Any]], int]:
    """Return the valid events of a message, as Celery expects them, and the number of invalid ones.

    A message that cannot be parsed counts as one invalid event.
    """
    if len(raw) > MAX_MESSAGE_BYTES:
        return [], 1
    try:
        body = msgspec.json.decode(base64.b64decode(_envelope.decode(raw).body, validate=True))
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return [], 1
    events = body if isinstance(body, list) else [body]
    valid = list(_valid(events))
    return valid, len(events) - len(valid)


def _valid(events: list[Any]) -> Iterator[dict[str, Any]]:
    for one in events:
        kind = one.get("type") if isinstance(one, dict) else None
        shape = TaskEvent if isinstance(kind, str) and kind.startswith("task-") else WorkerEvent
        try:
            event: dict[str, Any] = msgspec.to_builtins(msgspec.convert(one, shape))
        except (msgspec.ValidationError, RecursionError):
            continue
        yield event


class EventGate:
    """Passes valid events on and logs the number of dropped events at most once a minute. `now` returns seconds."""

    def __init__(self, log: logging.Logger, now: Callable[[], float] = monotonic) -> None:
        self._log, self._now = log, now
        self._dropped, self._logged_at_s = 0, -math.inf

    def message(self, raw: bytes) -> bytes:
        """Return the message to pass to Celery in place of `raw`; b"" drops it."""
        events, dropped = decode(raw)
        self._dropped += dropped
        # Not a `Condition`, which logs a beginning and an end: invalid events have a number and no end.
        if self._dropped and self._now() - self._logged_at_s >= LOG_INTERVAL_S:
            self._log.warning("Flower ignored invalid events", extra={"dropped": self._dropped})
            self._dropped, self._logged_at_s = 0, self._now()
        return envelope(events, {}) if events else b""

    def amqp(self) -> type[AMQP]:
        """Return the AMQP class for `make_app` that receives events through this gate."""
        gate = self

        class Gated:
            """A mix-in for both of kombu's Redis channels; Flower subscribes to events only."""

            def _handle_message(self, client: Any, reply: Any) -> dict[str, Any]:
                payload: dict[str, Any] = super()._handle_message(client, reply)  # type: ignore[misc]  # the channel's
                if payload["type"] in {b"message", b"pmessage"}:
                    payload["data"] = gate.message(payload["data"])  # kombu ignores a message without data
                return payload

        return amqp_with(Gated)
