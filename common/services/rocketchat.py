"""What `[integrations.ID.rocketchat]` can say: another channel, name or icon than those of the webhook."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from common.services.declaration import Declaration
from common.services.readers import https_url, name
from common.settings.message import ALL_PARTS

MAX_NAME_CHARS: Final = 100


class RocketChatOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The options of Rocket.Chat. `channel` is `#channel` or `@user`, if the webhook allows to override it."""

    channel: Annotated[str, name(MAX_NAME_CHARS)] = ""
    username: Annotated[str, name(MAX_NAME_CHARS)] = ""
    icon_url: Annotated[str, https_url()] = ""


DECLARATION: Final = Declaration(
    required=("hook_url",), options=RocketChatOptions, message=ALL_PARTS, merges_options=True
)
