"""Microsoft Teams: each alert is one Adaptive Card, posted to the webhook of a workflow (Power Automate).

Sources: learn.microsoft.com, "Create incoming webhooks with Workflows for Microsoft Teams", "Limits and specifications
for Microsoft Teams" (28 KB for a message; four requests a second) and "Format cards in Teams"; adaptivecards.io for the
card, version 1.4, which all Teams clients show.

Size: Microsoft does not say whether 28 KB are bytes of UTF-8 or of UTF-16. The body has at most MAX_BODY_BYTES of
ASCII, which are at most twice as many bytes of UTF-16, so that both hold.

Status: 202 when the workflow has started. What it does then is not reported. 400 with `WorkflowTriggerIsNotEnabled`
says that the workflow is switched off or deleted, and other words that the request is at fault. The former connectors
(`*.webhook.office.com`) respond 200 and report the failure as text, with the status of Teams.

Teams has no means to recognise a repeated message.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

from common.outcome import Delivered
from workers.integrations.chat import MAX_ERROR_BYTES, OPEN, Chat
from workers.message.limits import Limits, json_bytes
from workers.message.markup import TEAMS

if TYPE_CHECKING:
    from common.outcome import Outcome
    from workers.alert.alert import Alert
    from workers.calls import Request, Response
    from workers.message.message import Message

MAX_BODY_BYTES: Final = 14_000

SCHEMA: Final = "http://adaptivecards.io/schemas/adaptive-card.json"
CARD: Final = "application/vnd.microsoft.card.adaptive"

TINTS: Final = ((12, "Attention"), (5, "Warning"), (0, "Good"))
"""The lowest level of each of the colours that a card can have: red, yellow, green."""

_LEGACY_FAILURE: Final = re.compile(rb"endpoint returned HTTP error ([1-5][0-9]{2})")
_LINE_END: Final = re.compile(r"(?<!\n)\n(?=[^\n])(?!- |[0-9]+\. )")
"""A line feed that is no end of a paragraph and does not precede an item of a list. A card shows it as a blank."""


class Teams(Chat):
    """One integration with Microsoft Teams. Needs hook_url."""

    markup = TEAMS
    limits = Limits(title=1_000, text=6_000, fields=20, name=200, value=1_500, total=9_500, measure=json_bytes)

    HOOK_AT_FAULT = re.compile(rb"WorkflowTriggerIsNotEnabled|WorkflowNotFound|WorkflowDisabled|AuthorizationFailed")

    def payload(self, message: Message, alert: Alert) -> dict[str, Any]:  # noqa: ARG002 — the message is enough
        """Return a message with the card as its attachment."""
        tint = next(tint for lowest, tint in TINTS if message.level >= lowest or not lowest)
        body = [_text(message.title, weight="Bolder", size="Medium", color=tint)]
        if message.text:
            body.append(_text(_LINE_END.sub("\n\n", message.text)))
        if message.fields:
            body.append(
                {"type": "FactSet", "facts": [{"title": one.name, "value": one.value} for one in message.fields]}
            )
        if message.note:
            body.append(_text(message.note, isSubtle=True))
        card: dict[str, Any] = {
            "$schema": SCHEMA,
            "type": "AdaptiveCard",
            "version": "1.4",
            "body": body,
            "msteams": {"width": "Full"},
        }
        if message.link:
            card["actions"] = [{"type": "Action.OpenUrl", "title": OPEN, "url": message.link}]
        return {"type": "message", "attachments": [{"contentType": CARD, "contentUrl": None, "content": card}]}

    def interpret(self, alert: Alert, call: Request, response: Response) -> Outcome:
        """Return the meaning of the status, or of the one that the body reports."""
        outcome = super().interpret(alert, call, response)
        failure = isinstance(outcome, Delivered) and _LEGACY_FAILURE.search(response.body, 0, MAX_ERROR_BYTES)
        if not failure:
            return outcome
        reported = super().interpret(alert, call, msgspec.structs.replace(response, status=int(failure[1])))
        return outcome if isinstance(reported, Delivered) else reported


def _text(text: str, **style: Any) -> dict[str, Any]:
    return {"type": "TextBlock", "text": text, "wrap": True, **style}
