"""Alerts that real processes hold until the end of a window that contains now."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from tests.support.processes import Courier, Manager, alert
from tests.support.recorder import Recorder, eventually, patience

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ops.standalone.embedded_redis import EmbeddedServer

LONGEST_START_S = 15
"""Time for the processes to start and to commit the first alerts, on an idle machine."""

TOML = """
[windows]
short = {{from = "{begin:%H:%M}", to = "{short:%H:%M}"}}
long = {{from = "{begin:%H:%M}", to = "{long:%H:%M}"}}

[integrations.slack]
hold = {{in = "short", below = 12}}

[integrations.other]
service = "slack"
hook_url = "{url}"
hold = {{in = "long"}}
"""


@pytest.fixture
def other() -> Iterator[Recorder]:
    with Recorder() as recorder:
        yield recorder


def next_minute(moment: datetime, *, least_s: float) -> datetime:
    """Return the first whole minute that is at least some seconds away: the end of a window is a whole minute."""
    minute = moment.replace(second=0, microsecond=0)
    while (minute - moment).total_seconds() < least_s:
        minute += timedelta(minutes=1)
    return minute


@pytest.mark.slow
@pytest.mark.usefixtures("client")  # empties the server
@pytest.mark.timeout(600)
def test_alerts_are_held_until_the_window_ends_or_an_operator_releases_them(
    server: EmbeddedServer, manager: Manager, target: Recorder, other: Recorder, tmp_path: Path
) -> None:
    now = datetime.now(UTC)
    end = next_minute(now, least_s=LONGEST_START_S * patience())
    times = {"begin": now - timedelta(hours=1), "short": end, "long": end + timedelta(hours=8)}
    toml = tmp_path / "courier.toml"
    toml.write_text(TOML.format(url=other.url, **times))
    settings = {"COURIER_REDIS_URL": server.url, "COURIER_SETTINGS": str(toml), "COURIER_STATE_DIR": str(manager.state)}

    def command(*words: str) -> str:
        (tmp_path / f"{words[0]}.log").unlink(missing_ok=True)
        run = Courier(tmp_path, *words, **settings)
        assert run.process.wait(60 * patience()) == 0, run.log
        return run.log

    def held() -> dict[str, object]:
        found = json.loads(command("status", "--json"))["integrations"]
        return {one: [tuple(each.values()) for each in found[one]["holds"]] for one in ("slack", "other")}

    with Courier(manager.folder, "producer", *manager.files(), **settings) as producer:
        eventually(lambda: producer.log.count("reading starts") == 2)
        with Courier(tmp_path, "worker", "--http", **settings):
            with manager.alerts.open("ab") as log:
                log.writelines(alert(n, level) for n, level in enumerate((3, 11, 12, 15)))
            eventually(lambda: set(target.ids) == {"1769846400.2", "1769846400.3"})
            assert datetime.now(UTC) < end, "the machine is too slow for this test: raise COURIER_TEST_PATIENCE"
            short_ms, long_ms = (round(times[one].timestamp()) * 1000 for one in ("short", "long"))
            long_ms -= long_ms % 60_000
            assert held() == {"slack": [(short_ms, 2)], "other": [(long_ms, 4)]}
            assert other.ids == []

            assert "4 held until" in command("release", "other", "--dry-run")
            assert other.ids == []
            assert command("release", "other", "--yes").endswith("other: 4 released\n")
            eventually(lambda: len(other.ids) == 4)

            eventually(lambda: len(target.ids) == 4, limit_s=90)
            assert datetime.now(UTC) >= end
            assert held() == {"slack": [], "other": []}
            assert sorted(target.ids) == sorted(other.ids) == [f"1769846400.{n}" for n in range(4)]
