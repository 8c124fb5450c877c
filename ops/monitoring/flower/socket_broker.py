"""Flower's page of queues for a Redis that listens on a socket file.

Flower does not decode the percent-encoded path of such a URL, and ignores its user and database.
"""

from __future__ import annotations

from typing import Any

from flower.utils import broker
from kombu.utils.url import url_to_parts
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff


class SocketBroker(broker.RedisBase):  # type: ignore[misc]  # Flower ships no types
    """Flower's class for socket files, but with the decoded path, the user and the database."""

    def __init__(self, broker_url: str, *args: Any, **kwargs: Any) -> None:
        """Connect to a URL in kombu's form, `redis+socket://:PASSWORD@/PATH?virtual_host=NUMBER`."""
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
    """Replace Flower's class; Flower selects it by the URL's scheme."""
    broker.RedisSocket = SocketBroker
