"""A producer follows courier.toml: what it says decides from the next alert on."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tests.support.world import World, alert

if TYPE_CHECKING:
    from pathlib import Path

    import pytest
    import redis

TABLE = """
[conditions]
quiet = ["rule.level < 7"]

[integrations.soc]
service = "slack"
hook_url = "https://h.example/b"
except = ["{}"]
"""


def write(folder: Path, condition: str) -> None:
    """Write a courier.toml that is not new."""
    (folder / "courier.toml").write_text(TABLE.format(condition))
    os.utime(folder / "courier.toml", (len(condition), len(condition)))


def test_a_changed_exception_decides_from_the_next_alert_on(
    client: redis.Redis, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path, "@quiet")
    world = World(client, tmp_path, "")
    producer = world.producer()
    world.settle(producer)
    world.append(alert(0, level=3), alert(1, level=9))
    world.settle(producer)
    assert world.waiting("soc") == world.ids(1)

    write(tmp_path, "rule.level > 8")
    world.settle(producer)
    world.append(alert(2, level=3), alert(3, level=9))
    world.settle(producer)
    assert world.waiting("soc") == world.ids(1, 2)

    write(tmp_path, "rule.level >> 8")
    world.settle(producer)
    assert "courier.toml:8: integrations.soc.except: condition 1, column " in caplog.text
    world.append(alert(4, level=3), alert(5, level=9))
    world.settle(producer)
    assert world.waiting("soc") == world.ids(1, 2, 4)
    world.close()
