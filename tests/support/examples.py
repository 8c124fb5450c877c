"""How many runs of a state machine: some every day, and more with what takes minutes."""

from __future__ import annotations

from typing import Final

import pytest

EXAMPLES: Final = [30, pytest.param(150, marks=[pytest.mark.chaos, pytest.mark.timeout(900)])]
