from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from common.settings import load_settings
from ops.up import DRAIN, STOP_LIMIT_S, _environment
from workers.transports.groups import GRACE_S

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(("wanted", "given_s"), [("75s", 12), ("30s", 12), ("2s", 2)])
def test_workers_end_by_themselves_before_they_are_killed(
    wanted: str, given_s: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(DRAIN, wanted)
    settings = load_settings(file=None, environment={DRAIN: wanted}, cwd=tmp_path)
    environment = _environment(settings, STOP_LIMIT_S)
    theirs = load_settings(file=None, environment={DRAIN: environment[DRAIN]}, cwd=tmp_path).worker.drain_s
    assert theirs == given_s
    assert theirs + GRACE_S < STOP_LIMIT_S
