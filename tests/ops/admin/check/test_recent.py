from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from common.integration import Integration
from ops.admin.check.recent import count_recent

if TYPE_CHECKING:
    from pathlib import Path

NAMES = {"noisy": ["rule.id = 1", "agent.name = build-*"]}


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "alerts.json"
    alerts = ({"rule": {"level": 5, "id": str(n % 2)}, "agent": {"name": f"web{n}"}} for n in range(10))
    path.write_text("".join(json.dumps(alert) + "\n" for alert in alerts))
    return path


@pytest.mark.parametrize(
    ("settings", "taken", "why"),
    [
        ({}, 10, None),
        ({"except_": ("@noisy",)}, 5, None),
        ({"only": ("agent.name = web7",)}, 1, None),
        ({"only": ("agent.name = db*",)}, 0, "only excludes every alert"),
        ({"except_": ("@noisy", "rule.id = 0")}, 0, "except excludes every alert"),
        ({"only": ("rule.id = 0",), "except_": ("rule.id != 1",)}, 0, "no alert matches all of its filters together"),
        (
            {"level": 7, "only": ("x",), "except_": ("agent",)},
            0,
            "no alert matches <level>; only excludes every alert; except excludes every alert",
        ),
    ],
)
def test_alerts_are_counted_with_conditions(log: Path, settings: dict[str, Any], taken: int, why: str | None) -> None:
    counts = count_recent(log, [Integration(id="a", name="custom-a", **settings)], NAMES, clock=lambda: 0.0)
    assert counts.taken == {"a": taken}
    assert counts.why_none == ({} if why is None else {"a": f"matches 0 of the last 10 alerts: {why}"})
