"""The Lua scripts beside this file, loaded once; each is put together from the parts that it shares with others."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from redis import Redis
    from redis.commands.core import Script

PARTS: Final = {
    "commit": (),
    "release": ("holds", "limits"),
    "begin": ("holds", "limits"),
    "renew": (),
    "settle": ("holds", "limits", "breaker", "telling"),
    "reap": ("telling", "lag"),
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
    here = files(__package__)

    def text(name: str) -> str:
        return (here / f"{name}.lua").read_text(encoding="utf-8")

    return {
        name: client.register_script("".join(map(text, ("prelude", *parts, name)))) for name, parts in PARTS.items()
    }
