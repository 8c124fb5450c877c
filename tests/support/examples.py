"""The number of runs of a state machine: few in everyday tests, more in long tests."""

from __future__ import annotations

from typing import Final

import pytest

EXAMPLES: Final = [10, pytest.param(150, marks=[pytest.mark.chaos, pytest.mark.timeout(900)])]
