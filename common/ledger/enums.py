"""The closed vocabularies that the ledger's Python code and its scripts share. Members compare equal to their texts."""

from __future__ import annotations

from contextlib import suppress
from enum import StrEnum


class SettleOutcome(StrEnum):
    """How a begun delivery ended (`settle.lua`)."""

    DELIVERED = "delivered"
    SKIPPED = "skipped"
    RETRY = "retry"
    DEAD = "dead"
    RETURNED = "returned"
    POSTPONED = "postponed"


class BreakerState(StrEnum):
    """The state of a circuit breaker (`breaker.lua`), as stored in Redis."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"

    @classmethod
    def parse(cls, text: str) -> BreakerState:
        """Return the state of a text from Redis; an unknown one counts as absent, and so as closed."""
        with suppress(ValueError):
            return cls(text)
        return cls.CLOSED


class HealthSignal(StrEnum):
    """What an outcome says about the health of the target (`breaker.lua`). It is not stored."""

    SUCCESS = "success"
    FAILURE = "failure"
    """The target as a whole failed."""
    REFUSAL = "refusal"
    """The target refused this delivery, perhaps all."""
    NEUTRAL = "neutral"
    """The target responds: neither a success nor a failure of the target."""
    NONE = ""
    """The outcome says nothing about the target."""
    NOT_CONTACTED = "not_contacted"
    """The target was not contacted: tokens of rate limits are refunded."""
