from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from common.ledger import Ledger
from ops.cli.main import courier

if TYPE_CHECKING:
    from pathlib import Path

    import redis

    from ops.standalone.embedded_redis import EmbeddedServer

NOON = datetime(2026, 1, 30, 12, tzinfo=UTC)


def line(minute: int, level: int = 10) -> bytes:
    written = (NOON + timedelta(minutes=minute)).strftime("%Y-%m-%dT%H:%M:%S.000+0000")
    return json.dumps({"timestamp": written, "rule": {"level": level, "id": "1"}, "id": str(minute)}).encode() + b"\n"


@pytest.fixture
def manager(tmp_path: Path, server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A manager with a compressed log of one day, a current log, and a Slack block for level 7 and above."""
    monkeypatch.setenv("COURIER_REDIS_URL", server.url)
    monkeypatch.setenv("COURIER_PRODUCER_NODE", "wazuh-1")
    monkeypatch.setenv("COURIER_PRODUCER_CONFIG", str(tmp_path / "ossec.conf"))
    monkeypatch.setenv("COURIER_PRODUCER_ALERTS", str(tmp_path / "alerts.json"))
    (tmp_path / "ossec.conf").write_text(
        "<ossec_config><integration><name>slack</name><hook_url>http://h.example/</hook_url><level>7</level>"
        "<alert_format>json</alert_format></integration></ossec_config>"
    )
    folder = tmp_path / "2026" / "Jan"
    folder.mkdir(parents=True)
    first = [line(n, level=10 if n % 2 else 3) for n in range(600)]
    with gzip.open(folder / "ossec-alerts-30.json.gz", "wb") as packed:
        packed.writelines(first)
    (folder / "ossec-alerts-31.json").write_bytes(b"".join(line(n) for n in range(800, 900)))
    (tmp_path / "alerts.json").hardlink_to(folder / "ossec-alerts-31.json")
    return tmp_path


def replay(*more: str, start: int = 100, stop: int = 120) -> Result:
    times = [(NOON + timedelta(minutes=minute)).isoformat() for minute in (start, stop)]
    options = ["--from", times[0], "--to", times[1], "--integration", "slack", "--rate", "100000"]
    return CliRunner().invoke(courier, ["replay-log", *options, *more])


def test_period_is_replayed_from_the_archive_with_filters(client: redis.Redis, manager: Path) -> None:
    del manager
    assert "20 read" not in replay("--dry-run").stdout
    assert "10 matched, 10 would be queued" in replay("--dry-run").stdout
    assert Ledger(client).status("slack").waiting == 0
    result = replay()
    assert result.exit_code == 0, result.output
    assert "10 matched, 10 queued, 0 already existed" in result.stdout
    status = Ledger(client).status("slack")
    assert (status.waiting, status.totals["committed"]) == (10, 10)


def test_replay_continues_in_the_next_file(client: redis.Redis, manager: Path) -> None:
    del manager
    replay(start=590, stop=810)
    assert Ledger(client).status("slack").waiting == 5 + 10


def test_replay_never_duplicates_by_accident(client: redis.Redis, manager: Path) -> None:
    del manager
    replay()
    refused = replay()
    assert refused.exit_code == 1
    assert "already replayed to slack; to repeat it, use --again" in str(refused.exception)
    assert "0 queued, 10 already existed" in replay("--again").stdout
    assert "5 queued, 10 already existed" in replay(start=100, stop=130).stdout
    assert Ledger(client).status("slack").waiting == 15


def test_conditions_limit_a_replay_and_have_a_progress_of_their_own(client: redis.Redis, manager: Path) -> None:
    del manager
    assert "3 matched, 3 queued" in replay("--match", "id = 101, 102, 103, 105").stdout
    assert "0 matched, 0 queued" in replay("--match", "id = 101, 102", "--match", "rule.level < 10").stdout
    assert "1 matched, 0 queued, 1 already existed" in replay("--match", "id = 101, 102").stdout
    assert "already replayed" in str(replay("--match", "id = 101, 102").exception)
    assert "10 matched, 7 queued, 3 already existed" in replay().stdout
    assert Ledger(client).status("slack").waiting == 10
    noted = replay("--match", "level = 7")
    assert "note: alerts have no value in level; did you mean rule.level?" in noted.stderr
    assert "--match, column 4" in replay("--match", "id == 1").output


def test_interrupted_replay_continues(client: redis.Redis, manager: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    del manager
    monkeypatch.setattr("ops.admin.replay_log.CHUNK", 4)
    real, commits = Ledger.commit, [0]

    def commit(self: Ledger, *args: object, **kwargs: object) -> object:
        commits[0] += 1
        if commits[0] == 3:
            raise KeyboardInterrupt
        return real(self, *args, **kwargs)  # type: ignore[arg-type]  # passed on unchanged

    monkeypatch.setattr(Ledger, "commit", commit)
    replay()
    assert 0 < Ledger(client).status("slack").waiting < 10
    assert "already existed" in replay().stdout
    status = Ledger(client).status("slack")
    assert (status.waiting, status.totals["committed"]) == (10, 10)


def test_wrong_arguments_are_errors(client: redis.Redis, manager: Path) -> None:
    del client, manager
    assert "must be earlier than --to" in str(replay(start=5, stop=5).exception)
    nobody = CliRunner().invoke(courier, ["replay-log", "--from", "x", "--to", "y", "--integration", "z"])
    assert "'x' is not a time; use 2026-01-31T08:00:00" in nobody.output
    other = replay("--integration", "nobody")
    assert "unknown integration 'nobody' in " in str(other.exception)
    assert str(other.exception).endswith("ossec.conf; known integrations: slack")


@pytest.mark.parametrize("rate", ["nan", "inf", "0", "-1"])
def test_invalid_rate_is_refused_before_enqueueing(client: redis.Redis, manager: Path, rate: str) -> None:
    del manager
    result = replay("--rate", rate)
    assert result.exit_code == 2
    assert "Invalid value for '--rate'" in result.stderr
    assert Ledger(client).status("slack").waiting == 0


@pytest.mark.parametrize("time", ["yesterday", "9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+12:00"])
def test_invalid_time_is_refused(time: str) -> None:
    result = CliRunner().invoke(courier, ["replay-log", "--from", time, "--to", time, "--integration", "slack"])
    assert result.exit_code == 2
    assert "is not a time; use 2026-01-31T08:00:00" in result.stderr
