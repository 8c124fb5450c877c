"""One real server for the whole session, emptied before each test that asks for it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from ops.standalone.embedded_redis import EmbeddedServer
from tests.support import recorder  # noqa: F401 — takes COURIER_TEST_PATIENCE out of the environment
from workers.delivery.event_loop import EventLoop

if TYPE_CHECKING:
    from collections.abc import Iterator

    import redis


# A test that takes long says something of the machine, not of the code. `make properties` chooses the second one.
settings.register_profile("courier", deadline=None, max_examples=40)
settings.register_profile("thorough", deadline=None, max_examples=300)
settings.load_profile("courier")

# jsonschema imports it for the format `iri`, which no test checks. It builds 38 grammars: 3 s in each worker of pytest.
sys.modules["rfc3987_syntax"] = None  # type: ignore[assignment]  # None makes the import fail, as if it were not there

# Courier refuses settings and scripts that others can write, and some systems let the group write what a user makes.
os.umask(0o022)


MEASURED = {"common", "producer", "workers"}
"""The folders of tests whose coverage is measured."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Measure no coverage in property tests, and outside of the tests of the measured packages themselves.

    Before Python 3.12 a measured test takes twice the CPU.
    """
    for item in items:
        room = item.path.relative_to(Path(__file__).parent).parts[0]
        if room not in MEASURED or item.get_closest_marker("hypothesis"):
            item.add_marker(pytest.mark.no_cover)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    """A real Valkey with its append-only file on, on a free port."""
    embedded = EmbeddedServer(tmp_path_factory.mktemp("valkey"))
    embedded.start()
    yield embedded
    embedded.stop()


@pytest.fixture
def client(server: EmbeddedServer) -> Iterator[redis.Redis]:
    """A client of the real server, whose keys are all gone."""
    with server.client() as connection:
        connection.flushall()
        yield connection


@pytest.fixture(scope="session")
def event_loop() -> Iterator[EventLoop]:
    """A worker's event loop, which runs in its own thread."""
    loop = EventLoop()
    loop.start()
    yield loop
    loop.stop()
