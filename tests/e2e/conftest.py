"""Shared fixtures: a target and a manager's files; the Compose system, started once for all tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.compose.stack import ARTIFACTS, Stack
from tests.support.processes import Manager
from tests.support.recorder import Recorder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROFILES = ("--profile", "dedicated", "--profile", "monitoring")
"""Without them `down` leaves running what they started."""


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The whole system, built and started. At the end it is removed with its volumes."""
    made = Stack(tmp_path_factory.mktemp("compose"))
    made.project.compose("build", "--quiet")
    with made.manager:
        try:
            made.up()
            yield made
        finally:
            ARTIFACTS.mkdir(exist_ok=True)
            (ARTIFACTS / "compose.log").write_text(made.project.compose(*PROFILES, "logs", "--no-color"))
            made.project.compose(*PROFILES, "down", "--volumes", "--timeout", "5")


@pytest.fixture
def target() -> Iterator[Recorder]:
    """A Slack that accepts everything."""
    with Recorder() as recorder:
        yield recorder


@pytest.fixture
def manager(tmp_path: Path, target: Recorder) -> Manager:
    """A manager's files, with an integration for the target."""
    return Manager(tmp_path, target)
