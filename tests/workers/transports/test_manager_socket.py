from __future__ import annotations

import os
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from common.errors import TransportError
from common.outcome import Reason
from workers.calls import Datagram, Sent
from workers.integrations.helpers.manager_event import MAX_DATAGRAM_BYTES
from workers.transports.manager_socket import ManagerSocket

if TYPE_CHECKING:
    from collections.abc import Iterator

EVENT = Datagram(payload=b'1:virustotal:{"integration":"virustotal"}')


def listen(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    receiver.settimeout(5)
    receiver.bind(str(path))
    return receiver


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)  # the path of a socket has at most 107 bytes
    return Path("queue")


@pytest.fixture
def manager(path: Path) -> Iterator[socket.socket]:
    with listen(path) as receiver:
        yield receiver


@pytest.fixture
def queue(path: Path) -> Iterator[ManagerSocket]:
    queue = ManagerSocket(path, request_timeout_s=0.3)
    yield queue
    queue._close()


def error(queue: ManagerSocket, call: Datagram = EVENT) -> TransportError:
    with pytest.raises(TransportError) as raised:
        queue.send(call)
    return raised.value


def test_an_event_arrives_unchanged(manager: socket.socket, queue: ManagerSocket) -> None:
    assert queue.send(EVENT) == Sent()
    assert manager.recv(MAX_DATAGRAM_BYTES) == EVENT.payload


def test_the_largest_event_arrives_and_a_larger_one_is_refused(manager: socket.socket, queue: ManagerSocket) -> None:
    queue.send(Datagram(payload=b"x" * MAX_DATAGRAM_BYTES))
    assert len(manager.recv(2 * MAX_DATAGRAM_BYTES)) == MAX_DATAGRAM_BYTES
    refused = error(queue, Datagram(payload=b"x" * (MAX_DATAGRAM_BYTES + 1)))
    assert refused.reason is Reason.TOO_LARGE
    assert "65536" in refused.detail


def test_a_missing_manager_error_says_what_to_check(path: Path, queue: ManagerSocket) -> None:
    missing = error(queue)
    assert (missing.reason, "does not exist" in missing.detail) == (Reason.MANAGER_DOWN, True)
    listen(path).close()
    refused = error(queue)
    assert (refused.reason, "no process listens" in refused.detail) == (Reason.MANAGER_DOWN, True)
    path.unlink()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stream:
        stream.bind(str(path))
        other = error(queue)
    assert (other.reason, "not a datagram socket" in other.detail) == (Reason.MANAGER_DOWN, True)


def test_a_socket_without_permission_is_an_error(queue: ManagerSocket, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: ManagerSocket) -> socket.socket:
        raise PermissionError(13, os.strerror(13))

    monkeypatch.setattr(ManagerSocket, "_connected", refuse)
    assert "group wazuh" in error(queue).detail


def test_a_path_that_is_too_long_is_an_error(tmp_path: Path) -> None:
    refused = error(ManagerSocket(tmp_path / ("x" * 200), request_timeout_s=1))
    assert (refused.reason, "too long" in refused.detail) == (Reason.MANAGER_DOWN, True)


def test_a_restarted_manager_is_found_again(path: Path, queue: ManagerSocket) -> None:
    with listen(path) as first:
        queue.send(EVENT)
        first.recv(100)
    with listen(path) as second:
        assert queue.send(EVENT) == Sent()
        assert second.recv(100) == EVENT.payload


def test_a_full_queue_times_out(manager: socket.socket, queue: ManagerSocket) -> None:
    fill(queue)
    full = error(queue)  # nobody reads from it
    assert (full.reason, "full for 0.3 s" in full.detail) == (Reason.TIMEOUT, True)
    manager.recv(100)
    assert queue.send(EVENT) == Sent()


def test_an_event_goes_as_soon_as_there_is_room(path: Path, manager: socket.socket) -> None:
    queue = ManagerSocket(path, request_timeout_s=5)
    fill(ManagerSocket(path, request_timeout_s=0.05))
    sender = threading.Thread(target=queue.send, args=(EVENT,))
    sender.start()
    manager.recv(100)
    sender.join(4)
    assert not sender.is_alive()
    queue._close()


def test_many_threads_share_one_socket(manager: socket.socket, queue: ManagerSocket) -> None:
    payloads = {b"%d" % number for number in range(200)}
    received: set[bytes] = set()
    reader = threading.Thread(target=lambda: received.update(manager.recv(100) for _ in payloads))
    reader.start()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(queue.send, [Datagram(payload=payload) for payload in payloads]))
    reader.join(5)
    assert received == payloads


def test_threads_waiting_for_the_lock_keep_the_limit(manager: socket.socket, queue: ManagerSocket) -> None:
    fill(queue)
    start = time.monotonic()
    with ThreadPoolExecutor(64) as pool:
        errors = list(pool.map(error, [queue] * 64))
    assert {full.reason for full in errors} == {Reason.TIMEOUT}
    assert time.monotonic() - start < 64 * 0.3 / 2, "0.3 s each, one after the other, were 19 s"
    assert manager.recv(100) == EVENT.payload


def fill(queue: ManagerSocket) -> None:
    """Send until the receiver's queue is full."""
    with suppress(TransportError):
        while queue.send(EVENT):
            pass
    queue._close()
