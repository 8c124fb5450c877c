"""A transport with the policy of these tests, the defaults of courier.toml with what a test changes, and a server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
import pytest

from common.integration import Integration
from common.settings.load import load_settings
from tests.support.blocking import Blocking
from tests.workers.transports.servers import Authority, Web, web
from workers.transports.http.connections import Connections
from workers.transports.http.transport import HttpTransport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from common.settings.schema import Policy
    from workers.delivery.event_loop import EventLoop


class MakePolicy(Protocol):
    def __call__(self, **changes: Any) -> Policy: ...


@pytest.fixture
def policy(tmp_path: Path) -> MakePolicy:
    settings = load_settings(file=None, environment={}, cwd=Path(tmp_path))
    defaults = settings.policy(Integration(id="custom-x", name="custom-x"))
    return lambda **changes: msgspec.structs.replace(defaults, **changes)


@pytest.fixture
def server() -> Iterator[Web]:
    with web() as served:
        yield served


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def connections(event_loop: EventLoop) -> Iterator[Connections]:
    made = Connections()
    yield made
    event_loop.call_soon(made.close)


@pytest.fixture
def http(policy: MakePolicy, connections: Connections, event_loop: EventLoop) -> Callable[..., Blocking]:
    def make(**changes: Any) -> Blocking:
        return Blocking(HttpTransport(policy(**changes), connections), event_loop)

    return make


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))
