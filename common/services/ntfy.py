"""What `[integrations.ID.ntfy]` can say."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from common.services.addresses import topic_of
from common.services.declaration import Declaration
from common.settings.definition import texts
from common.settings.message import ALL_PARTS


class NtfyOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The options of ntfy. `tags` are shown with each message; those that name an emoji are shown as one."""

    tags: Annotated[tuple[str, ...], texts()] = ()


DECLARATION: Final = Declaration(
    required=("hook_url",), options=NtfyOptions, message=ALL_PARTS, address=topic_of, merges_options=True
)
