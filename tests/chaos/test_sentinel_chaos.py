"""After a failover, the old data of the former primary does no harm when it returns."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.support.behind_sentinels import System
from tests.support.recorder import eventually

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]


def test_a_former_primary_that_returns_as_a_replica_does_no_harm(tmp_path: Path) -> None:
    with ExitStack() as stack:
        system = System(stack, tmp_path)
        system.start_delivering(400)
        system.redis.primary.kill()
        system.redis.wait_for_failover()
        system.manager.append(200)
        system.redis.primary.start()
        system.manager.append(200)
        system.redis.wait_for_demotion()
        system.manager.append(200)
        system.wait_until_all_arrived()
        eventually(lambda: "courier.slack" in system.queues_page(), limit_s=60)
        system.check_processes_and_logs()
