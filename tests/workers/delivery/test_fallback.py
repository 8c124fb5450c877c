from __future__ import annotations

import asyncio
import json
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import lenient_json
from common.ledger import Delivery, FallbackOf, Header
from tests.support.fakes import SIGNER, SLACK, policy
from tests.support.processes import alert
from workers.alert.alert import Alert
from workers.calls import Request, Response
from workers.delivery.fallback import annotate
from workers.delivery.pipeline import Pipeline
from workers.integrations.registry import make_service
from workers.integrations.script.text_alert import render_text

ORIGIN = FallbackOf("slack", "unauthorized")
WHY = {"undelivered_to": "slack", "reason": "unauthorized"}
PREFIX = "[Courier: undelivered to slack, unauthorized] "

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
alerts = st.dictionaries(
    st.sampled_from(["full_log", "rule", "description", "data", 'a"b']),
    values | st.fixed_dictionaries({}, optional={"description": values, "level": values, "full_log": values}),
)


@given(fields=alerts, indent=st.sampled_from([None, 1]), ascii_only=st.booleans())
def test_annotation_changes_one_member_and_two_texts_only(
    fields: dict[str, Any], indent: int | None, ascii_only: bool
) -> None:
    text = json.dumps(fields, indent=indent, ensure_ascii=ascii_only)
    got = json.loads(annotate(text.encode("utf-8", "surrogatepass"), ORIGIN).decode("utf-8", "surrogatepass"))
    expected = fields | {"courier": WHY}
    if isinstance(fields.get("full_log"), str):
        expected["full_log"] = PREFIX + fields["full_log"]
    if isinstance(fields.get("rule"), dict) and isinstance(fields["rule"].get("description"), str):
        expected["rule"] = fields["rule"] | {"description": PREFIX + fields["rule"]["description"]}
    assert got == expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"{}", b'{"courier": WHY}'),
        (
            b'{"a": 0.30000000000000004, "b":1.10,"c":1e400 } ',
            b'{"a": 0.30000000000000004, "b":1.10,"c":1e400 , "courier": WHY} ',
        ),
        (b'{"full_log":"1","full_log":"2"}', b'{"full_log":"1","full_log":"PREFIX2", "courier": WHY}'),
        (
            b'\xef\xbb\xbf{"full_log":"\xff\x01","n":007}\0x',
            b'{"full_log":"PREFIX\xff\x01","n":007, "courier": WHY}\0x',
        ),
        (b'{"rule":{"description":7},"full_log":null}', b'{"rule":{"description":7},"full_log":null, "courier": WHY}'),
        (b'{"courier":{"digest":{"n":1.10}}, "a":1}', b'{"courier":{"digest":{"n":1.10}, WHY_INSIDE}, "a":1}'),
        (b'{"courier":{"reason":"forged"}}', b'{"courier":{"reason":"forged", WHY_INSIDE}}'),
        (b'{"courier":{ }}', b'{"courier":{ WHY_INSIDE}}'),
        (b'{"rule":[],"courier":1}', b'{"rule":[],"courier":1, "courier": WHY}'),
    ],
)
def test_annotation_keeps_every_other_byte(raw: bytes, expected: bytes) -> None:
    inside = json.dumps(WHY)[1:-1].encode()
    whole = (
        expected.replace(b"WHY_INSIDE", inside)
        .replace(b"WHY", json.dumps(WHY).encode())
        .replace(b"PREFIX", PREFIX.encode())
    )
    assert annotate(raw, ORIGIN) == whole
    assert isinstance(lenient_json.parse(whole, levels=1), dict)


@pytest.mark.parametrize("raw", [b"", b"[1]", b'{"a":1', b'{"a":1,}', b"{,}", b"no alert", b'{"a" 1}'])
def test_invalid_alert_is_not_annotated(raw: bytes) -> None:
    assert annotate(raw, ORIGIN) == raw


def test_script_with_a_text_alert_gets_the_annotation() -> None:
    text = render_text(annotate(alert(1), ORIGIN), 165).decode()
    assert f"ruledescription='{PREFIX}sshd: brute force'" in text
    assert f"alertlog='{PREFIX}Invalid user x'" in text


def test_only_the_message_of_a_fallback_gives_the_reason() -> None:
    bodies: list[bytes] = []

    class Wire:
        async def send(self, call: Request) -> Response:
            bodies.append(call.body or b"")
            return Response(status=200)

    pipeline = Pipeline(make_service(SLACK), Wire(), policy(), Random(1), signer=SIGNER)
    for header in (Header(committed_ms=1, fallback_of=ORIGIN), Header(committed_ms=1)):
        assert asyncio.run(pipeline.attempt(Delivery("a", header, alert(1)))).outcome == "delivered"
    marked_one, plain = (json.loads(body)["attachments"][0] for body in bodies)
    assert (marked_one["title"], marked_one["text"]) == (f"{PREFIX}sshd: brute force", f"{PREFIX}Invalid user x")
    assert (plain["title"], plain["text"]) == ("sshd: brute force", "Invalid user x")
    assert Alert(annotate(alert(1), ORIGIN)).fields["courier"] == WHY
