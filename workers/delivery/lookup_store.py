"""Recent responses of look-up services, shared by all workers: each file hash or address uses the quota once.

    courier:lookups:{NAME}:DIGEST   string   three lines: expiry (seconds since 1970), signature with the secret key,
                                             cached content; expires at that time
    courier:asking:{NAME}:DIGEST    string   lock of the worker that is sending this look-up; expires after 30 s, in
                                             case that worker dies

A cache: losing it loses no data. The worker sends the look-up if Redis is unavailable, and also if the cached entry is
expired or has no valid signature for this look-up, because other programs can write to Redis, too.
"""

from __future__ import annotations

import logging
import time
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

from common.connection.errors import as_ledger_errors
from common.errors import LedgerError

if TYPE_CHECKING:
    from collections.abc import Callable

    from redis import Redis

    from common.registry.encryption import Authenticator

LOCK_TTL_S: Final = 30.0
"""How long the lock of a look-up lasts: longer than any request takes by default."""

PURPOSE: Final = "remembered answers"
"""Purpose from which the authenticator derives its key. Changing it invalidates every cached entry."""

MAX_BYTES: Final = 256 * 1024
"""Larger responses are not cached."""

_log = logging.getLogger("courier.worker")


class LookupStore:
    """The cached entries of one namespace, such as `virustotal-v2`.

    `authenticator` signs the entries. `now` returns seconds since the epoch.
    """

    def __init__(
        self, client: Redis, namespace: str, authenticator: Authenticator, now: Callable[[], float] = time.time
    ) -> None:
        self._redis, self._namespace, self._authenticator, self._now = client, namespace, authenticator, now

    def get(self, look_up: str) -> bytes | None:
        """Return the cached content for `look_up`, None if there is none."""
        try:
            with as_ledger_errors():
                stored: Any = self._redis.get(self._key("lookups", look_up))
        except LedgerError as error:
            _log.debug("look-up cache read failed: %s", error)
            return None
        return self._verified(look_up, stored) if isinstance(stored, bytes) else None

    def put(self, look_up: str, content: bytes, keep_s: float) -> None:
        """Cache `content` for `keep_s` seconds unless it is empty or too large, and release the lock."""
        try:
            with as_ledger_errors(), self._redis.pipeline(transaction=False) as pipe:
                if content and keep_s > 0 and len(content) <= MAX_BYTES:
                    until = b"%d" % (self._now() + keep_s)
                    signature = self._authenticator.sign(*self._parts(look_up, until, content))
                    entry = b"\n".join([until, signature.encode(), content])
                    pipe.set(self._key("lookups", look_up), entry, px=round(1000 * keep_s))
                pipe.delete(self._key("asking", look_up))
                pipe.execute()
        except LedgerError as error:
            _log.debug("look-up cache write failed: %s", error)

    def acquire(self, look_up: str) -> bool:
        """Lock the look-up and return True, or return False if another worker holds the lock. `put` releases it."""
        try:
            with as_ledger_errors():
                return bool(self._redis.set(self._key("asking", look_up), b"", nx=True, px=round(1000 * LOCK_TTL_S)))
        except LedgerError:
            return True  # without Redis there is no lock: each worker sends its own look-up

    def _verified(self, look_up: str, stored: bytes) -> bytes | None:
        """Return the content of a stored entry, None if its signature is invalid or it has expired."""
        until, _, rest = stored.partition(b"\n")
        signature, _, content = rest.partition(b"\n")
        parts = self._parts(look_up, until, content)
        if not self._authenticator.is_signed(signature.decode("utf-8", "replace"), *parts):
            _log.warning(
                "cached look-up ignored: not signed with this worker's secret key", extra={"lookups": self._namespace}
            )
            return None
        return content if int(until) > self._now() else None

    def _parts(self, look_up: str, until: bytes, content: bytes) -> tuple[bytes, ...]:
        return self._namespace.encode(), look_up.encode("utf-8", "replace"), until, content

    def _key(self, kind: str, look_up: str) -> str:
        # Version 0.1 used the same keys without `person` and without signatures; its entries expire unread.
        digest = blake2b(look_up.encode(), digest_size=16, person=b"signed").hexdigest()
        return f"courier:{kind}:{{{self._namespace}}}:{digest}"
