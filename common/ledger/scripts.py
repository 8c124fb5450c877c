"""Loads and runs the Lua scripts in this directory. Each script is concatenated from the files that it includes."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from redis.exceptions import NoScriptError, ResponseError

from common.ledger.damage import is_damage

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from redis import Redis
    from redis.commands.core import Script

    Call = tuple[Sequence[str], list[str | bytes | float]]

INCLUDES: Final = {
    "commit": ("holds", "digests", "fold"),
    "close": (),
    "release": ("blocked", "limits", "holds", "digests"),
    "begin": ("blocked", "limits"),
    "renew": (),
    "bury_unreadable": (),
    "settle": ("blocked", "limits", "breaker", "notify"),
    "reap": ("notify", "lag"),
    "replay": (),
    "discard": (),
    "move": (),
    "bury": ("digests",),
    "import": (),
    "let_go": ("holds", "digests"),
    "end_groups": ("digests",),
    "retain": (),
    "withdraw": (),
    "trim_history": (),
}
"""Script → the files that it includes, in this order, after the prelude."""


_FUNCTION: Final = re.compile(r"^local function (\w+)\(.*?^end\n", re.MULTILINE | re.DOTALL)
_WORD: Final = re.compile(r"\w+")


def load(client: Redis) -> dict[str, Script]:
    """Return every script, bound to `client`. This sends nothing to Redis."""
    return {name: client.register_script(sent_source(name)) for name in INCLUDES}


def send(client: Redis, loaded: Iterable[Script]) -> None:
    """Send scripts to Redis in one round trip, so that the next `run` of several of them keeps their order."""
    with client.pipeline(transaction=False) as pipe:
        for script in loaded:
            pipe.script_load(script.script)
        pipe.execute()


def source_of(name: str) -> str:
    """Return the complete text of a script, with its includes."""
    here = files(__package__)
    return "".join((here / f"{part}.lua").read_text(encoding="utf-8") for part in ("prelude", *INCLUDES[name], name))


@cache
def sent_source(name: str) -> str:
    """Return the text of a script as it is sent to Redis."""
    return without_unused_functions(source_of(name))


def without_unused_functions(source: str) -> str:
    """Return a script without the functions that it does not use.

    Each run of a script creates all its functions: those that a commit does not use took up to a quarter of its time.
    """
    kept, used, end = list[str](), set[str](), len(source)
    for function in reversed(list(_FUNCTION.finditer(source))):  # only what follows a function can use it
        kept.append(source[function.end() : end])
        used.update(_WORD.findall(kept[-1]))
        if function[1] in used:
            kept.append(function[0])
            used.update(_WORD.findall(function[0]))
        end = function.start()
    return "".join(reversed([*kept, source[:end]]))


def run(client: Redis, calls: Sequence[tuple[Script, Call]]) -> list[Any]:
    """Run each script with its keys and arguments, in this order and in one round trip. Return the results.

    Each run is atomic by itself; commands of other clients may run between two of them. If a value in the keys of a
    call makes it fail, its result is that error (`is_damage`), and the other calls still run. A script that Redis does
    not have is run again behind the others.
    """
    if len(calls) == 1:
        return [_run_one(*calls[0])]
    with client.pipeline(transaction=False) as pipe:
        for script, (keys, arguments) in calls:
            pipe.evalsha(script.sha, len(keys), *keys, *arguments)
        results: list[Any] = pipe.execute(raise_on_error=False)
    for n, result in enumerate(results):
        if isinstance(result, NoScriptError):  # Redis was restarted and has no scripts: this call did nothing
            results[n] = _run_one(*calls[n])
        elif isinstance(result, Exception) and not is_damage(result):
            raise result
    return results


def _run_one(script: Script, call: Call) -> Any:
    try:
        return script(*call)
    except ResponseError as error:
        if not is_damage(error):
            raise
        return error
