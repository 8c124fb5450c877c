"""Traces: what they link, what they hold, and that nothing of OpenTelemetry is imported while they are off."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from common.errors import SettingsError, TransportError
from common.ledger import Attempt, Commit, Delivery, Header, Ledger, Settlement, SettleOutcome
from common.outcome import Reason
from common.telemetry import start_tracing
from common.telemetry.spans import MAX_LINKS, Tracing, context_of
from producer.tracing import TracedDispatcher
from tests.support.fakes import SLACK
from workers.calls import Request, Response, ScriptCall, ScriptExit
from workers.tracing import TracedTransport, trace_attempts

if TYPE_CHECKING:
    import redis
    from opentelemetry.sdk.trace import ReadableSpan

HOOK = "https://user:hunter2@hooks.example:8443/services/T0PSECRET?key=T0PSECRET"
ALERT = b'{"id": "1.2", "full_log": "an intrusion"}'
SCRIPT = ScriptCall(
    name="custom-x", alert_file=ALERT, options_file=None, api_key=None, hook_url=None, timeout_s=1, retries=1
)
SERVED: Any = SimpleNamespace(integration=SLACK)


class Spans:
    """A tracing whose spans stay in this process."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.tracing = Tracing(self._exporter, "worker")

    def ended(self) -> dict[str, ReadableSpan]:
        self.tracing.close()
        return {span.name: span for span in self._exporter.get_finished_spans()}

    def attempt(self, delivery: Delivery, settlement: Settlement, *calls: tuple[Any, Any]) -> None:
        class Answers:
            async def send(self, call: Any) -> Any:
                (response,) = [one for known, one in calls if known is call]
                if isinstance(response, Exception):
                    raise response
                return response

        async def attempt(_served: Any, _delivery: Delivery) -> Settlement:
            for call, _ in calls:
                try:
                    await TracedTransport(self.tracing, Answers()).send(call)
                except TransportError:
                    continue
            return settlement

        asyncio.run(self._run(trace_attempts(self.tracing, attempt), delivery))

    async def _run(self, attempt: Any, delivery: Delivery) -> None:
        await attempt(SERVED, delivery)


def request(method: str = "POST", url: str = HOOK) -> Request:
    return Request(method=method, url=url, headers={"Authorization": "T0PSECRET"}, body=ALERT)


def delivery(**header: Any) -> Delivery:
    return Delivery("n:1", Header(committed_ms=1, **header), ALERT)


DELIVERED = Settlement(id="n:1", outcome=SettleOutcome.DELIVERED)
FAILED = Settlement(
    id="n:1",
    outcome=SettleOutcome.RETRY,
    reason="http_5xx",
    header=Header(committed_ms=1, history=(Attempt(1, "http_5xx", "T0PSECRET"),)),
)


def text_of(span: ReadableSpan) -> str:
    return str(span.to_json())


def test_an_attempt_and_its_call_hold_ids_and_no_secrets() -> None:
    spans = Spans()
    spans.attempt(delivery(), DELIVERED, (request(), Response(status=200, body=b"T0PSECRET")))
    ended = spans.ended()
    attempt, call = ended["deliver slack"], ended["POST"]
    assert attempt.kind is SpanKind.CONSUMER
    assert dict(attempt.attributes or {}) == {
        "courier.integration.id": "slack",
        "courier.delivery.id": "n:1",
        "courier.alert.id": "1.2",
        "courier.attempt": 1,
        "courier.outcome": "delivered",
        "courier.reason": "",
    }
    assert call.kind is SpanKind.CLIENT
    assert call.parent is not None
    assert call.parent.span_id == attempt.context.span_id
    assert dict(call.attributes or {}) == {
        "http.request.method": "POST",
        "server.address": "hooks.example",
        "server.port": 8443,
        "http.response.status_code": 200,
    }
    for span in ended.values():
        assert span.context.trace_id == context_of("slack", "n:1").trace_id
        for secret in ("T0PSECRET", "hunter2", "intrusion"):
            assert secret not in text_of(span)


def test_retries_belong_to_the_trace_of_the_first_attempt() -> None:
    spans = Spans()
    spans.attempt(delivery(attempts=1), DELIVERED)
    (retry,) = spans.ended().values()
    assert retry.parent is not None
    assert retry.parent.span_id == context_of("slack", "n:1").span_id
    assert retry.context.span_id != retry.parent.span_id
    assert retry.context.trace_id == context_of("slack", "n:1").trace_id
    assert context_of("slack", "n:1").trace_id != context_of("shuffle", "n:1").trace_id


@pytest.mark.parametrize(
    ("call", "response", "name", "expected"),
    [
        (request(), Response(status=503), "POST", {"http.response.status_code": 503, "error.type": "503"}),
        (request(), TransportError(Reason.TIMEOUT, "T0PSECRET"), "POST", {"error.type": "timeout"}),
        (request("BREW"), Response(status=200), "HTTP", {"http.request.method": "_OTHER"}),
        (request(url="http://[::1]/x"), Response(status=200), "POST", {"server.address": "::1", "server.port": 80}),
        (SCRIPT, ScriptExit(status=3), "script", {"process.exit.code": 3, "error.type": "3"}),
    ],
)
def test_how_calls_end(call: Any, response: Any, name: str, expected: dict[str, object]) -> None:
    spans = Spans()
    spans.attempt(delivery(), FAILED, (call, response))
    ended = spans.ended()
    assert expected.items() <= dict(ended[name].attributes or {}).items()
    assert ("error.type" in expected) is (ended[name].status.status_code is StatusCode.ERROR)
    assert ended["deliver slack"].status.status_code is StatusCode.ERROR
    assert (ended["deliver slack"].attributes or {})["error.type"] == "http_5xx"
    assert not any("T0PSECRET" in text_of(span) for span in ended.values())


def test_an_address_with_a_doubtful_password_is_left_out() -> None:
    spans = Spans()
    spans.attempt(delivery(), DELIVERED, (request(url="https://user:pass/word@h.example/x"), Response(status=200)))
    assert set(spans.ended()["POST"].attributes or {}) == {"http.request.method", "http.response.status_code"}


def test_a_postponed_delivery_has_no_span() -> None:
    spans = Spans()
    spans.attempt(delivery(), Settlement(id="n:1", outcome=SettleOutcome.POSTPONED))
    assert not spans.ended()


def test_a_commit_links_the_first_attempts_of_its_deliveries(client: redis.Redis) -> None:
    spans = Spans()
    ledger = Ledger(client)
    dispatcher = TracedDispatcher(ledger, client, spans.tracing)

    def commit(*ids: str) -> Commit:
        return Commit(
            node="n",
            expected=ledger.cursor("slack", "n"),
            cursor=ids[-1] if ids else "z",
            deliveries=[(i, ALERT) for i in ids],
            max_backlog=1000,
            max_backlog_bytes=10**6,
        )

    dispatcher.commit_all({"slack": commit("n:1", "n:2")}, [])
    dispatcher.commit_all({"slack": commit()}, [])
    (span,) = spans.ended().values()
    assert (span.kind, span.parent) == (SpanKind.PRODUCER, None)
    assert [link.context.span_id for link in span.links] == [context_of("slack", i).span_id for i in ("n:1", "n:2")]
    assert (span.attributes or {})["courier.deliveries"] == 2
    assert "intrusion" not in text_of(span)


def test_a_large_commit_links_as_many_as_the_sdk_keeps() -> None:
    spans = Spans()
    with spans.tracing.commit([("slack", str(n)) for n in range(1000)]):
        pass
    assert len(spans.ended()["commit"].links) == MAX_LINKS


def test_off_needs_and_imports_nothing_of_opentelemetry() -> None:
    """redis-py imports it by itself where it is installed, so it is made to look as if it were not."""
    code = (
        "import sys\n"
        "sys.modules['opentelemetry'] = None\n"
        "import ops.cli.main, producer.main, workers.main, common.telemetry\n"
        "assert common.telemetry.start_tracing('', 'worker') is None\n"
        "assert workers.main._tracers(None)[0](sys) is sys\n"
        "assert type(producer.main._dispatcher(None, None, None)).__name__ == 'Dispatcher'\n"
        "ours = {'common.telemetry.spans', 'workers.tracing', 'producer.tracing'}\n"
        "print(ours & set(sys.modules), [n for n in sys.modules if n.startswith('opentelemetry.')])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "set() []"


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.context", None)
    monkeypatch.delitem(sys.modules, "common.telemetry.spans")
    with pytest.raises(SettingsError, match=r"install courier-integrator\[otel\]"):
        start_tracing("http://127.0.0.1:4318", "worker")
