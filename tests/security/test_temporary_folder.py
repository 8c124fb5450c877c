"""A user who fills /tmp does not slow down each run of a script."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from workers.calls import ScriptCall
from workers.transports.script import private_files
from workers.transports.script.private_files import SWEEP_INTERVAL_S, PrivateFiles

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

CALL = ScriptCall(
    name="custom-x", alert_file=b"{}", options_file=None, api_key=None, hook_url=None, timeout_s=1, retries=0
)


def test_the_temporary_folder_is_scanned_every_few_seconds_at_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    sweeps = []
    monkeypatch.setattr(private_files, "remove_stale", lambda base: sweeps.append((base, now[0])))
    files = PrivateFiles(tmp_path, now=lambda: now[0], random=Random(1))
    for moment in (1000.0, 1000.1, 1000 + SWEEP_INTERVAL_S, 1001 + SWEEP_INTERVAL_S, 10.0):
        now[0] = moment
        with files.of(CALL):
            pass
    assert [at for _, at in sweeps] == [1000.0, 1000 + SWEEP_INTERVAL_S, 10.0]
