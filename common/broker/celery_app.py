"""The Celery application, and the name of each integration's queue: all that Celery has to know.

The ledger is the record of the work; Celery only carries ids to whoever is free. So there are no results, no ETA, no
Celery retries: a task is acknowledged before it runs, and a lost one is released again when its lease expires.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from celery import Celery
from kombu import Exchange, Queue

from common.broker.redacted import RedactedAMQP
from common.connection.client import (
    CONNECT_TIMEOUT_S,
    KEEPALIVE,
    SOCKET_TIMEOUT_S,
    broker_options,
    broker_tls,
    broker_url,
)

if TYPE_CHECKING:
    from celery.app.amqp import AMQP

_EXCHANGE: Final = Exchange("courier", type="direct")


def queue_name(integration_id: str) -> str:
    """Return the name of an integration's Celery queue, which is also the Redis key of its list."""
    return f"courier.{integration_id}"


def queue(integration_id: str) -> Queue:
    """Return an integration's queue.

    Without acks: kombu would keep taken messages in Redis until they are acknowledged, which the ledger does better,
    and a connection that breaks in between would end the worker (kombu 5.7 fails to restore them then).
    """
    name = queue_name(integration_id)
    return Queue(name, exchange=_EXCHANGE, routing_key=name, no_ack=True)


def make_app(redis_url: str, amqp: type[AMQP] = RedactedAMQP) -> Celery:
    """Return the application for the Redis at `redis_url`, as `common.connection.client` takes it. Nothing is sent yet.

    `amqp` makes its connections.
    """
    app = Celery("courier", broker=broker_url(redis_url), amqp=amqp)
    app.conf.update(
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_channel_error_retry=True,  # a Redis that refuses, such as one that became a replica, is waited for
        broker_transport_options={
            "socket_keepalive": True,
            "socket_keepalive_options": KEEPALIVE,
            "socket_timeout": SOCKET_TIMEOUT_S,
            "socket_connect_timeout": CONNECT_TIMEOUT_S,
            "health_check_interval": 10,  # s; a second line behind the lifeline, which is deaf for twice that
            "ack_emulation": False,  # no queue of ours has acks; kombu would restore from keys that others may write
            "priority_steps": [0],  # of 100 integrations every task would be waited for with BRPOP on 400 keys
            "max_retries": 1,  # publishing fails at once: the ledger releases it again, nobody waits inside kombu
            "interval_start": 0,
            "interval_step": 0,
            **broker_options(redis_url),
        },
        task_ignore_result=True,
        task_serializer="json",
        accept_content=["json"],
        task_acks_late=False,
        task_create_missing_queues=True,
        task_default_queue="courier",
        task_default_exchange="courier",
        worker_disable_prefetch=True,  # celery#10302 and the prefetch drift of late acks: see the worker's guide
        worker_prefetch_multiplier=1,
        worker_send_task_events=True,
        worker_hijack_root_logger=False,
        worker_enable_remote_control=True,
        worker_cancel_long_running_tasks_on_connection_loss=True,  # concerns late acks only; False warns each time
        worker_enable_prefetch_count_reduction=False,
        worker_soft_shutdown_timeout=0,
        enable_utc=True,
    )
    if tls := broker_tls(redis_url):
        app.conf.broker_use_ssl = tls
    return app
