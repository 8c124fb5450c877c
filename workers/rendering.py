"""One call as a person may see it: a request, a mail, or what a script gets, with secrets masked."""

from __future__ import annotations

from email import message_from_bytes
from email.policy import SMTP
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from common.errors import TransportError
from common.outcome import Reason
from common.secret import MASK
from workers.calls import AppriseCall, Mail, ScriptCall, SyslogFrames
from workers.transports.http.transport import prepare
from workers.transports.script.transport import arguments

if TYPE_CHECKING:
    from workers.calls import Request
    from workers.redaction import Redactor

ALERT_FILE: Final = Path("<alert file>")
OPTIONS_FILE: Final = Path("<options file>")


class RenderedCall(msgspec.Struct, frozen=True, omit_defaults=True):
    """One call. A request or a mail: method, url, headers, body. Script: argv, and files by their name in argv.

    Syslog: TCP or TLS as method, the collector's address as url, and body. Apprise: its format as method, the URL, and
    title and body; what the plugin makes of them is not known.
    """

    method: str = ""
    url: str = ""
    headers: dict[str, str] = {}
    body: str = ""
    argv: list[str] = []
    files: dict[str, str] = {}


def render_call(
    call: Request | Mail | ScriptCall | SyslogFrames | AppriseCall, redactor: Redactor, *, debug: bool = False
) -> RenderedCall:
    """Return a call with the secrets of its integration masked. `debug` is the argument that scripts get.

    Raises TransportError for a request with an invalid URL or header.
    """
    if isinstance(call, SyslogFrames):
        body = redactor.text(call.body.decode("utf-8", "replace"))
        return RenderedCall(method="TLS" if call.is_tls else "TCP", url=call.address, body=body)
    if isinstance(call, AppriseCall):
        body = redactor.text("\n\n".join(filter(None, (call.title, call.body))))
        schema = call.url.reveal().strip().partition("://")[0]
        return RenderedCall(method=f"APPRISE {call.format}", url=f"{schema}://{MASK}", body=body)
    if isinstance(call, ScriptCall):
        return _script(call, redactor, debug=debug)
    return _mail(call, redactor) if isinstance(call, Mail) else _request(call, redactor)


def _mail(call: Mail, redactor: Redactor) -> RenderedCall:
    """Return a mail with both parts readable."""
    mail = message_from_bytes(call.message, policy=SMTP)
    parts = [part for part in mail.walk() if not part.is_multipart()]
    bodies = (f"--- {part.get_content_type()}\n{part.get_content()}" for part in parts)
    headers = {"MAIL FROM": f"<{call.sender}>", "RCPT TO": f"<{call.recipient}>"} | {
        name: str(value) for name, value in mail.items()
    }
    return RenderedCall(
        method="SMTP",
        url=redactor.text(call.server.url),
        headers={name: redactor.text(value) for name, value in headers.items()},
        body=redactor.text("\n".join(bodies)),
    )


def _request(call: Request, redactor: Redactor) -> RenderedCall:
    """Return a request in the form that is sent."""
    try:
        request = prepare(call.method, call.url, call.headers, call.params)
    except Exception:  # noqa: BLE001 — any error of the libraries about a URL or header may quote a secret
        raise TransportError(Reason.INVALID_URL, "the URL or a header is invalid") from None
    headers: dict[str, Any] = {name: value for name, value in request.headers.items() if isinstance(value, str)}
    if call.body is not None:
        headers["Content-Length"] = str(len(call.body))
    return RenderedCall(
        method=call.method,
        url=redactor.text(request.url or ""),
        headers={name: redactor.text(value) for name, value in headers.items()},
        body="" if call.body is None else redactor.text(call.body.decode("utf-8", "replace")),
    )


def _script(call: ScriptCall, redactor: Redactor, *, debug: bool) -> RenderedCall:
    options = None if call.options_file is None else OPTIONS_FILE
    vector = arguments(call, ALERT_FILE, options, debug=debug)
    for position, secret in ((1, call.api_key), (2, call.hook_url)):
        vector[position] = MASK if secret else ""
    files = {str(ALERT_FILE): redactor.text(call.alert_file.decode("utf-8", "replace"))}
    if options and call.options_file is not None:
        files[str(options)] = redactor.text(call.options_file.decode("utf-8", "replace"))
    return RenderedCall(argv=[f"integrations/{call.name}", *vector], files=files)
