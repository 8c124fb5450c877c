"""Waits for Redis when a process starts, and logs this once."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Final, TypeVar

from common.errors import LedgerUnavailable
from common.logs import Condition

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

RETRY_DELAY_S: Final = 1.0


def wait_until_available(
    ready: Callable[[], T], log: logging.Logger, *, sleep: Callable[[float], object] = time.sleep
) -> T:
    """Call `ready` once a second until it does not raise LedgerUnavailable, and return its result."""
    unavailable = Condition(log, logging.ERROR)
    while True:
        try:
            result = ready()
        except LedgerUnavailable as error:
            unavailable.set(f"{error}; waiting for it")
            sleep(RETRY_DELAY_S)
        else:
            unavailable.clear("Redis is available")
            return result
