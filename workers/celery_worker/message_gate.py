"""The gate in front of Celery: it validates messages from Redis, drops the invalid ones and joins small ones.

It runs below kombu's parser, where the replies of Redis arrive. The gate drops a queue message that
`common.broker.task_message` rejects or that names an integration other than its queue's. It counts each one and logs
at most one a minute. The ledger releases the deliveries again when their leases expire. Of remote control, only the
commands with which Flower reads a worker's state pass.

Celery takes more CPU time for a task than a delivery does. At a steady rate over many integrations each task would
carry one delivery, so the gate joins what lies in several queues to one task (`small_tasks.py`).
"""

from __future__ import annotations

import logging
import threading
from functools import partial
from queue import Empty
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from redis import Redis
from redis.exceptions import ResponseError

from common.broker import task_message
from common.broker.gated import amqp_with
from common.broker.task_message import queue_name
from workers.celery_worker import remote_control
from workers.celery_worker.small_tasks import SmallTasks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from celery.app.amqp import AMQP

    from common.broker.task_message import Task
    from workers.celery_worker.small_tasks import QueueMessage

LOG_INTERVAL_S: Final = 60.0

CONTROL: Final = "remote control"
"""Logged and counted instead of an integration for a message of Celery's remote control."""

_WRONG_TYPE: Final = "WRONGTYPE"

_log = logging.getLogger("courier.worker")


class MessageGate:
    """Decides about each message; counts and logs those that it drops.

    `hostname` is the worker's name in Celery, the destination of remote control. `on_drop` is called for each dropped
    message with the integration id or CONTROL. `now` is a clock in seconds.
    """

    def __init__(self, hostname: str, on_drop: Callable[[str], object], now: Callable[[], float] = monotonic) -> None:
        self._hostname, self._on_drop, self._now = hostname, on_drop, now
        self._dropped: dict[str, int] = {}
        self._logged_at_s: dict[str, float] = {}
        self._lock = threading.Lock()

    def task(self, queue: bytes, raw: bytes, more: Callable[[], Iterable[QueueMessage]] = tuple) -> bytes | None:
        """Return the message that Celery gets instead of `raw`, None to drop it.

        `more` takes messages from other queues, whose deliveries go with the same task.
        """
        task = self._accepted(queue, raw)
        if task is None:
            return None
        others = filter(None, (self._accepted(*message) for message in more()))
        return task_message.encode(task, {one.integration_id: one.delivery_ids for one in others})

    def _accepted(self, queue: bytes, raw: bytes) -> Task | None:
        task = task_message.decode(raw)
        if task is not None and queue_name(task.integration_id).encode() == queue:
            return task
        self._drop(queue.decode("utf-8", "replace").removeprefix(queue_name("")), "malformed queue message dropped")
        return None

    def control(self, raw: bytes) -> bytes:
        """Return the remote-control message for Celery, b"" if it is for another worker or not allowed."""
        command = remote_control.decode(raw)
        allowed = command is not None and command.method in remote_control.ALLOWED
        if command is not None and allowed and command.addresses(self._hostname):
            return remote_control.encode(command)
        if command is None or not (allowed or command.method in remote_control.SENT_BY_FLOWER):
            self._drop(CONTROL, "remote-control message ignored")
        return b""

    def wrong_types(self, queues: Sequence[str]) -> None:
        """Count and log queue keys that were not lists and have been deleted."""
        for queue in queues:
            self._drop(queue.removeprefix(queue_name("")), "queue key of a wrong type deleted")

    def _drop(self, source: str, message: str) -> None:
        self._on_drop(source)
        with self._lock:
            self._dropped[source] = self._dropped.get(source, 0) + 1
            if self._now() - self._logged_at_s.get(source, -LOG_INTERVAL_S) < LOG_INTERVAL_S:
                return
            self._logged_at_s[source] = self._now()
            count = self._dropped.pop(source)
        _log.warning(message, extra={"integration": source, "dropped": count})


class _GatedClient(Redis):
    """The client with which kombu consumes `queues()`."""

    def __init__(self, gate: MessageGate, queues: Callable[[], Iterable[str]], **options: Any) -> None:
        super().__init__(**options)
        self._gate, self._small_tasks = gate, SmallTasks(self, queues)

    def parse_response(self, connection: Any, command_name: Any, **options: Any) -> Any:
        """Return the reply; for BRPOP with the message that the gate returns, None if the gate drops it."""
        reply: Any = super().parse_response(connection, command_name, **options)  # type: ignore[no-untyped-call]  # untyped in redis-py
        if command_name != "BRPOP" or not reply:
            return reply
        queue, raw = reply
        message = self._gate.task(queue, raw, partial(self._small_tasks.take_beside, queue, raw))
        return (queue, message) if message else None


def gated_amqp(gate: MessageGate) -> type[AMQP]:
    """Return Celery's AMQP class with connections whose replies from Redis pass through `gate`."""

    class Gated:
        """Mixed into both of kombu's Redis channels, which provide the inherited methods and attributes."""

        _create_client: Callable[[], Redis]
        active_queues: list[str]
        _queue_cycle: Any

        def _get_client(self) -> Callable[..., Redis]:
            return partial(_GatedClient, gate, self._queues_in_turn)

        def _queues_in_turn(self) -> Iterable[str]:
            """Return the queues in the order of the next BRPOP."""
            queues: list[str] = self._queue_cycle.consume(len(self.active_queues))
            return queues

        def _brpop_read(self, **options: Any) -> Any:
            try:
                return super()._brpop_read(**options)  # type: ignore[misc]  # the channel's
            except ResponseError as error:
                if not str(error).startswith(_WRONG_TYPE):
                    raise
                # One BRPOP reads the queues of all integrations: one key of a wrong type would block all of them.
                gate.wrong_types(_delete_wrong_types(self._create_client(), self.active_queues))
                raise Empty from None

        def _handle_message(self, client: Any, reply: Any) -> dict[str, Any]:
            payload: dict[str, Any] = super()._handle_message(client, reply)  # type: ignore[misc]  # as above
            if payload["type"] in {b"message", b"pmessage"}:
                payload["data"] = gate.control(payload["data"])  # kombu ignores a message without data
            return payload

    return amqp_with(Gated)


def _delete_wrong_types(client: Redis, queues: Sequence[str]) -> list[str]:
    """Delete each queue key that is not a list and return their names. No delivery is lost: the ledger has them all."""
    deleted = []
    for queue in queues:
        try:
            client.llen(queue)
        except ResponseError:
            client.delete(queue)
            deleted.append(queue)
    return deleted
