"""Turns what redis-py raises into the two things that matter to us: waiting helps, or it does not."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import redis.exceptions as redis_errors

from common.errors import LedgerUnavailable, LedgerUnfit

if TYPE_CHECKING:
    from collections.abc import Iterator

_REFUSED = (
    redis_errors.AuthenticationError,
    redis_errors.AuthenticationWrongNumberOfArgsError,
    redis_errors.NoPermissionError,
)


@contextmanager
def translated() -> Iterator[None]:
    """Raise LedgerUnfit where Redis refuses us for good, LedgerUnavailable for every other trouble with it."""
    try:
        yield
    except _REFUSED as error:
        raise LedgerUnfit(f"Redis refuses the password or user: {error}; check COURIER_REDIS_URL") from error
    except redis_errors.RedisError as error:
        if "NOAUTH" in str(error) or "WRONGPASS" in str(error):
            raise LedgerUnfit(f"Redis wants a password: {error}; set COURIER_REDIS_PASSWORD") from error
        raise LedgerUnavailable(f"Redis does not answer as it should: {error}") from error
    except OSError as error:
        raise LedgerUnavailable(f"Redis cannot be reached: {error}") from error
