"""What `[integrations.ID.googlechat]` can say: which messages share a thread."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

import msgspec

from common.services.declaration import Declaration
from common.settings.message import ALL_PARTS
from common.settings.values import one_of


class Thread(StrEnum):
    """What the messages of a thread have in common."""

    INTEGRATION = "integration"
    RULE = "rule"
    AGENT = "agent"
    RULE_AND_AGENT = "rule-and-agent"


class GoogleChatOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The options of Google Chat. Without `thread`, each message begins one."""

    thread: Annotated[Thread | None, one_of(Thread)] = None


DECLARATION: Final = Declaration(
    required=("hook_url",), options=GoogleChatOptions, message=ALL_PARTS, merges_options=True
)
