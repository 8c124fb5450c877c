"""What `[integrations.ID.telegram]` can say: the chat, and the topic within it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import msgspec

from common.services.declaration import Declaration
from common.settings.message import ALL_PARTS
from common.settings.values import Reader, integer, optional, quoted, text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from common.integration import Integration

CHAT_FORM: Final = 'the number of a chat, such as -1001234567890, or "@channel"'

_CHAT = text(CHAT_FORM, r"-?[0-9]{1,19}|@[A-Za-z][A-Za-z0-9_]{3,63}")


def chat() -> Reader[str]:
    """Read the id of a chat: a number, also as a text, or the name of a public channel or group."""

    def parse(raw: object) -> str:
        if isinstance(raw, bool) or not isinstance(raw, int | str):
            raise ValueError(f"{quoted(raw)} is not the id of a chat")  # noqa: TRY004 — one kind of bad input
        return _CHAT.parse(str(raw))

    return Reader(CHAT_FORM, parse, str)


class TelegramOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The options of a Telegram bot. `topic` is the number of a forum's topic (`message_thread_id`)."""

    chat: Annotated[str, optional(chat())] = ""
    topic: Annotated[int | None, optional(integer(1, 2**63 - 1))] = None


def check(integration: Integration, options: TelegramOptions) -> Iterator[tuple[str, str]]:  # noqa: ARG001 — an interface
    """Require the chat."""
    if not options.chat:
        yield "chat", f"is missing: write {CHAT_FORM}"


DECLARATION: Final = Declaration(
    required=("api_key",), options=TelegramOptions, check=check, message=ALL_PARTS, merges_options=True
)
