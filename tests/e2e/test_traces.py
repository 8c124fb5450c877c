"""Traces from real processes arrive at an OTLP/HTTP receiver and form one trace per delivery."""

from __future__ import annotations

import gzip
import re
import threading
import urllib.request
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from ops.standalone.embedded_redis import free_port
from tests.support.processes import Courier, Manager
from tests.support.recorder import Recorder, Server, eventually

if TYPE_CHECKING:
    from pathlib import Path

    from opentelemetry.proto.trace.v1.trace_pb2 import Span


class Collector:
    """An OTLP/HTTP receiver in this process."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.paths: set[str] = set()
        self.services: set[str] = set()
        self.spans: list[Span] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                collector.take(self.path, body)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def take(self, path: str, body: bytes) -> None:
        self.paths.add(path)
        self.bodies.append(body)
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            named = [one.value.string_value for one in resource.resource.attributes if one.key == "service.name"]
            self.services.update(named)
            for scope in resource.scope_spans:
                self.spans += scope.spans

    def named(self, name: str) -> list[Span]:
        return [span for span in self.spans if span.name == name]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def exemplars_of(port: int) -> list[str]:
    """Return the traces that the latencies of a process point to, as Prometheus asks for them."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"}
    )
    with suppress(OSError), urllib.request.urlopen(request, timeout=30) as response:
        lines = response.read().decode()
        return re.findall(r'courier_delivery_latency_seconds_bucket.* # \{trace_id="([0-9a-f]{32})"\}', lines)
    return []


def test_a_delivery_is_one_trace_from_commit_to_response(tmp_path: Path) -> None:
    collector = Collector()
    with Recorder() as target:
        manager = Manager(tmp_path, target)
        port = free_port()
        settings = {"COURIER_TELEMETRY_OTLP_ENDPOINT": collector.url, "COURIER_METRICS_PORT": str(port)}
        with Courier(tmp_path, "up", *manager.files(), "--flower-port", "0", **settings) as up:
            eventually(lambda: "new integration; reading starts" in up.log)
            manager.append(3)
            eventually(lambda: len(target.bodies) == 3)
            eventually(lambda: len(collector.named("POST")) == 3 and collector.named("commit"))
            exemplars = [found for at in range(port, port + 5) for found in exemplars_of(at)]
        assert exemplars
        assert set(exemplars) <= {span.trace_id.hex() for span in collector.named("deliver slack")}
        assert collector.paths == {"/v1/traces"}
        assert collector.services == {"courier-producer", "courier-worker"}
        attempts = {span.span_id: span for span in collector.named("deliver slack")}
        assert len(attempts) == 3
        linked = {(link.trace_id, link.span_id) for commit in collector.named("commit") for link in commit.links}
        assert linked == {(span.trace_id, span.span_id) for span in attempts.values()}
        for call in collector.named("POST"):
            assert attempts[call.parent_span_id].trace_id == call.trace_id
        everything = b"".join(collector.bodies)
        for secret in (b"/hook", b"brute force", b"Invalid user"):
            assert secret not in everything
    collector.close()


def test_a_collector_that_is_down_delays_nothing(tmp_path: Path) -> None:
    with Recorder() as target:
        manager = Manager(tmp_path, target)
        traces = {"COURIER_TELEMETRY_OTLP_ENDPOINT": "http://127.0.0.1:1"}
        with Courier(tmp_path, "up", *manager.files(), "--flower-port", "0", **traces) as up:
            eventually(lambda: "new integration; reading starts" in up.log)
            manager.append(20)
            eventually(lambda: len(target.bodies) == 20)
            eventually(lambda: "traces not exported: 127.0.0.1:1" in up.log)
            assert up.stop() == 0
        assert up.log.count("traces not exported") <= 2, "once for each process"
        assert "/v1/traces" not in up.log
