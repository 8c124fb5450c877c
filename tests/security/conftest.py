"""A manager's folder that every user can enter."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.manager_home import Home

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def home() -> Iterator[Home]:
    with tempfile.TemporaryDirectory(prefix="courier-test-") as name:
        Path(name).chmod(0o755)
        made = Home(Path(name))
        made.integrations.mkdir()
        made.write("#!/bin/sh\necho runs\n")
        yield made
