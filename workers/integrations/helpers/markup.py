"""What a service reads as markup in a text, and how alert text is escaped so that it stays text.

Each service class names its own as `markup`. Whoever writes a log line writes alert text: unescaped, it could mention a
whole channel or hide where a link leads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from workers.alert.exact_json import read_json
from workers.integrations.helpers.alert_fields import json_body

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Markup(NamedTuple):
    """One markup: its name for people, what escapes a text, and what of it any alert holds that needs to be escaped."""

    name: str
    escape: Callable[[str], str]
    special: Sequence[bytes]

    def is_in(self, raw: bytes) -> bool:
        """Say whether an alert, as JSON, may hold anything that has to be escaped; most hold nothing."""
        return any(mark in raw for mark in self.special)

    def escaped(self, value: Any, levels: int = 3) -> Any:
        """Return a JSON value whose texts are escaped; raise NotSendable if it has no JSON form.

        What is nested more than `levels` deep goes through its JSON text, where these characters stand in texts only:
        slower, but without recursion.
        """
        escape = self.escape
        if isinstance(value, str):
            return escape(value)
        if not isinstance(value, dict | list):
            return value
        if not levels:
            return read_json(escape(json_body({"": value}).decode("ascii")))[""]
        if isinstance(value, list):
            return [self.escaped(item, levels - 1) for item in value]
        return {escape(name): self.escaped(item, levels - 1) for name, item in value.items()}


def _entities(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


NONE: Final = Markup("none", str, ())
"""Of a service that shows JSON texts as they are."""

SLACK: Final = Markup("Slack mrkdwn", _entities, (b"&", b"<", b">", b"\\u00"))
"""Mentions and links stand in `<` and `>` (docs.slack.dev, "Formatting message text", Escaping text)."""
