"""Sentinels, a primary and a replica as real processes: deliveries continue by themselves after the primary dies."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.support.behind_sentinels import System
from tests.support.processes import Courier, Manager
from tests.support.recorder import Recorder, eventually
from tests.support.sentinels import PASSWORD, SENTINEL_PASSWORD, SentinelCluster
from tests.support.tls import REDIS_WITH_TLS, Tls
from tests.support.tools import needs

if TYPE_CHECKING:
    from pathlib import Path


def check_failover(folder: Path, tls: Tls | None) -> None:
    with ExitStack() as stack:
        system = System(stack, folder, tls)
        system.start_delivering(400)
        system.redis.primary.kill()
        system.manager.append(200)
        system.redis.wait_for_failover()
        may_repeat = system.count_unsettled_on_replica()
        system.wait_until_all_arrived()
        repeats = system.target.numbers().total() - system.manager.written
        print(f"of {system.manager.written} alerts none lost, {repeats} repeated, {may_repeat} at risk")
        assert repeats <= may_repeat
        system.check_processes_and_logs()


@pytest.mark.slow
def test_deliveries_continue_after_the_redis_primary_dies(tmp_path: Path) -> None:
    check_failover(tmp_path, None)


@pytest.mark.slow
@needs(REDIS_WITH_TLS, "redis-tools")
def test_deliveries_continue_over_tls_after_the_redis_primary_dies(tmp_path: Path) -> None:
    check_failover(tmp_path, Tls.in_folder(tmp_path))


@pytest.mark.slow
@needs(REDIS_WITH_TLS, "redis-tools")
def test_an_untrusted_sentinel_certificate_is_logged(tmp_path: Path) -> None:
    with ExitStack() as stack:
        watched = SentinelCluster(stack, tmp_path, Tls.in_folder(tmp_path))
        manager = Manager(tmp_path, stack.enter_context(Recorder()))
        environment = {"COURIER_REDIS_URL": watched.url, "COURIER_REDIS_SENTINEL_PASSWORD": SENTINEL_PASSWORD}
        producer = stack.enter_context(Courier(tmp_path, "producer", *manager.files(), **environment))
        eventually(lambda: "certificate verify failed" in producer.log)
        assert "Traceback" not in producer.log


@pytest.mark.slow
def test_a_wrong_sentinel_password_is_logged_but_not_shown(tmp_path: Path) -> None:
    with ExitStack() as stack:
        system = SentinelCluster(stack, tmp_path)
        environment = {"COURIER_REDIS_URL": system.url, "COURIER_REDIS_SENTINEL_PASSWORD": "hunter2"}
        flower = stack.enter_context(Courier(tmp_path, "flower", "--flower-port", "0", **environment))
        eventually(lambda: "check COURIER_REDIS_SENTINEL_PASSWORD" in flower.log)
        assert "redis.client" not in flower.log
        assert "hunter2" not in flower.log
        assert PASSWORD not in flower.log
        assert "Traceback" not in flower.log
