"""The simulated Telegram and ntfy, and a mailbox: what reaches a person's phone or mail program."""

from __future__ import annotations

import html
import re
from email import message_from_bytes
from email.errors import MessageError
from email.policy import default
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from ops.demo.cases import linked_id
from ops.demo.http_types import Received, Reply, items, json_object, json_reply, text_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MAX_TELEGRAM_CHARS: Final = 4_096
MAX_NTFY_BYTES: Final = 4_095
MAX_NTFY_JSON_BYTES: Final = 8_192
MAIL_ACCEPTED: Final = 250

PRIORITIES: Final = {1: "min", 2: "low", 3: "default", 4: "high", 5: "urgent"}
_TAG: Final = re.compile(r"<[^<>]*>")


def telegram(request: Received) -> Reply:
    """Answer as the Bot API does: the message, or 400 with a description."""
    sent = json_object(request.body)
    text = html.unescape(_TAG.sub("", text_of((sent or {}).get("text"))))
    if sent is None or not sent.get("chat_id") or not 0 < len(text) <= MAX_TELEGRAM_CHARS:
        problem = "Bad Request: message text is empty" if not text else "Bad Request: message is too long"
        return json_reply(HTTPStatus.BAD_REQUEST, {"ok": False, "error_code": 400, "description": problem})
    title, _, rest = text.partition("\n")
    shown = {"to": str(sent["chat_id"]), "title": title, "text": rest.strip()}
    return json_reply(
        HTTPStatus.OK, {"ok": True, "result": {"message_id": 1}}, **_recorded(shown, linked_id(request.body))
    )


def ntfy(request: Received) -> Reply:
    """Answer as a server of ntfy does: the message, or 400 with an error."""
    sent = json_object(request.body)
    text = text_of((sent or {}).get("message"))
    is_long = len(request.body) > MAX_NTFY_JSON_BYTES or len(text.encode("utf-8", "replace")) > MAX_NTFY_BYTES
    if sent is None or not text_of(sent.get("topic")) or is_long:
        return json_reply(HTTPStatus.BAD_REQUEST, {"code": 40024, "http": 400, "error": "invalid request"})
    priority = PRIORITIES.get(sent.get("priority", 3), "default")
    tint = {"urgent": "danger", "high": "warning"}.get(priority, "info")
    shown = {
        "to": text_of(sent["topic"]),
        "title": text_of(sent.get("title")),
        "text": text,
        "chips": [[tint, priority]],
        "labels": [text_of(one) for one in items(sent, "tags")],
    }
    return json_reply(HTTPStatus.OK, {"id": "x", "event": "message"}, **_recorded(shown, linked_id(request.body)))


def email(content: bytes) -> Reply:
    """Return what to record of a mail: its headers and its plain text, as a mail program shows them."""
    try:
        mail = message_from_bytes(content, policy=default)
        part = mail.get_body(("plain",))
        text = part.get_content() if part else ""
        shown = {name: str(mail[name] or "") for name in ("from", "to", "date", "importance")}
        title = str(mail["subject"] or "")
    except (MessageError, LookupError, ValueError):
        return Reply(status=MAIL_ACCEPTED, title="a mail that cannot be read")
    subject = {"title": title, "text": text.removeprefix(title).strip().replace("\r\n", "\n")}
    return Reply(**_recorded({**shown, **subject}, linked_id(text.encode("utf-8", "replace"))))


NOTICES: Final[Mapping[str, Callable[[Received], Reply]]] = {
    "telegram": telegram,
    "ntfy": ntfy,
}
"""The services for a phone, by the name in Courier's configuration."""


def _recorded(shown: dict[str, Any], identity: str) -> dict[str, Any]:
    return {"identity": identity, "title": shown["title"], "shown": shown}
