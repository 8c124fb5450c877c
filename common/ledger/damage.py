"""What Redis holds for an integration and Courier did not write: it stops that integration, and no other.

A key of the wrong type is damage: a script ends before its first write, and only a person can say what the key should
hold. A malformed field in a hash is none: the scripts count it as absent. A malformed record costs its delivery.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any, Final

from redis.exceptions import ResponseError

from common.errors import LedgerDamaged

if TYPE_CHECKING:
    from collections.abc import Sequence

    from redis import Redis
    from redis.client import Pipeline

_IN_A_SCRIPT: Final = re.compile(r"^Error running script .*?@user_script: ?\d+: ", re.DOTALL)
"""How Redis 6.2 begins the error of a command in a script; later versions write their place behind it."""

_OF_A_VALUE: Final = re.compile(
    r"^(?:WRONGTYPE |@?user_script:|Script attempted to access )|not an integer|not a valid float"
)
"""What a value in Redis can cause. Everything else, such as OOM, MISCONF or NOPERM, concerns the server."""

_log = logging.getLogger("courier.ledger")


def is_damage(answer: object) -> bool:
    """Say whether an answer of Redis is an error that a value in one key has caused."""
    return type(answer) is ResponseError and bool(_OF_A_VALUE.search(_IN_A_SCRIPT.sub("", str(answer))))


def unless_damaged(answer: Any, default: Any) -> Any:
    """Return an answer of a pipeline, the default where its key is damaged. Raises any other error of Redis."""
    if is_damage(answer):
        return default
    if isinstance(answer, Exception):
        raise answer
    return answer


def ask(pipe: Pipeline, keys: Sequence[str]) -> None:
    """Add a command for each key whose answer says whether it has its type; each is cheap, however large the value."""
    for key in keys:
        part = key.rpartition(":")[2]
        if part in {"waiting", "released", "dead"}:
            pipe.zcard(key)
        elif part in {"min", "h"} and key.startswith("courier:limits:"):
            pipe.lrange(key, 0, 0)
        else:
            pipe.hmget(key, [""])


def damaged(keys: Sequence[str], answers: Sequence[Any]) -> tuple[str, ...]:
    """Return the keys that have the wrong type, by the answers to what `ask` added."""
    return tuple(key for key, answer in zip(keys, answers, strict=True) if unless_damaged(answer, None) is None)


class DamageLog:
    """Logs once that an integration is damaged, and once that it is not any more."""

    def __init__(self, client: Redis) -> None:
        self._redis = client
        self._known: dict[str, LedgerDamaged] = {}

    def checked(self, integration_id: str, keys: Sequence[str], answer: Any) -> Any:
        """Return the answer; in place of an error (`is_damage`), LedgerDamaged with the keys of the wrong type."""
        known = self._known.get(integration_id)
        if not is_damage(answer):
            if known and not self._damaged(known.keys):
                del self._known[integration_id]
                _log.info("its keys in Redis can be used again", extra={"integration": integration_id})
            return answer
        error = LedgerDamaged(integration_id, self._damaged(keys), str(answer))
        if str(known) != str(error):
            _log.error("%s", error, extra={"integration": integration_id})
        self._known[integration_id] = error
        return error

    def _damaged(self, keys: Sequence[str]) -> tuple[str, ...]:
        with self._redis.pipeline(transaction=False) as pipe:
            ask(pipe, keys)
            return damaged(keys, pipe.execute(raise_on_error=False))
