"""What holds for all of them: one meaning of every HTTP status, and no secret in anything that people see."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

import pytest

from common.errors import TransportError
from common.outcome import Delivered, Reason, Rejected, Retry
from common.services import MERGES_OPTIONS
from tests.workers.integrations.every_service import SECRETS, SETTINGS, TOKEN
from tests.workers.integrations.examples import alert, response, service
from workers.alert.alert import Alert
from workers.calls import AppriseCall
from workers.integrations.base import Batching, NotSendable
from workers.integrations.registry import SERVICES

if TYPE_CHECKING:
    from common.outcome import Outcome
    from workers.calls import Request

BY_HTTP = [name for name in SERVICES if name not in {"email", "syslog"}]
"""test_email.py has the same tests for the replies of SMTP; syslog has no replies."""
EVERY = alert(syscheck={"path": "/x", "md5_after": "44d88612fea8a8f36de82e1278abb02f", "sha1_after": "3395"})


def plain_meaning(status: int) -> tuple[type, Reason | None]:
    """Say what D9 makes of a status, without the table under test."""
    special = {
        **dict.fromkeys((401, 402, 403), (Retry, Reason.UNAUTHORIZED)),
        **dict.fromkeys((404, 405, 406, 410, 415, 421, 426, 451), (Retry, Reason.GONE)),
        408: (Retry, Reason.TIMEOUT),
        425: (Retry, Reason.HTTP_5XX),
        407: (Retry, Reason.CONNECTION_FAILED),
        429: (Retry, Reason.RATE_LIMITED),
    }
    usual = {
        1: (Retry, Reason.INVALID_RESPONSE),
        2: (Delivered, None),
        3: (Rejected, Reason.REDIRECT),
        4: (Rejected, Reason.HTTP_4XX),
        5: (Retry, Reason.HTTP_5XX),
    }
    return special.get(status) or usual[status // 100]


EXCEPTIONS: dict[tuple[str, int], tuple[type, Reason | None]] = {
    ("virustotal", 204): (Retry, Reason.RATE_LIMITED),
    ("maltiverse", 200): (Retry, Reason.INVALID_RESPONSE),  # the body of this test is no JSON
    ("virustotal", 200): (Retry, Reason.INVALID_RESPONSE),
    ("maltiverse", 404): (Delivered, None),
    ("virustotal", 404): (Rejected, Reason.HTTP_4XX),  # about the file
    ("maltiverse", 204): (Delivered, None),
    ("jira", 400): (Retry, Reason.GONE),  # of a search, it is about the project
}


def expected(name: str, status: int) -> tuple[type, Reason | None]:
    if exception := EXCEPTIONS.get((name, status)):
        return exception
    meaning = plain_meaning(status)
    looks_up = name in {"virustotal", "maltiverse", "jira", "iris"}  # the first call of the last two is a search
    return (Retry, Reason.INVALID_RESPONSE) if looks_up and meaning == (Delivered, None) else meaning


@pytest.mark.parametrize("name", BY_HTTP)
def test_every_status_has_its_one_meaning(name: str) -> None:
    integration = service(name, **SETTINGS[name])
    call = integration.build_calls(EVERY)[0]
    read = {status: integration.interpret(EVERY, call, response(status, b"words")) for status in range(100, 600)}
    meanings = {status: (type(outcome), getattr(outcome, "reason", None)) for status, outcome in read.items()}
    assert meanings == {status: expected(name, status) for status in range(100, 600)}


@pytest.mark.parametrize("name", BY_HTTP)
def test_only_the_request_itself_contains_secrets(name: str) -> None:
    integration = service(name, **SETTINGS[name])
    (call, *_) = integration.build_calls(EVERY)
    echoes = [form.encode() for text in everything_in(call) for form in (text, quote(text, safe=""), unquote(text))]
    seen = [repr(integration), str(integration), repr(call), str(call)]
    for echo in echoes:
        seen += [shown(integration.interpret(EVERY, call, response(status, echo))) for status in range(100, 600, 7)]
    for reason in Reason:
        seen.append(shown(integration.interpret_failure(EVERY, call, TransportError(reason, "no answer"))))
    assert [text for text in seen if any(secret.lower() in text.lower() for secret in SECRETS)] == []


@pytest.mark.parametrize("raw", [b"", b"[]", b"{}", b'{"rule": 7}', b"\xff", b"[" * 100_000, b'{"a":' * 900])
@pytest.mark.parametrize("name", SERVICES)
def test_an_invalid_line_is_refused_and_raises_nothing_else(name: str, raw: bytes) -> None:
    with pytest.raises(NotSendable) as refused:
        service(name, **SETTINGS[name]).build_calls(Alert(raw))
    assert len(refused.value.outcome.detail) < 120


@pytest.mark.parametrize("name", SERVICES)
def test_an_invalid_block_is_rejected_with_file_and_line(name: str) -> None:
    with pytest.raises(NotSendable) as refused:
        service(name).build_calls(EVERY)
    assert isinstance(refused.value.outcome, Rejected)
    assert refused.value.outcome.reason is Reason.NOT_CONFIGURED
    assert refused.value.outcome.detail.startswith("ossec.conf:7: <")


@pytest.mark.parametrize(("name", "batch"), [("splunk-hec", 100), ("syslog", 100), ("webhook", 2)])
def test_a_batch_of_one_is_the_call_as_it_was_built(name: str, batch: int) -> None:
    settings = SETTINGS[name]
    options = {"batch": batch, **settings.get(name, {})}
    served = service(name, **settings | {name: options})
    assert isinstance(served, Batching)
    assert served.batch == batch
    calls = served.build_calls(EVERY)
    assert served.join(calls) is calls[0]


@pytest.mark.parametrize("name", sorted(MERGES_OPTIONS))
@pytest.mark.parametrize("options", ["", TOKEN, "[1]", '{"a": NaN}', f'{{"{TOKEN}": }}', '"x"', '[[1, "a"]]'])
def test_broken_options_are_refused_without_quoting_them(name: str, options: str) -> None:
    with pytest.raises(NotSendable) as refused:
        service(name, **(SETTINGS[name] | {"options": options})).build_calls(EVERY)
    assert refused.value.outcome.detail.startswith("ossec.conf:7: <options>: ")
    assert TOKEN not in shown(refused.value.outcome)


def everything_in(call: Request | AppriseCall) -> list[str]:
    if isinstance(call, AppriseCall):
        return [call.url.reveal(), call.title, call.body]
    body = (call.body or b"").decode()
    return [call.url, call.url.split("/", 3)[3], body, str(dict(call.headers)), str(dict(call.params))]


def shown(outcome: Outcome) -> str:
    return f"{outcome} {outcome!r}"
