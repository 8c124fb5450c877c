"""If the service refuses the hook, the alerts stay queued until the operator corrects the block."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.test_limits_and_breaker import READY, courier, slack
from tests.support.processes import Courier, Manager
from tests.support.recorder import Recorder, eventually

if TYPE_CHECKING:
    from pathlib import Path

WAIT_S = 90.0


@pytest.mark.slow
@pytest.mark.parametrize(("status", "reason"), [(403, "unauthorized"), (404, "gone")])
def test_alerts_wait_while_the_service_refuses_the_hook(tmp_path: Path, status: int, reason: str) -> None:
    refused = list[bytes]()

    def refuse(body: bytes) -> int:
        refused.append(body)
        return status

    def breaker() -> Any:
        return slack(manager)["breaker"]["state"]

    with Recorder(refuse) as wrong, Recorder() as right:
        manager = Manager(tmp_path, wrong)
        with Courier(tmp_path, "up", *manager.files(), "--flower-port", "0") as up:
            eventually(lambda: READY in up.log, limit_s=WAIT_S)
            manager.append(30)
            eventually(lambda: breaker() == "open", limit_s=WAIT_S)
            held = slack(manager)
            assert (held["dead"], held["breaker"]["reason"]) == (0, reason)
            assert f"({reason}: " in courier(manager, "status")
            assert "has never succeeded" in courier(manager, "status")
            assert "circuit breaker opened" in up.log
            manager.config.write_text(manager.config.read_text().replace(wrong.url, right.url))
            eventually(lambda: set(right.ids) == manager.ids, limit_s=WAIT_S)
            assert slack(manager)["dead"] == 0
            assert len(refused) <= 60
