"""The configuration of Celery, and the queue of each integration.

The ledger records the work; Celery only carries delivery ids to a free worker. Courier uses no results, no ETA and no
retries of Celery: a task is acknowledged before it runs, and a lost one is released again when its lease expires.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from celery import Celery
from kombu import Exchange, Queue

from common.broker.redacted import RedactedAMQP
from common.broker.task_message import queue_name
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


def queue(integration_id: str) -> Queue:
    """Return an integration's queue.

    It has no acknowledgements: kombu would keep consumed messages in Redis until they are acknowledged. The ledger does
    this better, and kombu 5.7 fails to restore them if the connection breaks in between, which would stop the worker.
    """
    name = queue_name(integration_id)
    return Queue(name, exchange=_EXCHANGE, routing_key=name, no_ack=True)


def make_app(redis_url: str, amqp: type[AMQP] = RedactedAMQP) -> Celery:
    """Return the Celery application for `redis_url`, a URL as for `common.connection.client`. Nothing is sent yet.

    `amqp` is the class that creates its connections.
    """
    app = Celery("courier", broker=broker_url(redis_url), amqp=amqp)
    app.conf.update(
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_channel_error_retry=True,  # wait for a Redis that rejects commands, such as a new replica
        broker_transport_options={
            "socket_keepalive": True,
            "socket_keepalive_options": KEEPALIVE,
            "socket_timeout": SOCKET_TIMEOUT_S,
            "socket_connect_timeout": CONNECT_TIMEOUT_S,
            "health_check_interval": 10,  # s; backup for the path monitor; notices a dead connection after twice that
            "ack_emulation": False,  # without acks kombu has nothing to restore; its keys could hold foreign data
            "priority_steps": [0],  # the default of 4 steps means BRPOP on 400 keys for 100 integrations
            "max_retries": 1,  # publishing fails at once instead of blocking in kombu; the ledger releases again
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
        worker_cancel_long_running_tasks_on_connection_loss=True,  # for late acks only; False logs a warning
        worker_enable_prefetch_count_reduction=False,
        worker_soft_shutdown_timeout=0,
        enable_utc=True,
    )
    if tls := broker_tls(redis_url):
        app.conf.broker_use_ssl = tls
    return app
