"""Celery's messaging with channels of ours, which look at the bytes from Redis before kombu interprets them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kombu.transport.redis import Channel, SentinelChannel, SentinelTransport, Transport

from common.broker.redacted import RedactedAMQP, RedactedConnection

if TYPE_CHECKING:
    from celery.app.amqp import AMQP


def amqp_with(mixin: type) -> type[AMQP]:
    """Return messaging for `make_app` whose channels to Redis are `mixin` before kombu's own, behind Sentinels too."""

    class GatedTransport(Transport):  # type: ignore[misc]  # kombu ships no types
        Channel = type("GatedChannel", (mixin, Channel), {})

    class GatedSentinelTransport(SentinelTransport):  # type: ignore[misc]  # as above
        Channel = type("GatedSentinelChannel", (mixin, SentinelChannel), {})

    class GatedConnection(RedactedConnection):
        def get_transport_cls(self) -> type[Transport]:
            """Return the gated kind of the transport that the URL asks for."""
            behind_sentinels = issubclass(super().get_transport_cls(), SentinelTransport)
            return GatedSentinelTransport if behind_sentinels else GatedTransport

    return type("GatedAmqp", (RedactedAMQP,), {"Connection": GatedConnection})
