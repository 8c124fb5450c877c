"""The policy under which the vectors are replayed: the defaults of courier.toml."""

from __future__ import annotations

from pathlib import Path

from common.integration import Integration
from common.settings import load_settings

POLICY = load_settings(file=None, environment={}, cwd=Path("/nonexistent")).policy(Integration(id="any", name="any"))
