"""What `[integrations.ID.discord]` can say: under which name the messages appear, and in which thread."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import msgspec

from common.services.declaration import Declaration
from common.services.readers import https_url, name, number
from common.settings.message import ALL_PARTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from common.integration import Integration

MAX_NAME_CHARS: Final = 80
"""Of a username (docs.discord.com, "Webhook Resource", Create Webhook)."""

FORBIDDEN_PARTS: Final = ("discord", "clyde")
FORBIDDEN_NAMES: Final = ("everyone", "here")
"""Discord rejects each message with such a username (as above; "User Resource", Usernames and Nicknames)."""


class DiscordOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The options of Discord."""

    username: Annotated[str, name(MAX_NAME_CHARS)] = ""
    avatar_url: Annotated[str, https_url()] = ""
    thread_id: Annotated[str, number()] = ""


def check(integration: Integration, options: DiscordOptions) -> Iterator[tuple[str, str]]:  # noqa: ARG001 — an interface
    """Refuse a username that Discord refuses."""
    username = options.username.lower()
    if username in FORBIDDEN_NAMES:
        yield "username", f"Discord accepts no {username!r}: choose another name"
    for part in FORBIDDEN_PARTS:
        if part in username:
            yield "username", f"Discord accepts no name that contains {part!r}: choose another one"


DECLARATION: Final = Declaration(
    required=("hook_url",), options=DiscordOptions, check=check, message=ALL_PARTS, merges_options=True
)
