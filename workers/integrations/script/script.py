"""Custom scripts: runs the user's program once for each alert, with the interface of the stock Integrator.

This module only makes the contents of the files. The script transport writes them and starts the process.
"""

from __future__ import annotations

import json
import re
import signal
from typing import TYPE_CHECKING, Final

from common import lenient_json
from common.outcome import Delivered, Reason, Rejected, Retry
from workers.calls import ScriptCall
from workers.integrations import base
from workers.integrations.base import NotSendable
from workers.integrations.script.output import last_line
from workers.integrations.script.text_alert import render_text
from workers.message.markup import NONE as NO_MARKUP

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from common.errors import TransportError
    from common.integration import Integration
    from common.outcome import Outcome
    from workers.alert.alert import Alert
    from workers.calls import ScriptExit
    from workers.redaction import Redactor

UNUSABLE: Final = {
    126: "it, or a program that it calls, is not executable",
    127: "it, or a program that it calls, was not found",
}
"""The exit status of a shell for a command that could not be run (POSIX, Shell Command Language, 2.8.2)."""

_SIGNALLED: Final = 128
_CONTROL: Final = re.compile(rb"[\x00-\x1f]")
_STRING_OR_CONTROL: Final = re.compile(rb'"(?:[^"\\]|\\.)*"|[\x00-\x08\x0b\x0c\x0e-\x1f]', re.DOTALL)
"""Outside of strings, JSON allows tab, line feed and carriage return as white space (RFC 8259, 2)."""


class Script:
    """The service of one custom script's block."""

    markup: Final = NO_MARKUP

    def __init__(
        self, integration: Integration, redactor: Redactor, permanent_exit_codes: Collection[int] = ()
    ) -> None:
        self._integration, self._redactor, self._final_exits = integration, redactor, frozenset(permanent_exit_codes)
        options = integration.options
        self._options = None if options is None else f"{options.reveal()}\n".encode("utf-8", "surrogateescape")

    def build_calls(self, alert: Alert) -> Sequence[ScriptCall]:
        """Return the one run. Raises NotSendable if the alert has no text form."""
        block = self._integration
        return (
            ScriptCall(
                name=block.service,
                alert_file=self._alert_file(alert.raw),
                options_file=self._options,
                api_key=block.api_key,
                hook_url=block.hook_url,
                timeout_s=block.timeout_s,
                retries=block.retries,
            ),
        )

    def interpret(self, alert: Alert, call: ScriptCall, response: ScriptExit) -> Outcome:  # noqa: ARG002 — a Service's shape
        """Return the meaning of the exit status, with the last line of the output as the detail."""
        if response.status == 0:
            return Delivered()
        detail = ": ".join(filter(None, (_status(response.status), last_line(response.output, self._redactor))))
        if response.status in self._final_exits:
            return Rejected(Reason.SCRIPT_FAILED, detail)
        return Retry(Reason.SCRIPT_UNUSABLE if response.status in UNUSABLE else Reason.SCRIPT_FAILED, detail)

    def interpret_failure(self, alert: Alert, call: ScriptCall, error: TransportError) -> Outcome:  # noqa: ARG002 — as above
        """Return the usual outcome of a failure."""
        return base.failure_outcome(error)

    def _alert_file(self, raw: bytes) -> bytes:
        if self._integration.wants_json:
            return render_json(raw)
        try:
            return render_text(raw, self._integration.max_log)
        except ValueError as error:
            raise NotSendable(Rejected(Reason.INVALID_ALERT, str(error))) from None


def render_json(raw: bytes) -> bytes:
    """Return the JSON file for one line of the alert log: the line's own bytes (D4) and a newline.

    Two parts that are not JSON are removed: a byte order mark, and the text from a NUL byte after the value on (spec
    2.4). Strict readers refuse control characters: they are escaped in strings and become spaces between tokens.
    """
    raw = raw.removeprefix(lenient_json.BOM)
    if _CONTROL.search(raw):
        raw = _STRING_OR_CONTROL.sub(_strict, _until_nul(raw) if b"\0" in raw else raw)
    return raw + b"\n"


def _until_nul(raw: bytes) -> bytes:
    """Return the bytes up to the first NUL byte after the value, or all bytes if there is none."""
    try:
        end = lenient_json.value_offsets(raw.decode("latin-1"))[1] + 1  # one character a byte, and JSON's own are ASCII
    except ValueError:
        return raw
    return raw[:end] + raw[end:].partition(b"\0")[0]


def _strict(found: re.Match[bytes]) -> bytes:
    """Return a string or a control character in a form that strict readers accept."""
    return _CONTROL.sub(_escaped, found[0]) if found[0].startswith(b'"') else b" "


def _escaped(control: re.Match[bytes]) -> bytes:
    return json.dumps(control[0].decode())[1:-1].encode()


def _status(status: int) -> str:
    """Describe an exit status, such as `exit status 1` or `killed by SIGKILL`."""
    if status in UNUSABLE:
        return f"exit status {status}: {UNUSABLE[status]}"
    try:
        return f"killed by {signal.Signals(status - _SIGNALLED).name}"
    except ValueError:
        return f"exit status {status}"
