"""What a worker tells of its broker when it is asked, over Redis, by Flower or by `celery inspect stats`: no password.

Celery leaves out the password of the address in use, but not that of a socket file, whose whole address is its host,
those of the other Sentinels' addresses, nor the Sentinels' own; and one of the options cannot be written as JSON at
all, so that such a worker would not answer.
"""

from __future__ import annotations

from typing import Any

from celery.app.amqp import AMQP
from kombu import Connection
from kombu.utils.url import maybe_sanitize_url


class RedactedConnection(Connection):  # type: ignore[misc]  # kombu has no types
    """A connection to the broker that can be described without a secret."""

    def info(self) -> dict[str, Any]:
        """Return what is told of the connection. The copies that kombu makes of it do not come from here."""
        told: dict[str, Any] = super().info()
        options = {name: value for name, value in told["transport_options"].items() if name != "sentinel_kwargs"}
        hostname = maybe_sanitize_url(told["hostname"])
        return told | {"hostname": hostname, "alternates": [], "transport_options": options}


class RedactedAMQP(AMQP):  # type: ignore[misc]  # nor has Celery
    """Celery's messaging with such connections."""

    Connection = RedactedConnection
