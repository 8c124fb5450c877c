"""The markup of a service, and how alert text is escaped so that the service shows it as plain text.

Each service class names its markup as `markup`. An attacker who can write a log line can write alert text: unescaped,
it could mention a whole channel or hide the target of a link.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from common.exact_json import read_json
from workers.integrations.helpers.alert_fields import json_body

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Markup(NamedTuple):
    """One markup: its display name, the function that escapes a text, and the byte sequences that may need escaping."""

    name: str
    escape: Callable[[str], str]
    special: Sequence[bytes]

    def is_in(self, raw: bytes) -> bool:
        """Say whether an alert, as JSON, may contain anything to escape. Most alerts do not, which saves the work."""
        return any(mark in raw for mark in self.special)

    def escaped(self, value: Any, levels: int = 3) -> Any:
        """Return a JSON value with all texts escaped. Raises NotSendable if it has no JSON form.

        Parts below `levels` are escaped in their JSON form, where these characters occur only inside strings. That is
        slower, but needs no recursion.
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
"""For a service that shows texts without interpreting them."""

SLACK: Final = Markup("Slack mrkdwn", _entities, (b"&", b"<", b">", b"\\u00"))
"""Mentions and links are enclosed in `<` and `>` (docs.slack.dev, "Formatting message text", Escaping text)."""
