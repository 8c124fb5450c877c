"""Sentinels, a primary and a replica as real processes: the primary dies, and everything goes on by itself."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from tests.support.behind_sentinels import System
from tests.support.recorder import eventually

if TYPE_CHECKING:
    from pathlib import Path


def test_the_primary_dies_and_everything_goes_on(tmp_path: Path) -> None:
    with ExitStack() as stack:
        system = System(stack, tmp_path)
        system.begins(400)
        system.redis.primary.kill()
        system.manager.append(200)
        eventually(system.redis.replica_rules)
        may_repeat = system.unknown_to_the_replica()
        system.everything_arrives()
        repeats = system.target.numbers().total() - system.manager.written
        print(f"of {system.manager.written} alerts none lost, {repeats} repeated, {may_repeat} at risk")
        assert repeats <= may_repeat
        system.is_well_and_discreet()
