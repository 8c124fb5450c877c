from __future__ import annotations

import logging
import os
import signal
import socket
import time
from pathlib import Path

import pytest

from common.errors import LedgerUnavailable, SettingsError
from ops.standalone import embedded_redis
from ops.standalone.embedded_redis import EmbeddedServer, is_free
from ops.standalone.supervisor import Interrupted, exit_status_of, interruptible
from tests.support.slow_server import slow_server

LOADING = "the embedded server is still loading 0 MiB; waiting for it"
LIMIT_S = 4.0
KEYS = 15_000


def test_a_server_that_loads_for_longer_than_the_limit_is_waited_for_and_that_is_said_once(
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


def test_a_signal_ends_the_wait_for_a_server_that_loads_and_the_server(tmp_path: Path) -> None:
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


def test_an_interrupt_in_the_middle_of_a_look_at_a_process_comes_after_it() -> None:
    """At once it would leave the lock taken that the process's Popen has, and `wait` without an end."""
    looks = []

    class Process:
        def poll(self) -> None:
            signal.raise_signal(signal.SIGTERM)  # in this thread: courier up has no other
            looks.append("whole")

    with interruptible(), pytest.raises(Interrupted):
        exit_status_of(Process())  # type: ignore[arg-type]  # of a Popen only this is asked
    assert looks == ["whole"]


def test_a_server_that_cannot_start_is_told_with_the_end_of_its_log(tmp_path: Path) -> None:
    (tmp_path / "appendonlydir").write_text("in its way")
    with pytest.raises(LedgerUnavailable, match=r"did not start; the end of (.|\n)*appendonlydir"):
        EmbeddedServer(tmp_path).start()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "redis").write_text("in its way")
    with pytest.raises(SettingsError, match=r"redis: File exists; chown it"):
        EmbeddedServer(tmp_path / "redis").start()


def test_a_port_is_handed_out_once_and_is_none_that_a_connection_may_take() -> None:
    ports = [embedded_redis.free_port() for _ in range(300)]
    assert len(set(ports)) == 300
    first, _ = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    assert max(ports) < max(first, 32_768)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_a_port_is_free_until_somebody_listens_on_it(address: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, 0), family=family) as listening:
        port = listening.getsockname()[1]
        assert not is_free(address, port)
    assert is_free(address, port)
