"""Celery's remote control, reduced to the questions that Flower asks.

Whoever may publish in Redis can send these commands, Flower's own user included. Celery's others end a worker
(`shutdown`), stop its deliveries (`rate_limit`, `cancel_consumer`, `pool_shrink`) or make it consume anything
(`add_consumer`), so they are unregistered, and a message that asks for one does not reach Celery.
"""

from __future__ import annotations

import base64
from typing import Annotated, Final, Literal

import msgspec
from celery.worker.control import Panel

from common.broker.task_message import envelope

ALLOWED: Final = frozenset(
    {"ping", "stats", "active", "reserved", "scheduled", "registered", "active_queues", "conf", "report"}
)
"""What is answered: it reads the state of the worker and changes nothing. Arguments are not passed on."""

SENT_BY_FLOWER: Final = frozenset({"heartbeat", "enable_events", "revoked"})
"""Ignored without a warning: Flower sends them by itself, and shows the same without an answer."""

MAX_MESSAGE_BYTES: Final = 64 * 1024
"""Longest message that is parsed. Flower's have some 600 bytes; a list of destinations may make one longer."""

_Uuid = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f-]{36}$")]


class ReplyTo(msgspec.Struct, frozen=True):
    """Where the answer goes: the queue of whoever asked."""

    exchange: Literal["reply.celery.pidbox"]
    routing_key: _Uuid


class Command(msgspec.Struct, frozen=True):
    """One question. Without `destination` it is for every worker; Celery's patterns are not supported."""

    method: str
    destination: list[str] | None = None
    pattern: None = None
    matcher: None = None
    ticket: _Uuid | None = None
    reply_to: ReplyTo | None = None

    def addresses(self, hostname: str) -> bool:
        """Return whether the command is for the worker of this name."""
        return not self.destination or hostname in self.destination


class _Properties(msgspec.Struct):
    body_encoding: Literal["base64"]


class _Envelope(msgspec.Struct):
    body: str
    properties: _Properties


_envelope: Final = msgspec.json.Decoder(_Envelope)
_command: Final = msgspec.json.Decoder(Command)


def decode(raw: bytes) -> Command | None:
    """Return the command of a message, None for anything that is none (Celery's pidbox, kombu.pidbox.Mailbox)."""
    if len(raw) > MAX_MESSAGE_BYTES:
        return None
    try:
        return _command.decode(base64.b64decode(_envelope.decode(raw).body, validate=True))
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def encode(command: Command) -> bytes:
    """Return the message that Celery is given for a command: without arguments, and with no clock to follow."""
    body = {"method": command.method, "ticket": command.ticket, "reply_to": command.reply_to}
    return envelope(body, {}, correlation_id=command.ticket or "")


def unregister_others() -> None:
    """Unregister every command of Celery's that is not allowed; for the whole process."""
    for name in set(Panel.data) - ALLOWED:
        del Panel.data[name]
