"""What `[integrations.ID.discord]` can say: under which name the messages appear, and in which thread."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from common.services.declaration import Declaration
from common.services.readers import https_url, name, number
from common.settings.message import ALL_PARTS

MAX_NAME_CHARS: Final = 80
"""Of a username (docs.discord.com, "Webhook Resource", Create Webhook)."""


class DiscordOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The options of Discord."""

    username: Annotated[str, name(MAX_NAME_CHARS)] = ""
    avatar_url: Annotated[str, https_url()] = ""
    thread_id: Annotated[str, number()] = ""


DECLARATION: Final = Declaration(required=("hook_url",), options=DiscordOptions, message=ALL_PARTS, merges_options=True)
