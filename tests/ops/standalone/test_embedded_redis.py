from __future__ import annotations

import logging
import os
import shutil
import signal
import socket
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from common.errors import LedgerUnavailable, SettingsError
from ops.standalone import embedded_redis
from ops.standalone.embedded_redis import EmbeddedServer, is_free
from ops.standalone.supervisor import Interrupted, exit_status_of, interruptible
from tests.support.slow_server import slow_server

LOADING = "embedded Redis is loading its data; waiting"
LIMIT_S = 4.0
KEYS = 15_000


def test_slow_loading_server_is_waited_for_and_logged_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(embedded_redis, "STARTUP_LIMIT_S", LIMIT_S)
    server = slow_server(tmp_path, keys=KEYS, delay_us=300)
    began_s = time.monotonic()
    server.start()
    assert time.monotonic() - began_s > LIMIT_S
    with server.client() as client:
        assert client.dbsize() == KEYS
    server.stop()
    assert caplog.messages == [LOADING]


def test_signal_while_loading_stops_the_server(tmp_path: Path) -> None:
    class Signal(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            assert record.getMessage() == LOADING
            os.kill(os.getpid(), signal.SIGTERM)

    handler, log = Signal(), logging.getLogger("courier.up")
    log.addHandler(handler)
    server = slow_server(tmp_path, keys=KEYS, delay_us=500)
    try:
        with interruptible(), pytest.raises(Interrupted):
            server.start()
    finally:
        log.removeHandler(handler)
        server.stop()
    assert server.pid is None


def test_interrupt_is_deferred_while_a_process_is_polled() -> None:
    """Raised at once, it would leave the lock of the Popen taken, and `wait` would block forever."""
    polls = []

    class Process:
        def poll(self) -> None:
            signal.raise_signal(signal.SIGTERM)  # in this thread: `courier up` has only one
            polls.append("complete")

    with interruptible(), pytest.raises(Interrupted):
        exit_status_of(Process())  # type: ignore[arg-type]  # only `poll` is called
    assert polls == ["complete"]


def test_failed_start_reports_the_end_of_the_server_log(tmp_path: Path) -> None:
    (tmp_path / "appendonlydir").write_text("in its way")
    with pytest.raises(LedgerUnavailable, match=r"did not start; the end of (.|\n)*appendonlydir"):
        EmbeddedServer(tmp_path).start()


def test_failed_start_on_a_full_disk_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "appendonlydir").write_text("in its way")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=0))
    with pytest.raises(LedgerUnavailable, match=r"the disk of .* is full; free some space"):
        EmbeddedServer(tmp_path).start()


def test_directory_that_cannot_be_created_is_named(tmp_path: Path) -> None:
    (tmp_path / "redis").write_text("in its way")
    with pytest.raises(SettingsError, match=r"redis: File exists; chown it"):
        EmbeddedServer(tmp_path / "redis").start()


def test_free_ports_are_unique_and_not_ephemeral() -> None:
    ports = [embedded_redis.free_port() for _ in range(300)]
    assert len(set(ports)) == 300
    first, _ = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    assert max(ports) < max(first, 32_768)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_port_is_free_until_something_listens_on_it(address: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, 0), family=family) as listening:
        port = listening.getsockname()[1]
        assert not is_free(address, port)
    assert is_free(address, port)
