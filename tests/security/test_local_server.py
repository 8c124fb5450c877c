"""Only its own user can reach the server of `courier up`; no other user of the host can replace it."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner
from flower.utils.broker import Broker

from common.broker.celery_app import make_app
from common.connection.client import broker_url, connect
from common.errors import SettingsError
from ops.cli.main import courier, exit_code
from ops.monitoring.flower import socket_broker
from ops.standalone import state_dir
from ops.standalone.embedded_redis import MAX_SOCKET_PATH_BYTES, EmbeddedServer
from tests.e2e.test_up import READY, descendants
from tests.support.ordinary_user import as_root, run_as_nobody
from tests.support.processes import Courier, Manager
from tests.support.recorder import Recorder, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

OLD_PASSWORD = "hunter2"


@contextmanager
def foreign_listener() -> Iterator[socket.socket]:
    """Listen on a port, as another user could. The socket shows whether a client connected."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        yield listening


def nobody_connected(listening: socket.socket) -> bool:
    try:
        listening.accept()
    except BlockingIOError:
        return True
    return False


def state_of_an_earlier_version(folder: Path, listening: socket.socket) -> Path:
    """Create a state folder whose server listened on a TCP port, on which another process listens now."""
    folder.mkdir(mode=0o700)
    port = listening.getsockname()[1]
    state_dir.write_address(folder, f"redis://:{OLD_PASSWORD}@127.0.0.1:{port}/0")
    return folder


def listening_ports(pids: set[int]) -> set[int]:
    """Return the TCP ports on which these processes listen (proc(5))."""
    ports = {}
    for table in ("tcp", "tcp6"):
        for line in Path("/proc/net", table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A":
                ports[f"socket:[{fields[9]}]"] = int(fields[1].rpartition(":")[2], 16)
    opened = set()
    for pid in pids:
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            try:
                opened.add(str(descriptor.readlink()))
            except FileNotFoundError:
                continue
    return {port for name, port in ports.items() if name in opened}


def test_courier_up_uses_no_tcp_port_but_those_of_its_pages(tmp_path: Path) -> None:
    with Recorder() as target, foreign_listener() as listening:
        manager = Manager(tmp_path, target)
        state_of_an_earlier_version(manager.state, listening)
        with Courier(tmp_path, "up", *manager.files(), "--flower-port", "0") as up:
            flower = eventually(lambda: re.search(r"Flower is at http://127\.0\.0\.1:(\d+)/", up.log))
            eventually(lambda: READY in up.log)
            manager.append(1)
            eventually(lambda: len(target.bodies) == 1)
            family = descendants(up.process.pid)
            assert len(family) >= 5
            console = eventually(lambda: re.search(r"the console is at http://127\.0\.0\.1:(\d+)/", up.log))
            assert listening_ports(family) == {int(flower[1]), int(console[1])}
            url = (manager.state / state_dir.ADDRESS_FILE).read_text()
            assert urlsplit(url).scheme == "unix"
            assert OLD_PASSWORD not in url
        assert nobody_connected(listening)


def test_a_command_sends_nothing_to_the_port_of_an_earlier_version(tmp_path: Path) -> None:
    with foreign_listener() as listening:
        state = state_of_an_earlier_version(tmp_path / "state", listening)
        result = CliRunner().invoke(courier, ["status", "--state", str(state)])
        assert isinstance(result.exception, SettingsError)
        assert exit_code(result.exception) == 78
        assert "no `courier up` of this version has run in" in str(result.exception)
        assert nobody_connected(listening)


def test_the_redis_password_is_kept_unless_an_earlier_version_sent_it_to_a_port(tmp_path: Path) -> None:
    first = EmbeddedServer(tmp_path, port=None, password=state_dir.load_or_create_password(tmp_path))
    state_dir.write_address(tmp_path, first.url)
    assert state_dir.load_or_create_password(tmp_path) == first.password
    state_dir.write_address(tmp_path, f"redis://:{OLD_PASSWORD}@127.0.0.1:22000/0")
    assert OLD_PASSWORD not in {state_dir.load_or_create_password(tmp_path), first.password}


@as_root
@pytest.mark.parametrize("opened", [False, True])
def test_another_user_cannot_connect_even_if_the_folder_is_open_to_all(*, opened: bool) -> None:
    with tempfile.TemporaryDirectory(prefix="courier-test-") as name:
        Path(name).chmod(0o755)  # the one of pytest lets nobody else pass
        folder = Path(name) / "redis"
        folder.mkdir(mode=0o777)
        server = EmbeddedServer(folder, port=None)
        server.start()
        try:
            assert folder.stat().st_mode & 0o777 == 0o700
            if opened:
                folder.chmod(0o755)
            done = run_as_nobody("import socket", f"socket.socket(socket.AF_UNIX).connect({str(server.socket)!r})")
            assert "PermissionError" in done.stderr
            with connect(server.url) as client:
                assert client.ping()
                assert client.info("server")["tcp_port"] == 0
        finally:
            server.stop()


@pytest.mark.parametrize("name", ["x" * MAX_SOCKET_PATH_BYTES, os.fsdecode(b"caf\xe9")])
def test_a_state_folder_path_too_long_for_a_socket_file_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="set a directory with a shorter path"):
        EmbeddedServer(tmp_path / name, port=None)


def test_remote_control_does_not_show_the_password_of_a_socket_file() -> None:
    with make_app(f"unix://:{OLD_PASSWORD}@/run/redis.sock?db=2").connection() as connection:
        shown = connection.info()
        assert OLD_PASSWORD not in str(shown)
        assert "/run/redis.sock" in shown["hostname"]
        assert OLD_PASSWORD in connection.clone().hostname  # what connects has it


def test_flower_shows_queue_lengths_with_any_socket_file_name(tmp_path: Path) -> None:
    folder = tmp_path / "a#b%20c?d é"
    server = EmbeddedServer(folder, port=None)
    server.start()
    try:
        socket_broker.install()
        url = server.url.replace("?db=0", "?db=3")
        with connect(url) as client:
            client.lpush("courier.slack", "1", "2")
        counted = asyncio.run(Broker(broker_url(url)).queues(["courier.slack"]))
        assert counted == [{"name": "courier.slack", "messages": 2}]
    finally:
        server.stop()
