"""What look-up services have answered lately, shared by all workers: a quota is spent once a thing, not once an alert.

    courier:lookups:{NAME}:DIGEST   string   what is to be remembered of an answer, behind its end (seconds since 1970)
                                             and a signature by the secret key; gone when its time is over
    courier:asking:{NAME}:DIGEST    string   the worker that is asking right now; gone after a moment, should it die

A cache: nothing is lost with it. Where Redis does not answer the service is simply asked, and so it is where what is
remembered has no signature for this very question, or is older than it may be: others write in Redis, too.
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
"""How long a worker that asks may keep others from asking the same: longer than any request takes by default."""

PURPOSE: Final = "remembered answers"
"""What the authenticator is for."""

MAX_BYTES: Final = 256 * 1024
"""Larger answers are not kept."""

_log = logging.getLogger("courier.worker")


class LookupStore:
    """The answers of one service. `name` tells its kinds of question apart, such as `virustotal-v2`.

    `authenticator` signs what is kept. `now` is seconds since the epoch.
    """

    def __init__(
        self, client: Redis, name: str, authenticator: Authenticator, now: Callable[[], float] = time.time
    ) -> None:
        self._redis, self._name, self._authenticator, self._now = client, name, authenticator, now

    def get(self, question: str) -> bytes | None:
        """Return what was remembered of the answer to `question`, None if nothing is."""
        try:
            with as_ledger_errors():
                held: Any = self._redis.get(self._key("lookups", question))
        except LedgerError as error:
            _log.debug("no look-up in the cache: %s", error)
            return None
        return self._verified(question, held) if isinstance(held, bytes) else None

    def put(self, question: str, content: bytes, keep_s: float) -> None:
        """Keep `content` for `keep_s`, and let others ask again."""
        try:
            with as_ledger_errors(), self._redis.pipeline(transaction=False) as pipe:
                if content and keep_s > 0 and len(content) <= MAX_BYTES:
                    until = b"%d" % (self._now() + keep_s)
                    signature = self._authenticator.sign(*self._parts(question, until, content))
                    kept = b"\n".join([until, signature.encode(), content])
                    pipe.set(self._key("lookups", question), kept, px=round(1000 * keep_s))
                pipe.delete(self._key("asking", question))
                pipe.execute()
        except LedgerError as error:
            _log.debug("an answer is not kept: %s", error)

    def acquire(self, question: str) -> bool:
        """Say whether nobody else is asking this right now; then it is for the caller to ask and to `remember`."""
        try:
            with as_ledger_errors():
                return bool(self._redis.set(self._key("asking", question), b"", nx=True, px=round(1000 * LOCK_TTL_S)))
        except LedgerError:
            return True

    def _verified(self, question: str, held: bytes) -> bytes | None:
        """Return what was kept of the answer to this question, None if somebody else wrote it or its time is over."""
        until, _, rest = held.partition(b"\n")
        signature, _, content = rest.partition(b"\n")
        parts = self._parts(question, until, content)
        if not self._authenticator.is_signed(signature.decode("utf-8", "replace"), *parts):
            _log.warning(
                "a remembered answer is ignored, since no worker with this secret key wrote it; the service is asked",
                extra={"lookups": self._name},
            )
            return None
        return content if int(until) > self._now() else None

    def _parts(self, question: str, until: bytes, content: bytes) -> tuple[bytes, ...]:
        return self._name.encode(), question.encode("utf-8", "replace"), until, content

    def _key(self, kind: str, question: str) -> str:
        # Version 0.1 had the same names without the `person`, and no signatures: its answers are left to expire.
        digest = blake2b(question.encode(), digest_size=16, person=b"signed").hexdigest()
        return f"courier:{kind}:{{{self._name}}}:{digest}"
