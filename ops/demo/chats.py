"""The simulated Teams, Discord, Google Chat, Mattermost and Rocket.Chat, each strict about the real one's format.

All of them record the same for the page: title, text, rows and colour. A message has no id of its alert but in its
link, since the demo's `dashboard_url` ends with it.
"""

from __future__ import annotations

import html
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from ops.demo.http_types import (
    Received,
    Reply,
    first,
    items,
    json_object,
    json_reply,
    part,
    plain,
    text_of,
    text_reply,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MAX_TEAMS_BYTES: Final = 28_000
MAX_EMBED_CHARS: Final = 6_000
MAX_CHAT_BYTES: Final = 32_000
MAX_POST_CHARS: Final = 16_383
MAX_ROCKETCHAT_CHARS: Final = 5_000

TINTS: Final = {"Attention": "#a30200", "Warning": "#daa038", "Good": "#2eb886"}

_TAG: Final = re.compile(r"<[^<>]*>")


def teams(request: Received) -> Reply:
    """Answer as a workflow does: 202, or 400 if the body is no message with a card."""
    card = part(first(json_object(request.body), "attachments"), "content")
    if part(card, "type") != "AdaptiveCard" or len(request.body) > MAX_TEAMS_BYTES:
        error = {"error": {"code": "TriggerInputSchemaMismatch", "message": "The input body is not a message"}}
        return json_reply(HTTPStatus.BAD_REQUEST, error)
    blocks = [one for one in items(card, "body") if isinstance(one, dict)]
    texts = [text_of(one.get("text")) for one in blocks if one.get("type") == "TextBlock"]
    facts = [(part(one, "title"), part(one, "value")) for block in blocks for one in items(block, "facts")]
    link = part(first(card, "actions"), "url")
    tint = TINTS.get(text_of(part(first(card, "body"), "color")), "")
    shown = _shown(texts[:1], texts[1:], facts, tint)
    return Reply(status=HTTPStatus.ACCEPTED, content=b"", **_recorded(shown, link))


def discord(request: Received) -> Reply:
    """Answer as a webhook with `wait=true` does: 200 with the message, or 400 with what is wrong."""
    embed = first(json_object(request.body), "embeds")
    fields = [(part(one, "name"), part(one, "value")) for one in items(embed, "fields")]
    texts = [text_of(part(embed, name)) for name in ("title", "description")]
    blank = [name for name, value in fields if not text_of(name).strip() or not text_of(value).strip()]
    if not texts[0] or blank or sum(map(len, texts)) + sum(len(f"{n}{v}") for n, v in fields) > MAX_EMBED_CHARS:
        return json_reply(HTTPStatus.BAD_REQUEST, {"message": "Invalid Form Body", "code": 50035})
    shown = _shown(texts[:1], texts[1:], fields, f"#{part(embed, 'color') or 0:06x}")
    return json_reply(HTTPStatus.OK, {"id": "1098765432109876543"}, **_recorded(shown, part(embed, "url")))


def googlechat(request: Received) -> Reply:
    """Answer as a webhook of a space does: 200 with the name of the message, or 400."""
    card = part(first(json_object(request.body), "cardsV2"), "card")
    widgets = items(first(card, "sections"), "widgets")
    if not widgets or len(request.body) > MAX_CHAT_BYTES:
        return json_reply(HTTPStatus.BAD_REQUEST, {"error": {"code": 400, "status": "INVALID_ARGUMENT"}})
    texts = [text_of(part(one, "textParagraph", "text")) for one in widgets]
    plain = [html.unescape(_TAG.sub("", one.replace("<br>", "\n"))) for one in texts if one]
    colour = re.search(r'color="(#[0-9a-f]{6})"', texts[0])
    link = part(first(part(widgets[-1], "buttonList"), "buttons"), "onClick", "openLink", "url")
    shown: dict[str, Any] = {
        "title": plain[0],
        "text": "\n".join(plain[1:]),
        "rows": [],
        "colour": colour[1] if colour else "",
    }
    return json_reply(HTTPStatus.OK, {"name": "spaces/A/messages/1"}, **_recorded(shown, link))


def mattermost(request: Received) -> Reply:
    """Answer as an incoming webhook does: `ok`, or 400 with what is wrong."""
    found = _attachment(request, MAX_POST_CHARS)
    if found is None:
        error = {"id": "web.incoming_webhook.text.app_error", "message": "No text specified.", "status_code": 400}
        return json_reply(HTTPStatus.BAD_REQUEST, error)
    return text_reply(HTTPStatus.OK, "ok", **found)


def rocketchat(request: Received) -> Reply:
    """Answer as an incoming webhook does: 200, or 400 with the error."""
    found = _attachment(request, MAX_ROCKETCHAT_CHARS)
    if found is None:
        return json_reply(HTTPStatus.BAD_REQUEST, {"success": False, "error": "error-message-size-exceeded"})
    return json_reply(HTTPStatus.OK, {"success": True}, **found)


CHATS: Final[Mapping[str, Callable[[Received], Reply]]] = {
    "teams": teams,
    "discord": discord,
    "googlechat": googlechat,
    "mattermost": mattermost,
    "rocketchat": rocketchat,
}
"""The chat services, by the name in Courier's configuration."""


def _attachment(request: Received, longest: int) -> dict[str, Any] | None:
    """Return what to record of the attachment, None if there is none or it is too long."""
    one = first(json_object(request.body), "attachments")
    rows = [(part(row, "title"), part(row, "value")) for row in items(one, "fields")]
    texts = [text_of(part(one, name)) for name in ("title", "text")]
    if not texts[0] or sum(map(len, texts)) + sum(len(f"{n}{v}") for n, v in rows) > longest:
        return None
    return _recorded(_shown(texts[:1], texts[1:], rows, text_of(part(one, "color"))), part(one, "title_link"))


def _recorded(shown: dict[str, Any], link: Any) -> dict[str, Any]:
    return {"identity": text_of(link).rpartition("/")[2], "title": shown["title"], "shown": shown}


def _shown(title: list[str], text: list[str], rows: list[tuple[Any, Any]], colour: str) -> dict[str, Any]:
    return {
        "title": plain("".join(title)),
        "text": plain("\n".join(text)),
        "rows": [[plain(text_of(name)), plain(text_of(value))] for name, value in rows],
        "colour": colour,
    }
