"""Sentinels, a primary and a replica as real processes: the primary dies, and everything goes on by itself."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.support.behind_sentinels import System
from tests.support.processes import Courier, Manager
from tests.support.recorder import Recorder, eventually
from tests.support.sentinels import PASSWORD, SENTINEL_PASSWORD, Watched
from tests.support.tls import DEBIANS, Tls
from tests.support.tools import needs

if TYPE_CHECKING:
    from pathlib import Path


def goes_on_without_its_primary(folder: Path, tls: Tls | None) -> None:
    with ExitStack() as stack:
        system = System(stack, folder, tls)
        system.begins(400)
        system.redis.primary.kill()
        system.manager.append(200)
        system.redis.wait_for_failover()
        may_repeat = system.unknown_to_the_replica()
        system.everything_arrives()
        repeats = system.target.numbers().total() - system.manager.written
        print(f"of {system.manager.written} alerts none lost, {repeats} repeated, {may_repeat} at risk")
        assert repeats <= may_repeat
        system.is_well_and_discreet()


@pytest.mark.slow
def test_the_primary_dies_and_everything_goes_on(tmp_path: Path) -> None:
    goes_on_without_its_primary(tmp_path, None)


@pytest.mark.slow
@needs(DEBIANS, "redis-tools")
def test_the_primary_dies_and_everything_goes_on_over_tls(tmp_path: Path) -> None:
    goes_on_without_its_primary(tmp_path, Tls.in_folder(tmp_path))


@pytest.mark.slow
@needs(DEBIANS, "redis-tools")
def test_sentinels_whose_certificate_is_not_trusted_are_told(tmp_path: Path) -> None:
    with ExitStack() as stack:
        watched = Watched(stack, tmp_path, Tls.in_folder(tmp_path))
        manager = Manager(tmp_path, stack.enter_context(Recorder()))
        environment = {"COURIER_REDIS_URL": watched.url, "COURIER_REDIS_SENTINEL_PASSWORD": SENTINEL_PASSWORD}
        producer = stack.enter_context(Courier(tmp_path, "producer", *manager.files(), **environment))
        eventually(lambda: "certificate verify failed" in producer.log)
        assert "Traceback" not in producer.log


@pytest.mark.slow
def test_sentinels_that_want_another_password_are_told_and_waited_for(tmp_path: Path) -> None:
    with ExitStack() as stack:
        system = Watched(stack, tmp_path)
        environment = {"COURIER_REDIS_URL": system.url, "COURIER_REDIS_SENTINEL_PASSWORD": "hunter2"}
        flower = stack.enter_context(Courier(tmp_path, "flower", "--flower-port", "0", **environment))
        eventually(lambda: "check COURIER_REDIS_SENTINEL_PASSWORD" in flower.log)
        assert "redis.client" not in flower.log
        assert "hunter2" not in flower.log
        assert PASSWORD not in flower.log
        assert "Traceback" not in flower.log
