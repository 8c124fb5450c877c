"""One console for all tests of a module, with the login of its visitors. Each test starts with an empty Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

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


@pytest.fixture
def operator(console: ConsoleServer, client: redis.Redis) -> Visitor:
    """Somebody who has logged in."""
    del client
    return console.visitor()
