from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from common.settings.load import load_settings
from ops.standalone import state_dir
from ops.standalone.up import DRAIN, STOP_LIMIT_S, _environment
from workers.transports.script.process_groups import GRACE_S

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(("wanted", "given_s"), [("75s", 12), ("30s", 12), ("2s", 2)])
def test_drain_timeout_ends_before_workers_are_killed(
    wanted: str, given_s: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(DRAIN, wanted)
    settings = load_settings(file=None, environment={DRAIN: wanted}, cwd=tmp_path)
    environment = _environment(settings, STOP_LIMIT_S)
    theirs = load_settings(file=None, environment={DRAIN: environment[DRAIN]}, cwd=tmp_path).worker.drain_timeout_s
    assert theirs == given_s
    assert theirs + GRACE_S < STOP_LIMIT_S


def test_environment_of_children_has_no_redis_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COURIER_REDIS_URL", "redis://:another-one@redis.example")
    state_dir.write_address(tmp_path, "redis://:s3cret@127.0.0.1:1/0")
    settings = load_settings(file=None, environment={}, cwd=tmp_path, overrides={"state.dir": str(tmp_path)})
    environment = _environment(settings, STOP_LIMIT_S)
    assert not [value for value in environment.values() if "s3cret" in value or "another-one" in value]
    ours = {name: value for name, value in environment.items() if name.startswith("COURIER_")}
    assert (
        load_settings(file=None, environment=ours, cwd=tmp_path).redis.url.reveal() == "redis://:s3cret@127.0.0.1:1/0"
    )
