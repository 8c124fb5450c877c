"""Waiting for Redis at the start of a process: said once, for as long as it takes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, TypeVar

from common.errors import LedgerUnavailable

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable

T = TypeVar("T")

RETRY_DELAY_S: Final = 1.0


def wait_until_available(
    ready: Callable[[], T], log: logging.Logger, *, sleep: Callable[[float], object] = time.sleep
) -> T:
    """Call `ready` until it does not raise LedgerUnavailable, and return what it returned."""
    told = False
    while True:
        try:
            answer = ready()
        except LedgerUnavailable as error:
            if not told:
                log.error("%s; waiting for it", error)
            told = True
            sleep(RETRY_DELAY_S)
        else:
            if told:
                log.info("Redis is there")
            return answer
