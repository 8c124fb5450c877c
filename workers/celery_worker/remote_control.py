"""Celery's remote control, reduced to the queries that Flower sends.

Every Redis user that may publish can send these commands, Flower's own user included. Celery's other commands stop a
worker (`shutdown`), stop its deliveries (`rate_limit`, `cancel_consumer`, `pool_shrink`) or make it consume any queue
(`add_consumer`). Courier unregisters them, and drops messages with them before Celery reads them.
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
"""Commands that the worker answers: they read its state and change nothing. Arguments are not passed on."""

SENT_BY_FLOWER: Final = frozenset({"heartbeat", "enable_events", "revoked"})
"""Ignored without a warning: Flower sends them automatically and does not need a reply."""

MAX_MESSAGE_BYTES: Final = 64 * 1024
"""Longest message that is parsed. Flower's messages have about 600 bytes; a list of destinations adds to that."""

_Uuid = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f-]{36}$")]


class ReplyTo(msgspec.Struct, frozen=True):
    """The reply queue of the sender."""

    exchange: Literal["reply.celery.pidbox"]
    routing_key: _Uuid


class Command(msgspec.Struct, frozen=True):
    """One command. Without `destination` it is for every worker. Celery's patterns are not supported."""

    method: str
    destination: list[str] | None = None
    pattern: None = None
    matcher: None = None
    ticket: _Uuid | None = None
    reply_to: ReplyTo | None = None

    def addresses(self, hostname: str) -> bool:
        """Return whether the command is for the worker with this hostname."""
        return not self.destination or hostname in self.destination


class _Properties(msgspec.Struct):
    body_encoding: Literal["base64"]


class _Envelope(msgspec.Struct):
    body: str
    properties: _Properties


_envelope: Final = msgspec.json.Decoder(_Envelope)
_command: Final = msgspec.json.Decoder(Command)


def decode(raw: bytes) -> Command | None:
    """Return the command in a message, None if it is invalid (format: kombu.pidbox.Mailbox)."""
    if len(raw) > MAX_MESSAGE_BYTES:
        return None
    try:
        return _command.decode(base64.b64decode(_envelope.decode(raw).body, validate=True))
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def encode(command: Command) -> bytes:
    """Return the message that Celery gets for a command: without arguments and without a logical clock."""
    body = {"method": command.method, "ticket": command.ticket, "reply_to": command.reply_to}
    return envelope(body, {}, correlation_id=command.ticket or "")


def unregister_others() -> None:
    """Unregister every Celery command that is not in ALLOWED, for the whole process."""
    for name in set(Panel.data) - ALLOWED:
        del Panel.data[name]
