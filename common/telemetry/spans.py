"""The spans of deliveries, with ids that producer and workers derive alike. Imports OpenTelemetry."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from contextvars import ContextVar
from hashlib import blake2b
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import urlsplit

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    format_trace_id,
    set_span_in_context,
    use_span,
)

from common.logs import Condition
from common.version import version

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from opentelemetry.sdk.trace import ReadableSpan

    Attributes = Mapping[str, str | int]

TIMEOUT_S: Final = 5.0
"""How long an export may take, and so how much later a process may stop if the collector does not respond."""

MAX_LINKS: Final = 128
"""Deliveries of a commit that are linked: the SDK's own limit (specification, "Span limits")."""

MAX_INTEGRATIONS: Final = 20

_ids: Final[ContextVar[SpanContext | None]] = ContextVar("courier_span_ids", default=None)


class _Ids(RandomIdGenerator):
    """Gives the span of a first attempt its derived ids, and all others random ones."""

    def generate_trace_id(self) -> int:
        """Return the trace id of a root span."""
        wanted = _ids.get()
        return wanted.trace_id if wanted else super().generate_trace_id()

    def generate_span_id(self) -> int:
        """Return a span id."""
        wanted = _ids.get()
        return wanted.span_id if wanted else super().generate_span_id()


class _LoggedOnce(SpanExporter):
    """An exporter that logs when exports begin to fail, and when they succeed again. `where` is host and port."""

    def __init__(self, exporter: SpanExporter, where: str) -> None:
        self._exporter, self._where = exporter, where
        self._failed = Condition(logging.getLogger("courier.telemetry"))

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export a batch. Only one thread calls this at a time (specification, "Span exporter")."""
        result = self._exporter.export(spans)
        if result is SpanExportResult.SUCCESS:
            self._failed.clear(f"traces are exported to {self._where} again")
        else:
            self._failed.set(f"traces not exported: {self._where} does not accept them; spans are dropped")
        return result

    def shutdown(self) -> None:
        """Stop."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Export what is left."""
        return self._exporter.force_flush(timeout_millis)


class Tracing:
    """Makes spans and exports them. Any thread may use it."""

    def __init__(self, exporter: SpanExporter, process: str) -> None:
        """`process` is `producer` or `worker`. Environment variables of OpenTelemetry (`OTEL_*`) add to this."""
        resource = Resource.create({"service.name": f"courier-{process}", "service.version": version()})
        self._provider = TracerProvider(resource=resource, id_generator=_Ids(), shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("courier", version())

    @classmethod
    def to(cls, endpoint: str, process: str) -> Self:
        """Return one that exports to a collector by OTLP over HTTP; `endpoint` is its address without `/v1/traces`."""
        # Its own records repeat every second while the collector is down, and quote the URL.
        logging.getLogger("opentelemetry.exporter").setLevel(logging.CRITICAL)
        url = f"{endpoint.rstrip('/')}/v1/traces"
        return cls(_LoggedOnce(OTLPSpanExporter(endpoint=url, timeout=TIMEOUT_S), urlsplit(url).netloc), process)

    def close(self) -> None:
        """Export what is left and stop."""
        self._provider.shutdown()

    @contextmanager
    def commit(self, deliveries: Collection[tuple[str, str]]) -> Iterator[None]:
        """Make the span of a commit of these deliveries (integration and delivery id). An empty commit has none."""
        if not deliveries:
            yield
            return
        integrations = list(dict.fromkeys(integration_id for integration_id, _ in deliveries))
        span = self._tracer.start_span(
            "commit",
            Context(),
            SpanKind.PRODUCER,
            {"courier.deliveries": len(deliveries), "courier.integrations": integrations[:MAX_INTEGRATIONS]},
            [Link(context_of(*one)) for one, _ in zip(deliveries, range(MAX_LINKS), strict=False)],
        )
        with _ended(span):
            yield

    @contextmanager
    def attempt(
        self, integration_id: str, delivery_id: str, *, is_first: bool, attributes: Attributes
    ) -> Iterator[AttemptSpan]:
        """Make the span of an attempt. Spans that are made within it are its children."""
        ids = context_of(integration_id, delivery_id)
        own = _ids.set(ids if is_first else None)
        try:
            span = self._tracer.start_span(
                f"deliver {integration_id}",
                Context() if is_first else set_span_in_context(NonRecordingSpan(ids), Context()),
                SpanKind.CONSUMER,
                {"courier.integration.id": integration_id, "courier.delivery.id": delivery_id, **attributes},
            )
        finally:
            _ids.reset(own)
        result = AttemptSpan(span)
        with _ended(span, unless=result):
            yield result

    @contextmanager
    def call(self, name: str, *, attributes: Attributes, is_client: bool = True) -> Iterator[Span]:
        """Make the span of a call within an attempt."""
        kind = SpanKind.CLIENT if is_client else SpanKind.INTERNAL
        span = self._tracer.start_span(name, kind=kind, attributes=attributes)
        with _ended(span):
            yield span


class AttemptSpan:
    """The span of one attempt."""

    def __init__(self, span: Span) -> None:
        self._span, self.is_dropped = span, False

    def outcome(self, outcome: str, reason: str, *, failed: bool) -> None:
        """Record how the attempt ended."""
        self._span.set_attributes({"courier.outcome": outcome, "courier.reason": reason})
        if failed:
            fail(self._span, reason)

    def drop(self) -> None:
        """Do not export the span: no attempt was made, and the next one has the same ids."""
        self.is_dropped = True


def fail(span: Span, error_type: str) -> None:
    """Mark a span as failed. `error_type` is one word of a closed list, or a status."""
    span.set_attribute("error.type", error_type)
    span.set_status(Status(StatusCode.ERROR))


def context_of(integration_id: str, delivery_id: str) -> SpanContext:
    """Return the ids of the first attempt at a delivery. Several integrations can have a delivery of one id."""
    digest = blake2b(
        f"{integration_id}\0{delivery_id}".encode("utf-8", "surrogateescape"), digest_size=24, person=b"courier trace"
    ).digest()
    trace_id, span_id = int.from_bytes(digest[:16], "big"), int.from_bytes(digest[16:], "big")
    return SpanContext(trace_id or 1, span_id or 1, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))


def trace_id_of(integration_id: str, delivery_id: str) -> str:
    """Return the id of the trace of a delivery, as 32 hexadecimal digits."""
    return format_trace_id(context_of(integration_id, delivery_id).trace_id)


@contextmanager
def _ended(span: Span, *, unless: AttemptSpan | None = None) -> Iterator[None]:
    """Make the span the current one, and end it. An error counts by its type: its text could quote a secret."""
    try:
        with use_span(span, end_on_exit=False, record_exception=False, set_status_on_exception=False):
            yield
    except Exception as error:
        fail(span, getattr(error, "reason", None) or type(error).__name__)
        raise
    finally:
        if not (unless and unless.is_dropped):
            span.end()
