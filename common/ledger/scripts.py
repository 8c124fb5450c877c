"""The Lua scripts beside this file, loaded once; each gets the shared prelude in front."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from redis import Redis
    from redis.commands.core import Script

NAMES: Final = ("commit", "release", "begin", "renew", "settle", "reap", "replay", "discard", "move", "bury")


def load(client: Redis) -> dict[str, Script]:
    """Return every script, ready to be called on `client`; Redis is asked nothing yet."""
    here = files(__package__)
    prelude = (here / "prelude.lua").read_text(encoding="utf-8")
    return {
        name: client.register_script(prelude + (here / f"{name}.lua").read_text(encoding="utf-8")) for name in NAMES
    }
