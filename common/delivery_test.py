"""Deliveries of `courier test`: how their ids look, and when a worker no longer sends one.

The id is the only mark of a test: it reaches every process that handles the delivery, and no record has to change. An
id of the alert log has a node, a fingerprint, an offset and a checksum, so it never has this form.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from random import Random

MAX_WAIT_S: Final = 300.0
"""How long `courier test` waits at most. A worker does not send an older test: nobody reads its result."""

_is_test_id: Final = re.compile(r"test:[0-9a-f]{32}").fullmatch


def new_test_id(random: Random) -> str:
    """Return a new delivery id: `test:` and 32 hex digits, which are also a valid trace id of W3C Trace Context."""
    return f"test:{random.getrandbits(128):032x}"


def is_test(delivery_id: str) -> bool:
    """Return whether `courier test` made this delivery."""
    return _is_test_id(delivery_id) is not None
