from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ops.demo.faults import Faults
from ops.demo.target import SERVICES, Route, Target

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def target() -> Iterator[Target]:
    """A running target without faults, with a route for each service by the service's own name."""
    with tempfile.TemporaryDirectory(prefix="courier-") as folder:  # the path of a socket has at most 107 bytes
        running = Target(socket_path=Path(folder) / "queue", faults=Faults({}))
        running.routes |= {name: Route(f"{name}-1", name) for name in SERVICES}
        running.start()
        yield running
        running.stop()
