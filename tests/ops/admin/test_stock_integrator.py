"""The read position of the stock Integrator in /proc, and where Courier then starts."""

from __future__ import annotations

import gzip
import json
import os
from typing import TYPE_CHECKING

import pytest

from common.errors import CourierError
from common.settings.moments import LogPosition
from ops.admin.stock_integrator import Daemon, read_progress, running
from ops.cli.main import main
from producer.alertlog import AlertLog
from tests.support.processes import alert
from tests.support.stock_daemon import stock_daemon

if TYPE_CHECKING:
    from pathlib import Path

    from ops.admin.stock_integrator import ReadProgress

LINES = [alert(number) for number in range(100)]
ENDS = [sum(map(len, LINES[: number + 1])) for number in range(len(LINES))]
DAY = "2026/Jan/ossec-alerts-31.json"


@pytest.fixture
def alerts(tmp_path: Path) -> Path:
    """The alert log as the manager writes it: one file with two names."""
    day = tmp_path / DAY
    day.parent.mkdir(parents=True)
    day.write_bytes(b"".join(LINES))
    os.link(day, tmp_path / "alerts.json")
    return tmp_path / "alerts.json"


def ask(alerts: Path, pid: int) -> ReadProgress:
    return read_progress(alerts, [Daemon(pid)], sleep=lambda _s: None)


def midnight(alerts: Path, *, packed: bool) -> None:
    """Rotate the log as the manager does, and optionally compress the old file."""
    alerts.unlink()
    new = alerts.parent / "2026/Feb/ossec-alerts-01.json"
    new.parent.mkdir()
    new.write_bytes(alert(1000))
    os.link(new, alerts)
    if packed:
        old = alerts.parent / DAY
        old.with_suffix(".json.gz").write_bytes(gzip.compress(old.read_bytes()))
        old.unlink()


def read_from(alerts: Path, position: LogPosition) -> list[bytes]:
    log, lines = AlertLog(alerts, max_line_bytes=65536), list[bytes]()
    cursor = log.position(position)
    for _ in range(6):
        batch = log.read(cursor, 65536)
        lines += [line.raw + b"\n" for line in batch.lines]
        cursor = batch.cursor
    log.close()
    return lines


def test_running_daemon_is_found(alerts: Path) -> None:
    with stock_daemon(alerts, 0, home=alerts.parent) as pid:
        assert pid in [daemon.pid for daemon in running()]
    assert pid not in [daemon.pid for daemon in running()]


def test_idle_daemon_has_sent_all_before_its_offset(alerts: Path) -> None:
    with stock_daemon(alerts, ENDS[41], home=alerts.parent) as pid:
        found = ask(alerts, pid)
    assert found.position == LogPosition(DAY, ENDS[41])
    assert (found.idle, found.dated, found.behind_bytes) == (True, True, ENDS[-1] - ENDS[41])
    assert read_from(alerts, found.position) == LINES[42:]


@pytest.mark.parametrize("into", [1, 50])
def test_partial_line_is_read_again(alerts: Path, into: int) -> None:
    with stock_daemon(alerts, ENDS[41] + into, home=alerts.parent) as pid:
        assert ask(alerts, pid).position == LogPosition(DAY, ENDS[41])


def test_busy_daemon_may_not_have_sent_its_last_block(alerts: Path) -> None:
    """No alert is missed and few are repeated, even with a partly sent alert and a full read buffer."""
    with stock_daemon(alerts, ENDS[-1], home=alerts.parent, busy=True) as pid:
        found = ask(alerts, pid)
    block = alerts.stat().st_blksize
    assert not found.idle
    assert found.position.offset in {0, *ENDS}
    assert found.position.offset <= max(0, ENDS[-1] - block)
    assert found.position.offset > ENDS[-1] - block - 2 * len(LINES[0])


@pytest.mark.parametrize("packed", [False, True])
def test_daemon_that_lags_past_midnight(alerts: Path, packed: bool) -> None:
    """It still reads the file of yesterday, which may be compressed and deleted."""
    with stock_daemon(alerts, ENDS[41], home=alerts.parent) as pid:
        midnight(alerts, packed=packed)
        found = ask(alerts, pid)
    assert (found.position, found.dated) == (LogPosition(DAY, ENDS[41]), True)
    assert read_from(alerts, found.position) == [*LINES[42:], alert(1000)]


@pytest.mark.parametrize("packed", [False, True])
def test_rotation_between_check_and_start(alerts: Path, packed: bool) -> None:
    with stock_daemon(alerts, ENDS[41], home=alerts.parent) as pid:
        found = ask(alerts, pid)
    midnight(alerts, packed=packed)
    assert read_from(alerts, found.position) == [*LINES[42:], alert(1000)]


def test_log_without_dated_names(tmp_path: Path) -> None:
    alerts = tmp_path / "alerts.json"
    alerts.write_bytes(b"".join(LINES))
    with stock_daemon(alerts, ENDS[9], home=tmp_path) as pid:
        found = ask(alerts, pid)
    assert (found.position, found.dated) == (LogPosition("alerts.json", ENDS[9]), False)
    assert read_from(alerts, found.position) == LINES[10:]


def test_no_daemon_or_another_log_is_an_error(alerts: Path, tmp_path: Path) -> None:
    with pytest.raises(CourierError, match="no wazuh-integratord is running on this host"):
        read_progress(alerts, [], sleep=lambda _s: None)
    other = tmp_path / "other.txt"
    other.write_text("")
    with (
        stock_daemon(other, 0, home=tmp_path) as pid,
        pytest.raises(CourierError, match=rf"wazuh-integratord \(pid {pid}\) has no file open in "),
    ):
        ask(alerts, pid)


@pytest.mark.parametrize(
    ("position", "first"),
    [
        ((DAY, 0), LINES[0]),
        ((DAY, ENDS[0]), LINES[1]),
        ((DAY, ENDS[0] + 7), LINES[1]),  # inside a line: start of that line
        ((DAY, 10**9), LINES[0]),  # beyond the end: the whole file, so that no alert is missed
        (("2026/Jan/ossec-alerts-30.json", 5), LINES[0]),  # deleted file: the next one
        (("2026/Feb/ossec-alerts-02.json", 0), LINES[0]),  # later than all dated files: the current file
        (("alerts.json", ENDS[0]), LINES[1]),
    ],
)
def test_positions(alerts: Path, position: tuple[str, int], first: bytes) -> None:
    assert read_from(alerts, LogPosition(*position))[0] == first


def test_position_in_an_empty_log_reads_all_new_alerts(tmp_path: Path) -> None:
    alerts = tmp_path / "alerts.json"
    alerts.write_bytes(b"")
    log = AlertLog(alerts, max_line_bytes=65536)
    cursor = log.position(LogPosition("alerts.json", 0))
    alerts.write_bytes(LINES[0])
    assert log.read(log.read(cursor, 65536).cursor, 65536).lines[0].raw + b"\n" == LINES[0]


@pytest.fixture
def only_ours(monkeypatch: pytest.MonkeyPatch) -> list[Daemon]:
    """Daemons of other tests may run on the same host."""
    ours = list[Daemon]()
    monkeypatch.setattr("ops.cli.check.running", lambda: ours)
    return ours


def test_stock_prints_only_the_variable(
    alerts: Path, only_ours: list[Daemon], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(alerts.parent)
    with stock_daemon(alerts, ENDS[41], home=alerts.parent) as pid:
        only_ours.append(Daemon(pid))
        for option in ([], ["--json"]):
            with pytest.raises(SystemExit) as end:
                main(["check", "--stock", "--alerts", str(alerts), *option])
            assert not end.value.code
            out, err = capsys.readouterr()
            if option:
                assert json.loads(out)["position"] == f"{DAY}:{ENDS[41]}"
            else:
                assert out == f"COURIER_INTEGRATIONS_DEFAULT_START_AT={DAY}:{ENDS[41]}\n"
                unread = ENDS[-1] - ENDS[41]
                assert err == f"wazuh-integratord (pid {pid}) has not yet read the last {unread:,} bytes of {DAY}\n"


@pytest.mark.usefixtures("only_ours")
def test_stock_without_a_running_daemon(alerts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["check", "--stock", "--alerts", str(alerts)])
    assert end.value.code == 1
    assert capsys.readouterr().err.startswith("courier: no wazuh-integratord is running on this host")
