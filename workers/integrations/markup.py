"""What a service reads as markup in a text, and how alert text is escaped so that it stays text.

Each service class names its own as `markup`. Whoever writes a log line writes alert text: unescaped, it could mention a
whole channel or hide where a link leads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from common.json_text import read_json
from workers.integrations.fields import json_body

if TYPE_CHECKING:
    from collections.abc import Mapping


class Markup(NamedTuple):
    """One markup: its name for people, and what replaces a character, by the character's code point."""

    name: str
    entities: Mapping[int, str]

    def escaped(self, value: Any) -> Any:
        """Return a JSON value whose texts are escaped; raise Refusal if it has no JSON form.

        A list or an object goes through its JSON text, where these characters stand in texts only.
        """
        if isinstance(value, str):
            return value.translate(self.entities)
        if isinstance(value, dict | list):
            return read_json(json_body({"": value}).decode("ascii").translate(self.entities))[""]
        return value


NONE: Final = Markup("none", {})
"""Of a service that shows JSON texts as they are."""

SLACK: Final = Markup("Slack mrkdwn", str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"}))
"""Mentions and links stand in `<` and `>` (docs.slack.dev, "Formatting message text", Escaping text)."""
