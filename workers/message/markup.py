"""The markups of services, and how alert text is escaped so that a service shows it as plain text.

Each service class names its markup as `markup`. An attacker who can write a log line can write alert text: unescaped,
it could mention a whole channel, hide the target of a link or pretend to be another part of the message. A bare URL
stays as it is: a service may make it clickable, but shows where it leads.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from common.exact_json import read_json
from workers.integrations.helpers.alert_fields import json_body
from workers.redaction import readable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Markup(NamedTuple):
    """One markup: its display name, the function that escapes a text, and the byte sequences that may need escaping.

    `repair` takes a text that was cut anywhere, and returns it without a broken sequence at its end, and what closes
    the parts that are open. `bold`, `code` and `link` make markup of texts that are escaped already, but for `code`,
    which takes plain text. Some services show titles, or names of fields, as plain text or in another markup:
    `escape_title` and `escape_name` are for these, if they need another escape.
    """

    name: str
    escape: Callable[[str], str]
    special: Sequence[bytes] = ()
    repair: Callable[[str], tuple[str, str]] = lambda text: (text, "")
    bold: Callable[[str], str] = str
    code: Callable[[str], str] = str
    link: Callable[[str, str], str] = lambda text, url: f"{text}: {url}"
    escape_title: Callable[[str], str] | None = None
    escape_name: Callable[[str], str] | None = None

    def title(self, text: str) -> str:
        """Return a title, escaped."""
        return (self.escape_title or self.escape)(text)

    def field_name(self, text: str) -> str:
        """Return the name of a field, escaped."""
        return (self.escape_name or self.escape)(text)

    def unescaped(self) -> Markup:
        """Return this markup without any escapes."""
        return self._replace(escape=str, escape_title=None, escape_name=None)

    def is_in(self, raw: bytes) -> bool:
        """Return whether an alert, as JSON, may contain anything to escape. Most do not, which saves the work."""
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


def one_line(text: str) -> str:
    """Return a text with each run of white space as one blank, so that it cannot pretend to be another part."""
    return " ".join(text.split())


def _entities(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


_PARTIAL_ENTITY: Final = re.compile(r"&[A-Za-z0-9#]{0,7}\Z")
_PARTIAL_TAG: Final = re.compile(r"<[^<>]*\Z")
_TAG: Final = re.compile(r"<(/?)([A-Za-z][A-Za-z0-9-]*)[^<>]*>")
_FENCE: Final = "```"

_SAFE_BACKTICK: Final = "\u02cb"
"""A modifier letter that looks like a backtick. Nothing else is safe within code and outside of it."""


def _html(text: str) -> str:
    return _entities(readable(text)).replace('"', "&quot;")


def _slack_text(text: str) -> str:
    return _entities(readable(text)).replace("`", _SAFE_BACKTICK)


_MARKDOWN: Final = re.compile(r"[\\*_~|\[\]()<>#{}!]")
_LISTED: Final = r"[-+](?=[ \t]|$)|[-=]+(?=[ \t]*$)|\d{1,9}(?=[.)](?:[ \t]|$))"
"""What begins an item of a list or a rule at the start of a line; not a negative number or an address."""

_LIST_OR_RULE: Final = re.compile(rf"^([ \t]*)({_LISTED})", re.MULTILINE)
_MENTION: Final = re.compile(r"(?<![^\W_])@(?=\w)")
"""Not within an address of mail: who copies it must not get an invisible space with it."""


_ANY_MENTION: Final = re.compile(r"(?<![^\W_])@(?=\S)")
_OF_ANY_SERVICE: Final = re.compile(rf"{_ANY_MENTION.pattern}|<(?=\S)|\](?=\()")
"""What begins a mention, a tag or a link in texts of one service or another."""

_PLAIN: Final = re.compile(r"(?!\d+[.)](?:\s|$))[^\W_](?:[^\W_]|[ .,:;/'%\"-])*")
"""A text without a meaning in any Markdown, as most names and values of alerts are: this costs less than escaping."""


def _escaped(found: re.Match[str]) -> str:
    return f"\\{found[0]}"  # until Python 3.12 a function takes half the time of a text with \\g<0>


def _markdown(text: str) -> str:
    if _PLAIN.fullmatch(text):
        return text
    escaped = _MARKDOWN.sub(_escaped, readable(text)).replace("`", _SAFE_BACKTICK)
    escaped = _LIST_OR_RULE.sub("\\g<1>\u200b\\g<2>", escaped)
    return _MENTION.sub("@\u200b", escaped) if "@" in escaped else escaped


def _fenced(text: str) -> str:
    return f"{_FENCE}\n{readable(text).replace('`', _SAFE_BACKTICK)}\n{_FENCE}"


def _fence_end(text: str) -> str:
    return f"\n{_FENCE}" if text.count(_FENCE) % 2 else ""


def _teams(text: str) -> str:
    """As Markdown. Where an app does not know backslashes, an invisible space still keeps a link from being one."""
    return _markdown(text).replace("\\]\\(", "\\]\u200b\\(")


_MATTERMOST: Final = re.compile(r"[\\*_~|\[\]()#{}!]")


def _mattermost(text: str) -> str:
    if _PLAIN.fullmatch(text):
        return text
    escaped = _MATTERMOST.sub(_escaped, _entities(readable(text))).replace("`", _SAFE_BACKTICK)
    return _MENTION.sub("@\u200b", _LIST_OR_RULE.sub("\\g<1>\u200b\\g<2>", escaped))


_ROCKETCHAT: Final = {ord(letter): f"\\{letter}" for letter in "*_~#"} | {
    ord("\\"): "\\\u200b",
    ord("`"): _SAFE_BACKTICK,
    ord("<"): "<\u200b",
}
_ROCKETCHAT_PAIRS: Final = re.compile(
    rf"\](?=\()|\|(?=\|)|\$(?=\$)|{_MENTION.pattern}|^[ \t]*(?=>|{_LISTED})", re.MULTILINE
)


def _rocketchat(text: str) -> str:
    if _PLAIN.fullmatch(text):
        return text
    return _ROCKETCHAT_PAIRS.sub("\\g<0>\u200b", readable(text)).translate(_ROCKETCHAT)


def _any_text(text: str) -> str:
    return _OF_ANY_SERVICE.sub("\\g<0>\u200b", readable(text)).replace("`", _SAFE_BACKTICK)


def _any_markdown(text: str) -> str:
    return _teams(text).replace("\\<", "\\<\u200b")


def _any_html(text: str) -> str:
    return _ANY_MENTION.sub("@\u200b", _html(text))


def _any_fenced(text: str) -> str:
    return f"{_FENCE}\n{_any_text(text)}\n{_FENCE}"


def _repair_slack(text: str) -> tuple[str, str]:
    text = _PARTIAL_TAG.sub("", _PARTIAL_ENTITY.sub("", text)).rstrip("`") if text.endswith("`") else text
    text = _PARTIAL_TAG.sub("", _PARTIAL_ENTITY.sub("", text))
    return text, _fence_end(text)


def _repair_markdown(text: str) -> tuple[str, str]:
    slashes = len(text) - len(text.rstrip("\\"))
    text = text[: len(text) - slashes % 2]
    return text, _fence_end(text)


def _repair_mattermost(text: str) -> tuple[str, str]:
    return _repair_markdown(_PARTIAL_ENTITY.sub("", text))


def _repair_html(text: str) -> tuple[str, str]:
    text = _PARTIAL_TAG.sub("", _PARTIAL_ENTITY.sub("", text))
    open_tags: list[str] = []
    for closing, name in _TAG.findall(text):
        if name == "br":
            continue
        if not closing:
            open_tags.append(name)
        elif open_tags and open_tags[-1] == name:
            open_tags.pop()
    return text, "".join(f"</{name}>" for name in reversed(open_tags))


NONE: Final = Markup("none", str)
"""For a service that shows texts without interpreting them."""

PLAIN: Final = Markup("plain text", readable)
"""As NONE, without control characters and marks that change the direction of text."""

SLACK: Final = Markup("Slack mrkdwn", _entities, (b"&", b"<", b">", b"\\u00"))
"""Mentions and links are enclosed in `<` and `>` (docs.slack.dev, "Formatting message text", Escaping text)."""

SLACK_MESSAGE: Final = SLACK._replace(
    escape=_slack_text,
    repair=_repair_slack,
    bold=lambda text: f"*{text}*",
    code=lambda text: f"{_FENCE}\n{_slack_text(text)}\n{_FENCE}",
    link=lambda text, url: f"<{url}|{text}>",
)
"""As SLACK, for a message with markup of the operator's own: alert text cannot begin or end a block of code."""

MARKDOWN: Final = Markup(
    "Markdown",
    _markdown,
    repair=_repair_markdown,
    bold=lambda text: f"**{text}**",
    code=_fenced,
    link=lambda text, url: f"[{text}]({url})",
)
"""Discord's and Mattermost's: a backslash escapes punctuation (spec.commonmark.org, 2.4), and an invisible space breaks
`@channel` and a list. Discord also takes `allowed_mentions`."""

HTML: Final = Markup(
    "HTML",
    _html,
    repair=_repair_html,
    bold=lambda text: f"<b>{text}</b>",
    code=lambda text: f"<pre>{_html(text)}</pre>",
    link=lambda text, url: f'<a href="{_html(url)}">{text}</a>',
)
"""Telegram's and that of mails; all characters with a meaning have entities (core.telegram.org, "HTML style")."""

GOOGLE_CHAT: Final = HTML._replace(name="Google Chat HTML", code=_html)
"""That of cards: `<b>`, `<i>`, `<font>`, `<a>` and a few more, without blocks of code (developers.google.com, "Format
messages"). Mentions have another syntax, `<users/…>`, and work in texts only."""

TEAMS: Final = MARKDOWN._replace(name="Adaptive Card Markdown", escape=_teams, code=_teams)
"""A part of Markdown, without blocks of code and HTML (learn.microsoft.com, "Format cards in Teams"). A mention needs
an entry in the card's `msteams.entities`, so a text alone mentions nobody."""

MATTERMOST: Final = MARKDOWN._replace(
    name="Mattermost Markdown",
    escape=_mattermost,
    repair=_repair_mattermost,
    escape_title=_any_text,
    escape_name=_any_text,
)
"""Markdown. Before it, Mattermost reads Slack's `<!channel>` and `<URL|text>` in texts of webhooks (its source,
`app/slack.go`), also with backslashes between, so `<` and `>` are entities. Titles with a link and names of fields are
plain text (`message_attachment.tsx`)."""

ROCKETCHAT: Final = MARKDOWN._replace(
    name="Rocket.Chat Markdown", escape=_rocketchat, bold=lambda text: f"*{text}*", escape_title=_any_text
)
"""A backslash escapes only `*_~`#.` (its source, `message-parser/src/grammar.pegjs`). Everything else that has a
meaning, such as links, mentions, spoilers, lists and formulas between backslashes, is broken by an invisible space.
Titles are plain text (`DefaultAttachment.tsx`)."""

ANY_TEXT: Final = Markup("plain text of any service", _any_text, code=_any_text)
ANY_MARKDOWN: Final = MARKDOWN._replace(name="Markdown of any service", escape=_any_markdown, code=_any_fenced)
ANY_HTML: Final = HTML._replace(
    name="HTML of any service", escape=_any_html, code=lambda text: f"<pre>{_any_html(text)}</pre>"
)
"""For Apprise, whose plugins pass these formats on to services of which Courier knows nothing: an invisible space also
breaks what is a mention, a tag or a link there."""
