from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from common.settings.load import load_settings
from common.settings.published_policy import publish_policy
from tests.support.fakes import SLACK, Clock, policy
from workers.own_settings import IGNORED_AFTER_S, OwnSettings

if TYPE_CHECKING:
    from pathlib import Path

PUBLISHED = publish_policy(policy(lease_s=60.0))


class World:
    def __init__(self, folder: Path, toml: str | None) -> None:
        self.file, self.clock = folder / "courier.toml", Clock()
        if toml is not None:
            self.write(toml)
        settings = load_settings(file=None, environment={}, cwd=folder, keep_refused=True)
        self.own = OwnSettings(settings, self.clock)

    def write(self, toml: str) -> None:
        """Write a file that is not new."""
        self.file.write_text(toml)
        os.utime(self.file, (1, 1))

    def warnings(self, caplog: pytest.LogCaptureFixture) -> list[str]:
        self.own.is_usable(SLACK, PUBLISHED)
        self.own.reload()
        self.clock.now_s += IGNORED_AFTER_S + 1
        self.own.reload()
        self.own.reload()
        return [getattr(r, "keys", "") for r in caplog.records if "have no effect in a worker" in r.getMessage()]


@pytest.mark.parametrize(
    ("toml", "expected"),
    [
        (None, []),
        ('[integrations.slack]\nproxy = "http://proxy:1"\nconcurrency = 3', []),
        ('[integrations.slack]\nlease = "60s"', []),  # as the producer's: perhaps the same file
        ('[integrations.default]\nlease = "9s"\nretry_delay = "3s"\nconcurrency = 5', ["lease, retry_delay"]),
        ('[integrations.slack]\nendpoint = "env:URL"', []),  # as the producer's, which publishes the URL
        ('[integrations.shuffle]\nlease = "9s"', []),  # not served here
    ],
)
def test_keys_without_effect_are_named_once(
    tmp_path: Path, toml: str | None, expected: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    assert World(tmp_path, toml).warnings(caplog) == expected


def test_a_producer_that_needs_a_moment_for_the_same_file_causes_no_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(tmp_path, '[integrations.default]\nlease = "9s"')
    world.own.is_usable(SLACK, PUBLISHED)
    world.clock.now_s += IGNORED_AFTER_S - 1
    world.own.reload()
    world.own.is_usable(SLACK, publish_policy(policy(lease_s=9.0)))
    world.clock.now_s += IGNORED_AFTER_S
    world.own.reload()
    assert "no effect" not in caplog.text


def test_the_file_is_followed(tmp_path: Path) -> None:
    world = World(tmp_path, "[integrations.slack]\nconcurrency = 3")
    assert world.own.policy(SLACK).concurrency == 3
    assert not world.own.reload()
    world.write("[integrations.slack]\nconcurrency = 44")
    assert world.own.reload()
    assert world.own.policy(SLACK).concurrency == 44
    assert not world.own.reload()


def test_an_invalid_change_is_refused_and_the_former_stays(tmp_path: Path) -> None:
    world = World(tmp_path, "[integrations.slack]\nconcurrency = 3")
    world.write('[integrations.slack]\nconcurrency = 44\n[integrations.x]\nproxy = "no url"')
    assert not world.own.reload()
    assert world.own.error.startswith("courier.toml:4: integrations.x.proxy: the URL (not shown)")
    assert world.own.policy(SLACK).concurrency == 3
    world.write("[integrations.slack]\nconcurrency = 5")
    assert world.own.reload()
    assert world.own.error == ""


def test_an_invalid_table_at_the_start_costs_its_own_integration(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(tmp_path, '[integrations.slack]\nproxy = "no url"')
    assert not world.own.is_usable(SLACK, PUBLISHED)
    assert not world.own.is_usable(SLACK, PUBLISHED)
    assert world.own.is_usable(type(SLACK)(id="shuffle", name="shuffle"), PUBLISHED)
    assert [r.getMessage()[:52] for r in caplog.records] == ["integration not served: courier.toml:2: integrations"]
