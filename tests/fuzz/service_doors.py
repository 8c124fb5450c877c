"""The doors of service modules: what operators write for them, what they make of an alert, and what targets respond.

They take their blocks from the tests of all services, so a new service is behind these doors as well.
"""

from __future__ import annotations

import json
import time
from contextlib import suppress
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any, Final

from common.errors import SettingsError, TemplateError
from common.outcome import Reason, Retry
from common.services import SERVICES
from common.settings.load import load_settings
from common.templates.environment import MAX_OUTPUT_CHARS, Compiler
from common.templates.source import TemplateSource
from producer.configuration import read_configuration
from producer.filters.decode import InvalidAlert, decode_line
from tests.workers.integrations.every_service import SETTINGS
from tests.workers.integrations.examples import alert, service
from workers.alert.alert import Alert
from workers.calls import AppriseCall, AppriseReply, Mail, MailReply, Response, Sent, SyslogFrames
from workers.integrations.base import Batching, Deciding, NotSendable
from workers.integrations.helpers.http_status import MAX_RETRY_AFTER_S
from workers.integrations.registry import make_service
from workers.message.markup import HTML
from workers.message.renderer import variables

if TYPE_CHECKING:
    from workers.integrations.base import Service

ALERT: Final = alert(syscheck={"path": "/x", "md5_after": "44d88612fea8a8f36de82e1278abb02f"})
CLOCK: Final = 4
"""How much faster the clock of a template's time limit runs: the limit of a door is for compiling as well."""

_HOOK: Final = {"hook_url": "https://hooks.example.com/x"}
_VARIANTS: Final = (
    *(("webhook", {**_HOOK, "webhook": {"format": one}}) for one in ("cloudevents", "alertmanager", "ocsf")),
    ("jira", {**SETTINGS["jira"], "hook_url": "https://jira.example.com"}),  # Data Center
    ("syslog", {"syslog": {"address": "siem.example.com:6514", "format": "cef"}}),
)
MADE: Final = [service(name, **settings) for name, settings in (*SETTINGS.items(), *_VARIANTS)]
STATUSES: Final = (200, 201, 202, 204, 302, 400, 401, 403, 404, 409, 413, 429, 500, 503)
COMMANDS: Final = ("", "EHLO", "AUTH", "MAIL", "RCPT", "DATA", "content")
HEADERS: Final = ("retry-after", "x-ratelimit-reset-after", "x-ratelimit-reset", "x-ratelimit-remaining")
_HOME: Final = Path(mkdtemp(prefix="courier-fuzz-"))
(_HOME / "ossec.conf").write_text("<ossec_config></ossec_config>")


def message(data: bytes) -> None:
    """Compile it as a template of a message and of a JSON document, and render it for an alert."""
    source = TemplateSource(data.decode("utf-8", "replace"))
    values = variables(ALERT, ALERT.fields, "soc")
    for compiler in (
        Compiler(HTML.escape, code=HTML.code, cpu=_cpu_s),
        Compiler(as_json=True, cpu=_cpu_s),
    ):
        with suppress(TemplateError):
            assert len(compiler.compile(source).render(values)) <= MAX_OUTPUT_CHARS


def service_options(data: bytes) -> None:
    """Read it as the table of an integration; what the producer accepts, the service module can use."""
    names = list(SERVICES)
    name = names[data[0] % len(names)] if data else "webhook"
    table = b'[integrations.x]\nservice = "%s"\n' % name.encode()
    (_HOME / "courier.toml").write_bytes(table + data[1:])
    overrides = {"producer.config": "ossec.conf"}
    with suppress(SettingsError):
        settings = load_settings(file=None, environment={}, cwd=_HOME, overrides=overrides)
        for one in read_configuration(settings).integrations:
            assert _reason(make_service(one)) is not Reason.NOT_CONFIGURED, "check accepts what workers refuse"


def service_calls(data: bytes) -> None:
    """Let the service that the first byte names build its calls for the alert behind it."""
    line = data[1:]
    try:
        decode_line(line)
        calls = MADE[data[0] % len(MADE)].build_calls(Alert(line, "node:4f2a:1"))
    except (IndexError, InvalidAlert, NotSendable):
        return
    for call in calls:
        if isinstance(call, SyslogFrames):
            length, _, frame = call.body.partition(b" ")
            assert int(length) == len(frame)
            assert not any(one < 32 or one == 127 for one in frame), "a collector would see several messages"
        elif isinstance(call, Mail):
            assert max(map(len, call.message.split(b"\r\n"))) <= 998
        elif isinstance(call, AppriseCall):
            assert f"{call.title}\n{call.body}".encode()
        elif call.body:
            json.loads(call.body)


def service_answers(data: bytes) -> None:
    """Let a service interpret a response to each of its calls: service, status, headers, then the body."""
    if len(data) < 2:
        return
    served, status = MADE[data[0] % len(MADE)], STATUSES[data[1] % len(STATUSES)]
    header, body = data[2:12].decode("latin-1"), data[12:]
    planned = served.build_calls(ALERT)
    for call in planned:
        answer: Any = Response(status=status, headers=dict.fromkeys(HEADERS, header), body=body)
        if isinstance(call, Mail):
            answer = MailReply(status=200 + data[1] * 2, body=body, command=COMMANDS[data[1] % len(COMMANDS)])
        elif isinstance(call, SyslogFrames):
            answer = Sent()
        elif isinstance(call, AppriseCall):
            answer = AppriseReply(status=answer.status, headers=answer.headers, body=body, is_refused=bool(data[1] & 1))
        outcome = served.interpret(ALERT, call, answer)
        after_s = outcome.after_s if isinstance(outcome, Retry) else None
        assert after_s is None or 0 <= after_s <= MAX_RETRY_AFTER_S
        if isinstance(served, Deciding):
            served.next_calls(ALERT, call, answer, planned)
        if isinstance(served, Batching):
            assert isinstance(served.culprit(answer), int | None)


def _reason(served: Service[Any, Any]) -> Reason | None:
    """Return why a service does not send the alert, None if it does."""
    try:
        served.build_calls(ALERT)
    except NotSendable as refused:
        return refused.outcome.reason
    return None


def _cpu_s() -> float:
    return CLOCK * time.thread_time()


SERVICE_DOORS: Final = (message, service_options, service_calls, service_answers)
