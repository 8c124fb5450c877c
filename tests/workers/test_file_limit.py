from __future__ import annotations

import resource
from typing import TYPE_CHECKING

import pytest

from workers.main import OPEN_FILES, raise_file_limit

if TYPE_CHECKING:
    from collections.abc import Iterator

_, HARD = resource.getrlimit(resource.RLIMIT_NOFILE)


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_file_limit_is_raised_as_far_as_permitted() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, HARD))
    raise_file_limit()
    wanted = OPEN_FILES if HARD == resource.RLIM_INFINITY else min(OPEN_FILES, HARD)
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (wanted, HARD)


def test_higher_file_limit_is_not_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.main.OPEN_FILES", 256)
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, HARD))
    raise_file_limit()
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (512, HARD)
