"""Finds keys in Redis that Courier did not write. They stop their integration, and no other.

A key of the wrong type is damage: scripts end before their first write, because only a person can decide what the key
should hold. A malformed field in a hash is not damage: the scripts treat it as absent. A malformed record becomes a
dead letter.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any, Final

from redis.exceptions import ResponseError

from common.errors import LedgerDamaged
from common.ledger.keys import digest_key, groups_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from redis import Redis
    from redis.client import Pipeline

_IN_A_SCRIPT: Final = re.compile(r"^Error running script .*?@user_script: ?\d+: ", re.DOTALL)
"""The prefix that Redis 6.2 puts before the error of a command in a script; later versions append the position."""

_OF_A_VALUE: Final = re.compile(
    r"^(?:WRONGTYPE |@?user_script:|Script attempted to access )|not an integer|not a valid float"
)
"""Errors that a value in Redis can cause. All others, such as OOM, MISCONF or NOPERM, concern the server."""

_log = logging.getLogger("courier.ledger")


def is_damage(result: object) -> bool:
    """Return whether a result is an error that the value of a key has caused."""
    return type(result) is ResponseError and bool(_OF_A_VALUE.search(_IN_A_SCRIPT.sub("", str(result))))


def unless_damaged(result: Any, default: Any) -> Any:
    """Return the result of a pipelined command, or `default` if its key is damaged. Raises any other Redis error."""
    if is_damage(result):
        return default
    if isinstance(result, Exception):
        raise result
    return result


def _add_type_checks(pipe: Pipeline, keys: Sequence[str]) -> None:
    """Add one command per key that fails if the key has the wrong type. Each is cheap, however large the value is."""
    for key in keys:
        part = key.rpartition(":")[2]
        if part in {"waiting", "released", "dead", "groups"}:
            pipe.zcard(key)
        elif part in {"min", "h"} and key.startswith("courier:limits:"):
            pipe.lrange(key, 0, 0)
        else:
            pipe.hmget(key, [""])


class DamageLog:
    """Logs once when an integration is damaged or its damage changes, and once when it is repaired.

    A `Condition` is not enough: a command that succeeds says nothing of the keys that it does not use, so the damaged
    ones are kept and checked before the end is logged.
    """

    def __init__(self, client: Redis) -> None:
        self._redis = client
        self._known: dict[str, LedgerDamaged] = {}

    def checked(self, integration_id: str, keys: Sequence[str], result: Any) -> Any:
        """Return the result, or LedgerDamaged with the keys of the wrong type if it is such an error (`is_damage`)."""
        known = self._known.get(integration_id)
        if not is_damage(result):
            if known and not self._damaged(known.keys):
                self._known.pop(integration_id, None)  # another thread may have been first
                _log.info("ledger keys repaired", extra={"integration": integration_id})
            return result
        # Scripts use the keys of groups without being given them.
        used = dict.fromkeys((*keys, groups_key(integration_id), digest_key(integration_id)))
        error = LedgerDamaged(integration_id, self._damaged([*used]), str(result))
        if str(known) != str(error):
            _log.error("%s", error, extra={"integration": integration_id})
        self._known[integration_id] = error
        return error

    def _damaged(self, keys: Sequence[str]) -> tuple[str, ...]:
        with self._redis.pipeline(transaction=False) as pipe:
            _add_type_checks(pipe, keys)
            results = pipe.execute(raise_on_error=False)
        return tuple(key for key, result in zip(keys, results, strict=True) if unless_damaged(result, None) is None)
