"""The gate in front of Flower's memory: of what Redis publishes as events, only what a worker of Courier sends passes.

Whoever may publish in Redis can send an event. Flower keeps every field of one as it is, so that a single heartbeat
with a text in place of a number would make its pages fail until the restart, and a compressed message could take
gigabytes. What passes is built anew from fields of known names, types and lengths.
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
"""Longest message that is parsed. Celery sends events of tasks together, at most some 1,000 of up to 3 kB."""

LOG_INTERVAL_S: Final = 60.0

_MAX_NUMBER: Final = 2**53
"""The largest whole number that a browser's JSON holds (RFC 8259, 6)."""

_MAX_TIME_S: Final = 253_402_300_799
"""The last second of the year 9999, which is the last that Python's datetime knows."""

_Count = Annotated[int, msgspec.Meta(ge=0, le=_MAX_NUMBER)]
_Seconds = Annotated[float, msgspec.Meta(ge=0, le=_MAX_TIME_S)]
_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=255, pattern=r"""^[^\s<>&"']+$""")]
_Id = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_ID_CHARS, pattern=r"^[A-Za-z0-9_.:@-]+$")]
_Word = Annotated[str, msgspec.Meta(max_length=64)]
_Shown = Annotated[str, msgspec.Meta(max_length=8192)]
"""Celery cuts arguments and results at 1,024 characters (`argsrepr_maxsize`, `resultrepr_maxsize`)."""
_Traceback = Annotated[str, msgspec.Meta(max_length=65_536)]


class _Event(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What every event has (Celery, "Monitoring and Management Guide", "Event Reference")."""

    hostname: _Name
    timestamp: _Seconds
    clock: _Count
    utcoffset: Annotated[float, msgspec.Meta(ge=-24, le=24)]
    pid: _Count | None = None

    def __post_init__(self) -> None:
        if not self.hostname.isprintable():
            raise ValueError("a name that a terminal or a browser would not show")


class WorkerEvent(_Event, kw_only=True, omit_defaults=True):
    """A worker tells that it runs, and what it is at."""

    type: Literal["worker-online", "worker-heartbeat", "worker-offline"]
    freq: Annotated[float, msgspec.Meta(gt=0, le=3600)] | None = None
    active: _Count | None = None
    processed: _Count | None = None
    loadavg: tuple[_Seconds, _Seconds, _Seconds] | None = None
    sw_ident: _Word | None = None
    sw_ver: _Word | None = None
    sw_sys: _Word | None = None


class TaskEvent(_Event, kw_only=True, omit_defaults=True):
    """A task of Courier's has got to the next state."""

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
            raise ValueError("no repr, as which Celery sends these")


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
    """Return the events of a message that a worker could have sent, as Celery takes them, and how many others it had.

    A message that cannot be read counts as one.
    """
    if len(raw) > MAX_MESSAGE_BYTES:
        return [], 1
    try:
        body = msgspec.json.decode(base64.b64decode(_envelope.decode(raw).body, validate=True))
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return [], 1
    found = body if isinstance(body, list) else [body]
    passed = list(_valid(found))
    return passed, len(found) - len(passed)


def _valid(found: list[Any]) -> Iterator[dict[str, Any]]:
    for one in found:
        kind = one.get("type") if isinstance(one, dict) else None
        shape = TaskEvent if isinstance(kind, str) and kind.startswith("task-") else WorkerEvent
        try:
            event: dict[str, Any] = msgspec.to_builtins(msgspec.convert(one, shape))
        except (msgspec.ValidationError, RecursionError):
            continue
        yield event


class EventGate:
    """Hands on events, and logs at most once a minute how many it has dropped. `now` is a clock in seconds."""

    def __init__(self, log: logging.Logger, now: Callable[[], float] = monotonic) -> None:
        self._log, self._now = log, now
        self._dropped, self._logged_at_s = 0, -math.inf

    def message(self, raw: bytes) -> bytes:
        """Return the message to hand to Celery in place of `raw`, b"" to drop it."""
        events, dropped = decode(raw)
        self._dropped += dropped
        if self._dropped and self._now() - self._logged_at_s >= LOG_INTERVAL_S:
            self._log.warning("Flower ignores events that no worker of Courier sends", extra={"dropped": self._dropped})
            self._dropped, self._logged_at_s = 0, self._now()
        return envelope(events, {}) if events else b""

    def amqp(self) -> type[AMQP]:
        """Return the messaging for `make_app` that receives events through this gate."""
        gate = self

        class Gated:
            """Before both of kombu's channels to Redis; Flower subscribes to nothing but events."""

            def _handle_message(self, client: Any, reply: Any) -> dict[str, Any]:
                payload: dict[str, Any] = super()._handle_message(client, reply)  # type: ignore[misc]  # the channel's
                if payload["type"] in {b"message", b"pmessage"}:
                    payload["data"] = gate.message(payload["data"])  # kombu passes over a message without data
                return payload

        return amqp_with(Gated)
