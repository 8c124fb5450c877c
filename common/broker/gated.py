"""Celery messaging with custom channels that check the bytes from Redis before kombu interprets them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kombu.transport.redis import Channel, SentinelChannel, SentinelTransport, Transport

from common.broker.redacted import RedactedAMQP, RedactedConnection

if TYPE_CHECKING:
    from celery.app.amqp import AMQP


def amqp_with(mixin: type) -> type[AMQP]:
    """Return an AMQP class for `make_app` with `mixin` in front of kombu's channel class, also under Sentinel."""

    class GatedTransport(Transport):  # type: ignore[misc]  # kombu ships no types
        Channel = type("GatedChannel", (mixin, Channel), {})

    class GatedSentinelTransport(SentinelTransport):  # type: ignore[misc]  # as above
        Channel = type("GatedSentinelChannel", (mixin, SentinelChannel), {})

    class GatedConnection(RedactedConnection):
        def get_transport_cls(self) -> type[Transport]:
            """Return the gated variant of the transport that the URL selects."""
            is_sentinel = issubclass(super().get_transport_cls(), SentinelTransport)
            return GatedSentinelTransport if is_sentinel else GatedTransport

    return type("GatedAmqp", (RedactedAMQP,), {"Connection": GatedConnection})
