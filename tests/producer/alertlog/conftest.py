from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.producer.alertlog.tail import Log

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    """A log that does not exist yet, and a reader at its end."""
    log = Log(tmp_path)
    yield log
    log.log.close()
