"""One call as a person may see it: a request, or the arguments and files of a script, with secrets masked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from common.errors import TransportError
from common.outcome import Reason
from common.secret import MASK
from workers.calls import ScriptCall, SyslogFrames
from workers.transports.http.transport import prepare
from workers.transports.script.transport import arguments

if TYPE_CHECKING:
    from workers.calls import Request
    from workers.redaction import Redactor

ALERT_FILE: Final = Path("<alert file>")
OPTIONS_FILE: Final = Path("<options file>")


class RenderedCall(msgspec.Struct, frozen=True, omit_defaults=True):
    """One call. HTTP: method, url, headers and body. Script: argv, and the content of files by their name in argv.

    Syslog: TCP or TLS as method, the collector's address as url, and body.
    """

    method: str = ""
    url: str = ""
    headers: dict[str, str] = {}
    body: str = ""
    argv: list[str] = []
    files: dict[str, str] = {}


def render_call(call: Request | ScriptCall | SyslogFrames, redactor: Redactor, *, debug: bool = False) -> RenderedCall:
    """Return a call with the secrets of its integration masked. `debug` is the argument that scripts get.

    Raises TransportError for a request with an invalid URL or header.
    """
    if isinstance(call, SyslogFrames):
        body = redactor.text(call.body.decode("utf-8", "replace"))
        return RenderedCall(method="TLS" if call.is_tls else "TCP", url=call.address, body=body)
    return _script(call, redactor, debug=debug) if isinstance(call, ScriptCall) else _request(call, redactor)


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
