from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import TransportError
from common.integration import Integration
from common.ledger import Header, Settlement, SettleOutcome
from common.ledger.record import encode_header
from common.outcome import Reason
from common.secret import MASK, Secret
from tests.support.fakes import policy
from tests.support.ledger import Ledger
from workers.calls import Response, ScriptExit
from workers.delivery.response import DEAD_BYTES, ResponseRecorder
from workers.redaction import Redactor

if TYPE_CHECKING:
    import redis

TOKEN = "S3cr3tT0k3nOf24Characters"
HOOK = f"https://hooks.example/services/T0/B0/{TOKEN}"
SCRIPT = Integration(
    id="custom-x",
    name="custom-x",
    hook_url=Secret(f" {HOOK}\n"),
    api_key=Secret('pa/ss"wörd'),
    options=Secret('{"auth": {"login": ["deep-password"]}}'),
)
RECORDER = ResponseRecorder.of(
    SCRIPT, policy(environment={"API": Secret("from-the-environment"), "DEBUG": Secret("1")})
)


def stored(response: object, max_bytes: int = DEAD_BYTES, recorder: ResponseRecorder = RECORDER) -> str:
    found = recorder.excerpt(7, response, max_bytes)
    assert found is not None
    assert found.at_ms == 7
    return found.text + ("…" if found.truncated else "")


SHOWN = [
    HOOK,
    HOOK.replace("/", "\\/"),
    HOOK.upper(),
    f"token={TOKEN}&x",
    'pa/ss"wörd',
    json.dumps('pa/ss"wörd'),
    "pa%2Fss%22w%C3%B6rd",
    "deep-password",
    "from-the-environment",
]


@pytest.mark.parametrize("shown", SHOWN)
def test_no_secret_of_a_response_or_script_output_is_stored(shown: str) -> None:
    said = f"1 line\r\nsent to {shown} there"
    stopped = TransportError(Reason.SCRIPT_TIMEOUT, "stopped", said)
    for response in (Response(status=500, body=said.encode()), ScriptExit(status=1, output=said), stopped):
        text = stored(response)
        assert text.startswith("1 line\nsent to ")
        assert text.endswith(" there")
        assert MASK in text
        assert not any(secret.casefold() in text.casefold() for secret in (shown, TOKEN, "deep-pass", "rd"))


def test_utf_16_hides_no_secret() -> None:
    assert TOKEN not in stored(Response(status=500, body=HOOK.encode("utf-16"))).replace(" ", "")


@pytest.mark.parametrize("offset", range(0, len(HOOK) + 4, 3))
def test_secret_cut_by_the_output_limit_is_not_stored(offset: int) -> None:
    limit = 1024
    said = (HOOK[offset:] + "!" * 2000)[: limit - len("the end")] + "the end"
    small = ResponseRecorder(Redactor([HOOK]), limit)
    text = stored(ScriptExit(status=1, output=said), recorder=small)
    assert text.strip("!") == "the end…"


def test_beginning_of_a_response_and_end_of_an_output_are_stored() -> None:
    said = "a" * 30_000 + "b" * 30_000
    assert stored(Response(status=500, body=said.encode())) == "a" * DEAD_BYTES + "…"
    assert stored(ScriptExit(status=1, output=said)) == "b" * DEAD_BYTES + "…"


def test_nothing_is_stored_without_a_response() -> None:
    assert RECORDER.excerpt(7, None, DEAD_BYTES) is None
    assert RECORDER.excerpt(7, TransportError(Reason.CONNECTION_FAILED, "refused"), DEAD_BYTES) is None
    assert stored(Response(status=502)) == ""


@given(body=st.binary(max_size=300), max_bytes=st.integers(0, 200))
def test_stored_response_never_exceeds_max_bytes(body: bytes, max_bytes: int) -> None:
    found = RECORDER.excerpt(7, Response(status=500, body=body), max_bytes)
    empty = RECORDER.excerpt(7, Response(status=500), max_bytes)
    sizes = [len(encode_header(Header(committed_ms=1, response=one))) for one in (found, empty)]
    assert sizes[0] - sizes[1] <= max_bytes


@given(key=st.text(), url=st.text(), options=st.text())
def test_any_block_gets_a_recorder(key: str, url: str, options: str) -> None:
    block = Integration(
        id="custom-y", name="custom-y", api_key=Secret(key), hook_url=Secret(url), options=Secret(f"{options}\udcff")
    )
    assert ResponseRecorder.of(block, policy()).excerpt(1, Response(status=1), 10) is not None


def test_response_survives_the_lua_scripts_and_is_counted(client: redis.Redis) -> None:
    ledger = Ledger(client)
    ledger.commit(
        "slack",
        node="n",
        expected="",
        cursor="c",
        deliveries=[("a", b"\x00\n\xff")],
        max_backlog=9,
        max_backlog_bytes=10**6,
    )
    response = RECORDER.excerpt(7, ScriptExit(status=3, output='</a> \\ "é\t\n' * 4000), DEAD_BYTES)
    for outcome in ("retry", "dead"):
        ledger.release("slack", max_in_flight=9, batch_max=9, lease_s=60, linger_s=0)
        ledger.begin("slack", ["a"], token="w", lease_s=60)
        header = Header(committed_ms=1, attempts=1, response=response)
        ledger.settle(
            "slack", [Settlement(id="a", outcome=SettleOutcome(outcome), reason="http_5xx", header=header)], token="w"
        )
    assert ledger.replay("slack", ["a"]) == 1
    assert ledger.bury("slack", reason="buried") == 1
    (letter,) = ledger.dead_letters("slack")
    assert (letter.delivery.header.response, letter.delivery.alert) == (response, b"\x00\n\xff")
    (record,) = client.hvals("courier:{slack}:records")
    assert ledger.status("slack").totals["dead_bytes"] == len(record) < DEAD_BYTES + 500
