"""The policy of these tests: the defaults of courier.toml, with what a test changes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
import pytest

from common.integration import Integration
from common.settings import load_settings

if TYPE_CHECKING:
    from common.settings_schema import Policy


class MakePolicy(Protocol):
    def __call__(self, **changes: Any) -> Policy: ...


@pytest.fixture
def policy(tmp_path: Path) -> MakePolicy:
    settings = load_settings(file=None, environment={}, cwd=Path(tmp_path))
    defaults = settings.policy(Integration(id="custom-x", name="custom-x"))
    return lambda **changes: msgspec.structs.replace(defaults, **changes)
