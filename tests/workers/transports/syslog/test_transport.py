"""The syslog transport against real collectors: sockets that read, close, half-close, hang or speak TLS."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest

from common.errors import TransportError
from common.outcome import Reason
from tests.support.recorder import eventually
from workers.calls import Sent, SyslogFrames
from workers.transports.syslog import transport as module
from workers.transports.syslog.transport import SyslogTransport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.workers.transports.conftest import MakePolicy
    from tests.workers.transports.servers import Authority
    from workers.delivery.event_loop import EventLoop

BODY = b"5 hello"


class Collector:
    """A server that reads all it gets. `connections` are the sockets it has accepted, `received` what came by each."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._context, self._is_closed = context, False
        self.connections: list[socket.socket] = []
        self.received: list[bytes] = []
        self._readers: list[threading.Thread] = []
        self.is_reading = threading.Event()
        self.is_reading.set()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._listener.getsockname()[1]}"

    @property
    def everything(self) -> bytes:
        return b"".join(self.received)

    def _accept(self) -> None:
        while True:
            try:
                plain, _ = self._listener.accept()
            except OSError:
                return
            if self._is_closed:
                plain.close()
                return
            self.received.append(b"")
            self.connections.append(plain)
            place = len(self.received) - 1
            reader = threading.Thread(target=self._read, args=(plain, place), daemon=True)
            reader.start()
            self._readers.append(reader)

    def _read(self, plain: socket.socket, place: int) -> None:
        with suppress(OSError):
            read = self._context.wrap_socket(plain, server_side=True) if self._context else plain
            self.connections[place] = read
            while self.is_reading.wait(30) and not self._is_closed and (data := read.recv(65_536)):
                self.received[place] += data
        self.connections[place].close()

    def drop(self) -> None:
        """End the connections, as a restart does."""
        for one in self.connections:
            with suppress(OSError):
                socket.socket.shutdown(one, socket.SHUT_RDWR)

    def close(self) -> None:
        self._is_closed = True
        self.is_reading.set()
        self._listener.close()
        self.drop()
        for one in self._readers:
            one.join()


@contextmanager
def collector(context: ssl.SSLContext | None = None) -> Iterator[Collector]:
    made = Collector(context)
    try:
        yield made
    finally:
        made.close()


Make = "Callable[..., Callable[..., Any]]"


@pytest.fixture
def sender(policy: MakePolicy, event_loop: EventLoop) -> Iterator[Callable[..., Callable[..., Any]]]:
    """Return what makes a function that sends a body to an address and waits for the result."""
    made: list[SyslogTransport] = []

    async def build(**changes: Any) -> SyslogTransport:
        return SyslogTransport(policy(**changes))

    def make(**changes: Any) -> Callable[..., Any]:
        one = asyncio.run_coroutine_threadsafe(build(**changes), event_loop.loop).result()
        made.append(one)

        def send(address: str, body: bytes = BODY, *, tls: bool = False) -> Any:
            call = SyslogFrames(address=address, is_tls=tls, body=body)
            return asyncio.run_coroutine_threadsafe(one.send(call), event_loop.loop).result()

        return send

    yield make
    for one in made:
        event_loop.call_soon(one.close)


def failure(send: Callable[..., Any], *arguments: Any, **more: Any) -> TransportError:
    with pytest.raises(TransportError) as raised:
        send(*arguments, **more)
    return raised.value


def test_messages_go_over_one_connection(sender: Callable[..., Callable[..., Any]]) -> None:
    send = sender()
    with collector() as target:
        for _ in range(5):
            assert send(target.address) == Sent()
        eventually(lambda: target.received == [BODY * 5])


def test_a_connection_that_the_collector_closed_is_replaced_without_a_loss(
    sender: Callable[..., Callable[..., Any]],
) -> None:
    send = sender()
    with collector() as target:
        for n in range(5):
            send(target.address, b"%d" % n)
            eventually(lambda: target.everything.endswith(b"%d" % n))  # noqa: B023 — called in this turn
            target.connections[-1].shutdown(socket.SHUT_WR if n % 2 else socket.SHUT_RDWR)
        assert target.received == [b"0", b"1", b"2", b"3", b"4"]


def test_a_collector_that_closes_before_it_reads_is_noticed(sender: Callable[..., Callable[..., Any]]) -> None:
    """What was not acknowledged by the collector's kernel is not delivered: the receive buffer is full."""
    send = sender(request_timeout_s=20.0)
    with collector() as target:
        send(target.address)
        eventually(lambda: target.received == [BODY])
        target.is_reading.clear()
        result: list[TransportError] = []
        thread = threading.Thread(target=lambda: result.append(failure(send, target.address, b"x" * 50_000_000)))
        thread.start()
        eventually(lambda: unread(target.connections[0]) > 0)
        target.connections[0].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        target.connections[0].close()
        target.is_reading.set()
        thread.join()
        assert result[0].reason is Reason.CONNECTION_FAILED
        assert send(target.address) == Sent()


def unread(one: socket.socket) -> int:
    with suppress(BlockingIOError):
        return len(one.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
    return 0


def test_a_collector_that_hangs_costs_the_time_limit(sender: Callable[..., Callable[..., Any]]) -> None:
    send = sender(request_timeout_s=0.5)
    with collector() as target:
        target.is_reading.clear()
        error = failure(send, target.address, b"x" * 50_000_000)
        assert error.reason is Reason.TIMEOUT
        assert error.detail == f"{target.address} did not accept the messages in time; the limit is 0.5 s"
        target.is_reading.set()
        assert send(target.address) == Sent()


def test_calls_wait_for_their_turn_no_longer_than_the_limit(
    sender: Callable[..., Callable[..., Any]],
) -> None:
    send = sender(request_timeout_s=0.5)
    with collector() as target:
        target.is_reading.clear()
        reasons: list[Reason] = []
        threads = [
            threading.Thread(target=lambda: reasons.append(failure(send, target.address, b"x" * 50_000_000).reason))
            for _ in range(6)
        ]
        before = threading.active_count()
        for one in threads:
            one.start()
        eventually(lambda: target.connections)
        assert threading.active_count() <= before + len(threads) + 2  # one thread of the transport, one of the target
        for one in threads:
            one.join()
        assert reasons == [Reason.TIMEOUT] * 6


def test_a_peer_that_answers_byte_by_byte_cannot_prolong_the_handshake(
    sender: Callable[..., Callable[..., Any]],
) -> None:
    send = sender(request_timeout_s=1.0, verify_tls=False)
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def drip() -> None:
            peer, _ = listener.accept()
            with peer, suppress(OSError):
                peer.sendall(b"\x16\x03\x03\x40\x00")  # a record of 16 KiB
                while not stop.wait(0.1):
                    peer.sendall(b"\x02")

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        assert failure(send, f"127.0.0.1:{listener.getsockname()[1]}", tls=True).reason in {Reason.TIMEOUT, Reason.TLS}
        stop.set()
        thread.join()


def test_what_a_collector_sends_is_ignored(sender: Callable[..., Callable[..., Any]]) -> None:
    send = sender()
    with collector() as target:
        send(target.address)
        eventually(lambda: target.connections)
        target.connections[0].sendall(b"hello\n" * 100)
        assert send(target.address) == Sent()
        eventually(lambda: target.received == [BODY * 2])


def test_tls_is_checked_against_the_authorities(
    sender: Callable[..., Callable[..., Any]], authority: Authority
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.certificate("127.0.0.1"))
    with collector(context) as target:
        send = sender(ca_bundle=authority.file)
        for _ in range(3):
            assert send(target.address, tls=True) == Sent()
        eventually(lambda: target.received == [BODY * 3])
        error = failure(sender(), target.address, tls=True)
        assert error.reason is Reason.TLS
        assert error.detail.startswith(f"{target.address} is not trusted, or does not speak TLS: ")
        assert sender(verify_tls=False)(target.address, tls=True) == Sent()


def test_a_tls_connection_that_was_closed_is_replaced(
    sender: Callable[..., Callable[..., Any]], authority: Authority
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.certificate("127.0.0.1"))
    send = sender(ca_bundle=authority.file)
    with collector(context) as target:
        send(target.address, b"1", tls=True)
        eventually(lambda: target.received == [b"1"])
        socket.socket.shutdown(target.connections[0], socket.SHUT_RDWR)
        send(target.address, b"2", tls=True)
        eventually(lambda: target.received == [b"1", b"2"])


def test_a_collector_without_tls_is_named(sender: Callable[..., Callable[..., Any]]) -> None:
    with collector() as target:
        error = failure(sender(request_timeout_s=1.0), target.address, tls=True)
        assert error.reason in {Reason.TLS, Reason.TIMEOUT}  # it reads the handshake and says nothing


def test_no_collector(sender: Callable[..., Callable[..., Any]]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    error = failure(sender(), f"127.0.0.1:{port}")
    assert (error.reason, error.detail) == (Reason.CONNECTION_FAILED, f"127.0.0.1:{port}: Connection refused")
    error = failure(sender(), "nowhere.invalid:514")
    assert error.reason is Reason.CONNECTION_FAILED
    assert error.detail.startswith("nowhere.invalid:514: ")


def test_private_addresses_can_be_denied(sender: Callable[..., Callable[..., Any]]) -> None:
    with collector() as target:
        error = failure(sender(deny_private=True), target.address)
        assert error.reason is Reason.NOT_CONFIGURED
        assert "127.0.0.1 is a private address, which deny_private blocks" in error.detail
        assert not target.connections
    assert failure(sender(), "169.254.169.254:514").reason is Reason.NOT_CONFIGURED


def test_a_file_of_certificates_that_cannot_be_used_is_named(
    sender: Callable[..., Callable[..., Any]], tmp_path: Any
) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    with collector() as target:
        error = failure(sender(ca_bundle=tmp_path / "ca.pem"), target.address, tls=True)
        assert (error.reason, error.detail) == (
            Reason.NOT_CONFIGURED,
            f"ca_bundle {tmp_path}/ca.pem cannot be used: not a PEM file",
        )


def test_an_idle_connection_is_closed(
    sender: Callable[..., Callable[..., Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "IDLE_S", 0.05)
    with collector() as target:
        sender()(target.address)
        eventually(lambda: target.connections and target.connections[0].recv(1, socket.MSG_PEEK) == b"")
