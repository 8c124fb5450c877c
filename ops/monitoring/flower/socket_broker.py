"""Flower's page of queues where Redis listens on a socket file.

Flower takes the path of the address as it is written, percent-encoded, and leaves out user and database.
"""

from __future__ import annotations

from typing import Any

from flower.utils import broker
from kombu.utils.url import url_to_parts
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff


class SocketBroker(broker.RedisBase):  # type: ignore[misc]  # Flower ships no types
    """As Flower's own, with the whole address."""

    def __init__(self, broker_url: str, *args: Any, **kwargs: Any) -> None:
        """Take the address as kombu writes it, `redis+socket://:PASSWORD@/PATH?virtual_host=NUMBER`."""
        super().__init__(broker_url, *args, **kwargs)
        parts = url_to_parts(broker_url)
        self.redis = Redis(
            unix_socket_path=f"/{parts.path}",
            username=parts.username,
            password=parts.password,
            db=int(parts.query.get("virtual_host", 0)),
            socket_timeout=self.socket_timeout,
            retry=Retry(NoBackoff(), 0),
        )


def install() -> None:
    """Let Flower use it."""
    broker.RedisSocket = SocketBroker
