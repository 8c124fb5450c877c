"""One console for all tests of a module, with the login of its visitors. Each test starts with an empty Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ops.console import console as shared
from tests.support.console import LOGIN, ConsoleServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    import redis

    from ops.standalone.embedded_redis import EmbeddedServer
    from tests.support.console import Visitor


@pytest.fixture(scope="module")
def console(server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleServer]:
    settings = {"flower.basic_auth": LOGIN, "console.hosts": "soc.example.org"}
    with ConsoleServer(tmp_path_factory.mktemp("console"), server.url, **settings) as running:
        yield running


@pytest.fixture(scope="module", autouse=True)
def fresh_pages() -> Iterator[None]:
    """Pages show at once what a test writes to Redis without the console."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shared, "SHARED_MAX_AGE_S", 0.0)
        yield


@pytest.fixture
def operator(console: ConsoleServer, client: redis.Redis) -> Visitor:
    """Somebody who has logged in."""
    del client
    return console.visitor()
