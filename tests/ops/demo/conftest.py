from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ops.demo.faults import Troubles
from ops.demo.target import PLAYS, Route, Target

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def target() -> Iterator[Target]:
    """A running target without troubles, with a route for each service by the service's own name."""
    with tempfile.TemporaryDirectory(prefix="courier-") as folder:  # a socket's path must be short
        running = Target(socket_path=Path(folder) / "queue", troubles=Troubles({}))
        running.routes |= {name: Route(f"{name}-1", name) for name in PLAYS}
        running.start()
        yield running
        running.stop()
