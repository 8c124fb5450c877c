"""What look-up services have answered lately, shared by all workers: a quota is spent once a thing, not once an alert.

    courier:lookups:{NAME}:DIGEST   string   what is to be remembered of an answer; gone when its time is over
    courier:asking:{NAME}:DIGEST    string   the worker that is asking right now; gone after a moment, should it die

A cache: nothing is lost with it. Where Redis does not answer the service is simply asked.
"""

from __future__ import annotations

import logging
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

from common.errors import LedgerError
from common.ledger.errors import translated

if TYPE_CHECKING:
    from redis import Redis

ASKING_S: Final = 30.0
"""How long a worker that asks may keep others from asking the same: longer than any request takes by default."""

MAX_BYTES: Final = 256 * 1024
"""Larger answers are not kept."""

_log = logging.getLogger("courier.worker")


class Lookups:
    """The answers of one service. `name` tells its kinds of question apart, such as `virustotal-v2`."""

    def __init__(self, client: Redis, name: str) -> None:
        self._redis, self._name = client, name

    def remembered(self, question: str) -> bytes | None:
        """Return what was remembered of the answer to `question`, None if nothing is."""
        try:
            with translated():
                held: Any = self._redis.get(self._key("lookups", question))
        except LedgerError as error:
            _log.debug("no look-up in the cache: %s", error)
            return None
        return held if isinstance(held, bytes) else None

    def remember(self, question: str, content: bytes, keep_s: float) -> None:
        """Keep `content` for `keep_s`, and let others ask again."""
        try:
            with translated(), self._redis.pipeline(transaction=False) as pipe:
                if content and keep_s > 0 and len(content) <= MAX_BYTES:
                    pipe.set(self._key("lookups", question), content, px=round(1000 * keep_s))
                pipe.delete(self._key("asking", question))
                pipe.execute()
        except LedgerError as error:
            _log.debug("an answer is not kept: %s", error)

    def may_ask(self, question: str) -> bool:
        """Say whether nobody else is asking this right now; then it is for the caller to ask and to `remember`."""
        try:
            with translated():
                return bool(self._redis.set(self._key("asking", question), b"", nx=True, px=round(1000 * ASKING_S)))
        except LedgerError:
            return True

    def _key(self, kind: str, question: str) -> str:
        return f"courier:{kind}:{{{self._name}}}:{blake2b(question.encode(), digest_size=16).hexdigest()}"
