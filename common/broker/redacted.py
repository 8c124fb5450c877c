"""Removes passwords from the broker information that a worker sends to Flower and `celery inspect stats` over Redis.

Celery removes the password of the URL in use. It does not remove that of a socket file, whose whole URL is the host,
those in the URLs of the other Sentinels, or that of the Sentinels themselves. One of the transport options cannot be
encoded as JSON at all, so a worker under Sentinel would not respond.
"""

from __future__ import annotations

from typing import Any

from celery.app.amqp import AMQP
from kombu import Connection
from kombu.utils.url import maybe_sanitize_url


class RedactedConnection(Connection):  # type: ignore[misc]  # kombu has no types
    """A connection to the broker whose description contains no secret."""

    def info(self) -> dict[str, Any]:
        """Return the description for `inspect stats`. kombu does not use it to copy a connection."""
        info: dict[str, Any] = super().info()
        options = {name: value for name, value in info["transport_options"].items() if name != "sentinel_kwargs"}
        hostname = maybe_sanitize_url(info["hostname"])
        return info | {"hostname": hostname, "alternates": [], "transport_options": options}


class RedactedAMQP(AMQP):  # type: ignore[misc]  # Celery has no types
    """Celery messaging that uses RedactedConnection."""

    Connection = RedactedConnection
