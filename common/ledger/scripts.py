"""The Lua scripts beside this file, loaded once; each is put together from the parts that it shares with others."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from redis.exceptions import NoScriptError, ResponseError

from common.ledger.damage import is_damage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from redis import Redis
    from redis.commands.core import Script

    Call = tuple[list[str], list[str | bytes | float]]

INCLUDES: Final = {
    "commit": (),
    "release": ("blocked", "limits"),
    "begin": ("blocked", "limits"),
    "renew": (),
    "bury_unreadable": (),
    "settle": ("blocked", "limits", "breaker", "notify"),
    "reap": ("notify", "lag"),
    "replay": (),
    "discard": (),
    "move": (),
    "bury": (),
    "import": (),
    "retain": (),
}
"""Script → the files that stand in front of it, after the prelude."""


def load(client: Redis) -> dict[str, Script]:
    """Return every script, ready to be called on `client`; Redis is asked nothing yet."""
    return {name: client.register_script(source_of(name)) for name in INCLUDES}


def source_of(name: str) -> str:
    """Return the whole text of a script, as Redis gets it."""
    here = files(__package__)
    return "".join((here / f"{part}.lua").read_text(encoding="utf-8") for part in ("prelude", *INCLUDES[name], name))


def run(client: Redis, script: Script, calls: Sequence[Call]) -> list[Any]:
    """Run a script once for each call (keys, arguments) and return the answers, all in one round trip.

    Each run is atomic by itself; what others ask of Redis may come between two of them. Where the values in the keys of
    a call make it fail, its answer is that error (`is_damage`), and the others are run all the same.
    """
    if len(calls) == 1:
        return [_run_one(script, calls[0])]
    with client.pipeline(transaction=False) as pipe:
        for keys, arguments in calls:
            pipe.evalsha(script.sha, len(keys), *keys, *arguments)
        answers: list[Any] = pipe.execute(raise_on_error=False)
    for n, answer in enumerate(answers):
        if isinstance(answer, NoScriptError):  # a Redis that was started anew: nothing was done
            answers[n] = _run_one(script, calls[n])
        elif isinstance(answer, Exception) and not is_damage(answer):
            raise answer
    return answers


def _run_one(script: Script, call: Call) -> Any:
    try:
        return script(*call)
    except ResponseError as error:
        if not is_damage(error):
            raise
        return error
