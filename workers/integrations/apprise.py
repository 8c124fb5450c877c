"""Apprise: each alert is one message to any of the services that Apprise has a plugin for.

hook_url is a URL of Apprise, such as `pover://USER@TOKEN` (appriseit.com/services). Its plugin says in which format it
takes messages and how long they may be: `notify_format`, `title_maxlen` and `body_maxlen`, in characters, which are
counted in UTF-16 units here, as some services do. `format=` in the URL selects another format that the plugin has.

Where a service has no title, it is the first line of the message. In a title of its own, no service of Apprise expects
markup.

The status of the plugin's last response decides, as for every service (`helpers/http_status.py`). If the plugin failed
although the status is 2xx, the service has said no in the body; which one would accept the next alert is not known, so
it is retried as `invalid_response`.
"""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING, Final

from common.outcome import Delivered, Reason, Retry
from workers.apprise.plugin import HTML, MARKDOWN, TEXT, PluginError, PluginFacts, facts_of, open_plugin
from workers.calls import AppriseCall, AppriseReply
from workers.integrations.base import failure_outcome
from workers.integrations.chat import MAX_LINK_BYTES, OPEN
from workers.integrations.helpers import config
from workers.integrations.helpers.alert_fields import fields_of, require_level
from workers.message.limits import Limits, cut, utf16_units
from workers.message.markup import ANY_HTML, ANY_MARKDOWN, ANY_TEXT
from workers.message.renderer import MessageRenderer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from common.errors import TransportError
    from common.integration import Integration
    from common.outcome import Outcome
    from common.secret import Secret
    from workers.alert.alert import Alert
    from workers.calls import Response
    from workers.integrations.helpers.http_status import StatusClassifier
    from workers.integrations.helpers.service_options import ServiceOptions
    from workers.message.markup import Markup
    from workers.message.message import Message

MARKUPS: Final[Mapping[str, Markup]] = {TEXT: ANY_TEXT, MARKDOWN: ANY_MARKDOWN, HTML: ANY_HTML}
LINE_ENDS: Final[Mapping[str, str]] = {TEXT: "\n", MARKDOWN: "\n", HTML: "<br />"}

UNKNOWN: Final = PluginFacts(name="Apprise", format=TEXT, title_chars=250, body_chars=1_000)
"""Without Apprise on this worker. The transport then says what to install, and the alerts wait."""

KINDS: Final = ((12, "failure"), (8, "warning"), (0, "info"))
"""The lowest level of each type of notification, with the levels of the colours (`workers/message/message.py`)."""

MAX_TITLE: Final = 250
MAX_NOTE: Final = 200

_ESCAPED: Final = re.compile(r"\\([^\w\s])")
_TAG: Final = re.compile(r"<[^<>]*>")


class Apprise:
    """One integration with a service of Apprise. Needs hook_url."""

    def __init__(self, block: Integration, statuses: StatusClassifier, choices: ServiceOptions) -> None:
        """Raise ConfigError if the block is invalid, or Apprise does not accept its hook_url."""
        self._url = config.hook_url(block)
        self._statuses = statuses
        self._facts = _facts(block, self._url)
        self.markup = MARKUPS[self._facts.format]
        limits = Limits(
            title=min(MAX_TITLE, self._facts.title_chars or max(self._facts.body_chars // 2, 1)),
            value=500,
            total=self._facts.body_chars,
            measure=utf16_units,
        )
        self.messages = MessageRenderer(block, self.markup, limits, choices)

    def build_calls(self, alert: Alert) -> Sequence[AppriseCall]:
        """Return the one message. Raises NotSendable if the alert has no rule with a level."""
        fields = fields_of(alert)
        require_level(fields)  # without a rule it is no alert
        message = self.messages.render(alert, fields)
        return (
            AppriseCall(
                url=self._url,
                title=self._title(message) if self._facts.title_chars else "",
                body=self._body(message),
                format=self._facts.format,
                kind=next(kind for lowest, kind in KINDS if message.level >= lowest or not lowest),
            ),
        )

    def interpret(self, alert: Alert, call: AppriseCall, response: Response) -> Outcome:  # noqa: ARG002 — interface of Service
        """Return the meaning of the status, and of what the plugin made of it."""
        outcome = self._statuses.classify(response)
        if isinstance(outcome, Delivered) and isinstance(response, AppriseReply) and response.is_refused:
            detail = f"{self._facts.name} refused the message: {self._statuses.detail(response)}"
            return Retry(Reason.INVALID_RESPONSE, detail)
        return outcome

    def interpret_failure(self, alert: Alert, call: AppriseCall, error: TransportError) -> Outcome:  # noqa: ARG002 — as above
        """Retry, unless a retry cannot help."""
        return failure_outcome(error)

    def _title(self, message: Message) -> str:
        """Return the title as plain text."""
        title = message.title
        if self._facts.format == HTML:
            title = html.unescape(_TAG.sub("", title))
        elif self._facts.format == MARKDOWN:
            title = _ESCAPED.sub(r"\1", title)
        return cut(ANY_TEXT.escape(title), self._facts.title_chars, ANY_TEXT, utf16_units)

    def _body(self, message: Message) -> str:
        """Return text, fields, link and note within the plugin's limit; only text and fields are cut."""
        markup, line_end = self.markup, LINE_ENDS[self._facts.format]
        item = "- " if self._facts.format == MARKDOWN else ""
        fields = line_end.join(f"{item}{markup.bold(one.name)}: {one.value}" for one in message.fields)
        text = message.text.replace("\n", line_end)
        title = "" if self._facts.title_chars and (text or fields) else markup.bold(message.title)
        link = message.link if utf16_units(message.link) <= MAX_LINK_BYTES else ""
        if link:
            link = link if self._facts.format == TEXT else markup.link(OPEN, link)
        note = cut(markup.escape(message.note), MAX_NOTE, markup, utf16_units)
        gap = 2 * line_end
        tail = "".join(f"{gap}{one}" for one in (link, note) if one)
        if utf16_units(tail) > self._facts.body_chars // 2:
            tail = ""
        head = gap.join(filter(None, (title, text, fields)))
        return cut(head, self._facts.body_chars - utf16_units(tail), markup, utf16_units) + tail


def _facts(block: Integration, url: Secret) -> PluginFacts:
    try:
        return facts_of(open_plugin(url.reveal()))
    except ModuleNotFoundError:
        return UNKNOWN
    except PluginError as error:
        raise config.config_error(block, "hook_url", str(error)) from None
