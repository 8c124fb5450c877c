"""The tests of the producer run with two sources: lines in a list, and the alert log.

A test that makes its own `World` instead of using these fixtures runs with one of them, and says why.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import pytest

from tests.support.sources import LOGS
from tests.support.world import World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import redis

    from tests.support.sources import Log


class NewWorld(Protocol):
    """Makes a world with these blocks; `directory` is a folder of its own."""

    def __call__(self, *blocks: str, directory: str = "", node: str = ..., **limits: Any) -> World: ...


@pytest.fixture(params=LOGS)
def log(request: pytest.FixtureRequest) -> Callable[[Path], Log]:
    """Both kinds of log."""
    kind: Callable[[Path], Log] = request.param
    return kind


@pytest.fixture
def new_world(client: redis.Redis, tmp_path: Path, log: Callable[[Path], Log]) -> Iterator[NewWorld]:
    """A maker of worlds, which are closed after the test."""
    worlds: list[World] = []

    def make(*blocks: str, directory: str = "", **more: Any) -> World:
        worlds.append(World(client, tmp_path / directory, *blocks, log=log, **more))
        return worlds[-1]

    yield make
    for world in worlds:
        world.close()


@pytest.fixture
def world(new_world: NewWorld) -> World:
    """A world with Slack."""
    return new_world()
