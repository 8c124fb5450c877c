"""Email: each alert is a mail of text and HTML, by SMTP (RFC 5321) to the operator's own server.

Each recipient is a call of its own. So a recipient for whom the server accepted the mail does not get it again when
another one is retried. `To` names all of them.

    4yz             retry, at least a minute later: greylisting, a full mailbox, a server that is busy
    421             retry, as for a lost connection: the server closes it
    5yz             for RCPT, DATA and the mail itself: rejected; the address or the mail is not accepted
    5yz             for everything before, and 5.7.z for RCPT (RFC 3463, 3.8: policy): retry, because it affects
                    every alert: log-in, sender, or a server that does not relay for us
    552 for MAIL    too_large: the server announced a smaller limit (RFC 1870)

`Message-ID` follows from the delivery's id and is the same in each attempt, so that mail systems recognise a repeated
mail. `In-Reply-To` and `References` name a mail that does not exist, the same for all mails of a rule and an agent:
mail programs show them as one conversation (RFC 5322, 3.6.4). `Auto-Submitted` keeps vacation programs from replying
(RFC 3834, 5). The server that relays the mail signs it (DKIM); Courier has no key for the domain.
"""

from __future__ import annotations

import hashlib
import html
import re
from datetime import UTC, datetime
from email.header import Header
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from email.policy import compat32
from email.utils import format_datetime, formataddr
from typing import TYPE_CHECKING, Final

from common.outcome import Delivered, Reason, Rejected, Retry
from common.services.email import EmailOptions, Tls, sender_of, server_of
from common.services.sections import options_of
from common.templates.values import text_of
from workers.calls import CONTENT, Mail, MailServer
from workers.integrations.base import failure_outcome
from workers.integrations.helpers import config
from workers.integrations.helpers.alert_fields import fields_of, get, require_level
from workers.message.limits import Limits
from workers.message.markup import HTML, one_line
from workers.message.renderer import MessageRenderer
from workers.redaction import readable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from common.errors import TransportError
    from common.integration import Integration
    from common.outcome import Outcome
    from workers.alert.alert import Alert
    from workers.calls import MailReply
    from workers.integrations.helpers.alert_fields import Fields
    from workers.integrations.helpers.http_status import StatusClassifier
    from workers.integrations.helpers.service_options import ServiceOptions
    from workers.message.message import Message

MAX_SUBJECT_CHARS: Final = 200

IMPORTANT_LEVEL: Final = 12
"""Mails from this level on, where the colour is red, are marked as important (RFC 4021, "Importance")."""

CLOSING: Final = 421
NEEDS_LOGIN: Final = 530
TOO_LARGE: Final = 552

_POLICY: Final = compat32.clone(linesep="\r\n")
"""The newer policies of the library parse each header that they are given, which takes 10 ms a mail."""

_ABOUT_THE_MAIL: Final = frozenset({"RCPT", "DATA", CONTENT})
_BY_POLICY: Final = b"5.7."

_LINE_END: Final = re.compile(r"<br\b[^<>]*>|</(?:p|div|tr|li|h[1-6])>", re.IGNORECASE)
_TAG: Final = re.compile(r"<[^<>]*>")

_PAGE: Final = """\
<!DOCTYPE html>
<html><head><meta charset="utf-8"></head>
<body style="font-family:sans-serif">
<div style="border-left:4px solid #{colour:06x};padding-left:12px">
<h3 style="margin:0 0 12px">{title}</h3>
{parts}
</div>
</body></html>
"""


class Email:
    """One integration with a mail server. Needs hook_url, a sender and recipients."""

    markup = HTML
    limits = Limits(title=MAX_SUBJECT_CHARS, text=20_000, fields=50, value=2_000, total=60_000)

    def __init__(self, block: Integration, statuses: StatusClassifier, choices: ServiceOptions) -> None:
        """Raise ConfigError if the block or its section is invalid."""
        options = options_of(block, EmailOptions)
        try:
            server = server_of(config.hook_url(block).reveal())
        except ValueError as error:
            raise config.config_error(block, "hook_url", str(error)) from None
        if not options.from_ or not options.to:
            raise config.config_error(block, "email", "needs from and to")
        self._server = MailServer(
            url=server.url,
            starttls=server.scheme == "smtp" and options.tls is Tls.STARTTLS,
            user=options.user,
            password=options.password,
        )
        self._sender, self._recipients = sender_of(options.from_), options.to
        self._from = formataddr(self._sender)
        self._integration, self._has_threads = block.id, options.thread
        self._messages = MessageRenderer(block, self.markup, self.limits, choices)
        self._statuses = statuses

    def build_calls(self, alert: Alert) -> Sequence[Mail]:
        """Return one mail for each recipient. Raises NotSendable if the alert has no rule with a level."""
        fields = fields_of(alert)
        require_level(fields)
        content = self._content(alert, fields, self._messages.render(alert, fields))
        return [
            Mail(server=self._server, sender=self._sender.address, recipient=one, message=content, key=one.lower())
            for one in self._recipients
        ]

    def interpret(self, alert: Alert, call: Mail, response: MailReply) -> Outcome:  # noqa: ARG002 — interface of Service
        """Return the meaning of the reply, by the table above."""
        reply = self._statuses.detail(response).removeprefix("HTTP ")
        detail = f"{call.recipient}: {response.command or 'greeting'}: SMTP {reply}"
        if response.status == CLOSING:
            return Retry(Reason.CONNECTION_FAILED, detail)
        match response.status // 100:
            case 2:
                return Delivered()
            case 4:
                return Retry(Reason.SMTP_4XX, detail)
            case 5:
                return _refusal(response, detail)
            case _:
                return Retry(Reason.INVALID_RESPONSE, detail)

    def interpret_failure(self, alert: Alert, call: Mail, error: TransportError) -> Outcome:  # noqa: ARG002 — as above
        """Retry, unless a retry cannot help."""
        return failure_outcome(error)

    def _content(self, alert: Alert, fields: Fields, message: Message) -> bytes:
        """Return the mail. No alert adds a header or a part: the subject is one line, and the parts are base64."""
        mail = MIMEMultipart("alternative", boundary=f"={self._digest('boundary', alert.delivery_id)}", policy=_POLICY)
        subject = one_line(readable(plain(message.title)))
        mail["From"], mail["To"] = self._from, ", ".join(self._recipients)
        charset = "us-ascii" if subject.isascii() else "utf-8"
        mail["Subject"] = Header(subject, charset, header_name="Subject")  # type: ignore[assignment]  # of compat32
        mail["Date"] = format_datetime(datetime.fromtimestamp(self._statuses.now_s(), UTC))
        mail["Message-ID"] = self._id("delivery", alert.delivery_id)
        if self._has_threads:
            rule, agent = (text_of(get(fields, part, "id")) for part in ("rule", "agent"))
            mail["In-Reply-To"] = mail["References"] = self._id("thread", rule, agent)
        mail["Auto-Submitted"] = "auto-generated"
        if message.level >= IMPORTANT_LEVEL:
            mail["Importance"] = "high"
        for content, kind in ((text_part(message), "plain"), (html_part(message), "html")):
            lines = content.replace("\n", "\r\n")  # within base64 as well (RFC 2045, 6.8)
            mail.attach(MIMEText(lines, kind, "utf-8", policy=_POLICY))
        return mail.as_bytes()

    def _id(self, kind: str, *parts: str) -> str:
        domain = self._sender.address.rpartition("@")[2]
        return f"<{kind}.{self._digest(kind, *parts)}@{domain}>"

    def _digest(self, *parts: str) -> str:
        named = "\0".join((self._integration, *parts)).encode("utf-8", "replace")
        return hashlib.blake2b(named, digest_size=16).hexdigest()


def _refusal(reply: MailReply, detail: str) -> Outcome:
    """Return the meaning of 5yz: about this mail or recipient, or about everything that we send."""
    if (reply.command, reply.status) == ("MAIL", TOO_LARGE):
        return Rejected(Reason.TOO_LARGE, detail)
    is_by_policy = reply.command == "RCPT" and reply.body.startswith(_BY_POLICY)
    if reply.command not in _ABOUT_THE_MAIL or reply.status == NEEDS_LOGIN or is_by_policy:
        return Retry(Reason.UNAUTHORIZED, detail)
    return Rejected(Reason.SMTP_5XX, detail)


def plain(text: str) -> str:
    """Return HTML as text. Alert text is escaped, so only the operator's own tags are removed."""
    return html.unescape(_TAG.sub("", _LINE_END.sub("\n", text)))


def text_part(message: Message) -> str:
    """Return the part of plain text."""
    fields = "\n".join(f"{plain(one.name)}: {plain(one.value)}" for one in message.fields)
    parts = (plain(message.title), plain(message.text), fields, message.link, message.note)
    return "\n\n".join(filter(None, parts)) + "\n"


def html_part(message: Message) -> str:
    """Return the part of HTML. It loads nothing from elsewhere."""
    rows = "".join(
        f'<tr><td style="padding-right:12px;vertical-align:top"><b>{one.name}</b></td>'
        f'<td style="white-space:pre-wrap">{one.value}</td></tr>\n'
        for one in message.fields
    )
    parts = (
        f'<div style="white-space:pre-wrap">{message.text}</div>' if message.text else "",
        f'<table style="margin-top:12px">\n{rows}</table>' if rows else "",
        f"<p>{HTML.link('Open the alert', message.link)}</p>" if message.link else "",
        f"<p><i>{HTML.escape(message.note)}</i></p>" if message.note else "",
    )
    return _PAGE.format(colour=message.colour, title=message.title, parts="\n".join(filter(None, parts)))
