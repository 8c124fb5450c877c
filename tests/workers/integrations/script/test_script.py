from __future__ import annotations

import json
from typing import Any

import pytest

from common import lenient_json
from common.errors import TransportError
from common.integration import Integration
from common.outcome import Delivered, Reason, Rejected, Retry
from common.secret import MASK, Secret
from workers.alert.alert import Alert
from workers.calls import ScriptCall, ScriptExit
from workers.integrations.base import NotSendable
from workers.integrations.helpers.service_options import ServiceOptions
from workers.integrations.registry import make_service
from workers.integrations.script.script import Script, render_json
from workers.redaction import Redactor

HOOK = "https://hooks.example/services/T0/B0/s3cret-path?token=s3cret-query"
ALERT = Alert(b'{"rule":{"level":3},"n":1.0}')


def call_for(raw: bytes = ALERT.raw, **block: Any) -> ScriptCall:
    integration = Integration(**{"id": "custom-x", "name": "custom-x"} | block)
    return Script(integration, Redactor()).build_calls(Alert(raw))[0]


def read(exit_: ScriptExit) -> Any:
    script = make_service(
        Integration(
            id="custom-x",
            name="custom-x",
            hook_url=Secret(HOOK),
            api_key=Secret("s3cret-key"),
            options=Secret('{"nested":{"token":["s3cret-option"]}}'),
        )
    )
    return script.interpret(ALERT, script.build_calls(ALERT)[0], exit_)


def test_a_call_carries_the_block() -> None:
    call = call_for(api_key=Secret("k"), options=Secret("{}"), timeout_s=7, retries=0)
    assert (call.name, call.api_key, call.hook_url, call.timeout_s, call.retries) == (
        "custom-x",
        Secret("k"),
        None,
        7,
        0,
    )
    assert call.options_file == b"{}\n"
    assert call_for().options_file is None
    assert call_for(options=Secret("")).options_file == b"\n"


@pytest.mark.parametrize("alert_format", ["json", "jsonx"])
def test_the_json_form_is_the_lines_own_bytes(alert_format: str) -> None:
    assert call_for(alert_format=alert_format).alert_file == b'{"rule":{"level":3},"n":1.0}\n'


@pytest.mark.parametrize("alert_format", [None, "", "JSON", " json", "plain"])
def test_everything_else_is_the_text_form(alert_format: str | None) -> None:
    assert call_for(alert_format=alert_format).alert_file.startswith(b"alertdate=''\n")


@pytest.mark.parametrize(
    ("raw", "file"),
    [
        (b'\xef\xbb\xbf{"a":1}', b'{"a":1}'),
        (b'{"a":1}\0rest', b'{"a":1}'),
        (b'{"a":1} \0', b'{"a":1} '),
        (b'{"a":"tab\there \\" \x01"}\t', b'{"a":"tab\\there \\" \\u0001"}\t'),
        (b'{"a":"\xff"}', b'{"a":"\xff"}'),
    ],
)
def test_the_json_form_omits_only_invalid_parts(raw: bytes, file: bytes) -> None:
    assert call_for(raw, alert_format="json").alert_file == file + b"\n"
    assert json.loads(file.decode("utf-8", "replace"))


def test_an_alert_without_a_text_form_is_rejected() -> None:
    with pytest.raises(NotSendable) as refusal:
        call_for(b"no json")
    assert isinstance(refusal.value.outcome, Rejected)
    assert refusal.value.outcome.reason is Reason.INVALID_ALERT


def test_exit_0_delivers() -> None:
    assert read(ScriptExit(status=0, output="Error: whatever")) == Delivered()


@pytest.mark.parametrize(
    ("exit_", "reason", "detail"),
    [
        (ScriptExit(status=1, output="a\nlast\n\n"), Reason.SCRIPT_FAILED, "exit status 1: last"),
        (ScriptExit(status=3), Reason.SCRIPT_FAILED, "exit status 3"),
        (ScriptExit(status=137, output="x"), Reason.SCRIPT_FAILED, "killed by SIGKILL: x"),
        (ScriptExit(status=1, output="50 %\r100 %\x1b[0m"), Reason.SCRIPT_FAILED, "exit status 1: 100 % [0m"),
        (ScriptExit(status=1, output="y" * 900), Reason.SCRIPT_FAILED, f"exit status 1: {'y' * 500}…"),
    ],
)
def test_other_exit_statuses_are_retried_with_the_last_line(exit_: ScriptExit, reason: Reason, detail: str) -> None:
    assert read(exit_) == Retry(reason, detail)


@pytest.mark.parametrize("status", [126, 127])
def test_a_command_that_could_not_be_run_is_unusable(status: int) -> None:
    outcome = read(ScriptExit(status=status, output="sh: python9: not found"))
    assert outcome.reason is Reason.SCRIPT_UNUSABLE
    assert outcome.detail.endswith("a program that it calls, was not found: sh: python9: not found") or status == 126


@pytest.mark.parametrize(
    "line",
    [
        f"failed for {HOOK}",
        "HTTPSConnectionPool(host='hooks.example', port=443): url: /services/T0/B0/s3cret-path?token=s3cret-query",
        "POST /services/T0/B0/S3CRET-PATH",
        "bad key s3cret-key",
        "bad options s3cret-option",
        'options: {"nested":{"token":["s3cret-option"]}}',
    ],
)
def test_no_secret_reaches_a_dead_letter(line: str) -> None:
    detail = read(ScriptExit(status=1, output=line)).detail
    assert "s3cret" not in detail.lower()
    assert MASK in detail


@pytest.mark.parametrize("hook", ["", "http://[bad", "not a url"])
def test_masking_works_with_unusual_settings(hook: str) -> None:
    script = make_service(Integration(id="custom-x", name="custom-x", hook_url=Secret(hook), options=Secret("no json")))
    assert script.interpret(ALERT, script.build_calls(ALERT)[0], ScriptExit(status=2, output="fine")) == Retry(
        Reason.SCRIPT_FAILED, "exit status 2: fine"
    )


def test_a_run_without_exit_status_is_retried() -> None:
    error = TransportError(Reason.SCRIPT_TIMEOUT, "stopped after 60 s")
    outcome = Script(Integration(id="custom-x", name="custom-x"), Redactor()).interpret_failure(
        ALERT, call_for(), error
    )
    assert outcome == Retry(Reason.SCRIPT_TIMEOUT, "stopped after 60 s")


def test_a_permanent_exit_code_is_a_dead_letter() -> None:
    script = make_service(Integration(id="custom-x", name="custom-x"), ServiceOptions(permanent_exit_codes=(2, 64)))
    call = script.build_calls(ALERT)[0]
    assert script.interpret(ALERT, call, ScriptExit(status=2, output="bad key")) == Rejected(
        Reason.SCRIPT_FAILED, "exit status 2: bad key"
    )
    assert isinstance(script.interpret(ALERT, call, ScriptExit(status=3)), Retry)


@pytest.mark.parametrize(
    ("line", "handed"),
    [
        (b'{"a":"x\0y"}\0junk"', {"a": "x\0y"}),
        (b'{"a":1,\0"b":"\x01"}\0', {"a": 1, "b": "\x01"}),
        (b'\0{"a":"}\0{"}', {"a": "}\0{"}),
        (b'{"a":\x0b1}', {"a": 1}),
    ],
)
def test_the_json_file_is_strict_json(line: bytes, handed: object) -> None:
    assert json.loads(render_json(line)) == handed == lenient_json.parse(line, levels=3)
