"""Tests of the regimes, the figures and the references of the steady benchmark."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.bench import base_commit, syslog_ng
from ops.bench.alerts import alert
from ops.bench.process_tree import Process, family, parse_stat, usage
from ops.bench.regimes import Meter, regime
from ops.bench.steady import __main__ as steady
from ops.bench.steady import integrations
from ops.bench.steady.figures import figures_of, ratios

if TYPE_CHECKING:
    from pathlib import Path

STAT = "41 (a) b (c)) S 7 41 41 0 -1 4194304 100 0 0 0 5 6 70 80 20 0 9 0 1234 999999 321 18446744073709551615 1 1"


class Target:
    """Receives an alert as soon as it is in the log, `delay_s` after its write, at each of `each` integrations."""

    def __init__(self, log: Path, delay_s: float, each: int) -> None:
        self.log, self.delay_s, self.each, self.forgotten = log, delay_s, each, 0

    def counts(self) -> dict[str, Any]:
        lines = self.log.read_bytes().splitlines()
        return {"requests": len(lines) * self.each, "last_s": self.log.stat().st_mtime + self.delay_s}

    def times(self) -> dict[str, float]:
        lines = self.log.read_bytes().splitlines()[self.forgotten :]
        written_s = self.log.stat().st_mtime
        return {json.loads(line)["id"]: written_s + self.delay_s for line in lines}

    def taken(self) -> dict[str, int]:
        self.forgotten = len(self.log.read_bytes().splitlines())
        return {}


class Fake:
    """A Subject that spends one second of CPU in each of two parts between two samples."""

    def __init__(self, folder: Path, *, delay_s: float = 0.0, each: int = 1) -> None:
        self.log = folder / "alerts.json"
        self.log.touch()
        self.target: Any = Target(self.log, delay_s, each)
        self.samples = 0

    def cpu(self) -> dict[str, float]:
        self.samples += 1
        return {"producer": float(self.samples), "workers": float(self.samples)}

    def is_settled(self) -> bool:
        return True


def test_stat_of_a_process_whose_name_has_brackets_and_blanks() -> None:
    assert parse_stat(STAT) == Process(pid=41, parent=7, ticks=5 + 6 + 70 + 80)


@given(name=st.text(st.characters(exclude_categories=["Cs"]), max_size=15))
def test_name_of_a_process_never_shifts_its_fields(name: str) -> None:
    assert parse_stat(STAT.replace("a) b (c)", name)) == parse_stat(STAT)


def test_family_is_a_process_and_its_descendants_only() -> None:
    parents = {1: 0, 2: 1, 3: 2, 4: 2, 5: 1, 6: 4}
    processes = {pid: Process(pid, parent, 0) for pid, parent in parents.items()}
    assert [one.pid for one in family(2, processes)] == [2, 3, 4, 6]
    assert list(family(99, processes)) == []


def test_usage_counts_a_living_child() -> None:
    code = "import sys; block = bytearray(200_000_000); print(flush=True); sys.stdin.read()"
    before = usage([os.getpid()]).memory_mb
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert usage([os.getpid()]).memory_mb > before + 150
        assert usage([child.pid]).cpu_s >= 0
        child.communicate()


@pytest.mark.parametrize(
    ("text", "label", "alerts"),
    [("50", "50_per_s", 500), ("0.5", "0.5_per_s", 5), ("lone", "lone", 8), ("flood", "flood", 3000)],
)
def test_regime_names_its_figures_and_its_alerts(text: str, label: str, alerts: int) -> None:
    how = regime(text)
    assert how.label == label
    assert how.alerts(10.0, 3000) == alerts


@pytest.mark.parametrize("text", ["", "fast", "0", "-1", "nan", "inf", "1e9"])
def test_other_regimes_are_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="neither a rate"):
        regime(text)


def test_cost_is_divided_by_deliveries_and_summed_over_parts(tmp_path: Path) -> None:
    found = Meter(Fake(tmp_path, delay_s=0.5)).measure(regime("flood"), seconds=0, flood=100)
    assert {name: found[name] for name in ("cpu_ms", "producer_cpu_ms", "workers_cpu_ms")} == {
        "cpu_ms": 20.0,
        "producer_cpu_ms": 10.0,
        "workers_cpu_ms": 10.0,
    }
    assert found["per_s"] == pytest.approx(200, rel=0.5)


def test_latency_at_a_rate_is_counted_from_each_newline(tmp_path: Path) -> None:
    meter = Meter(Fake(tmp_path, delay_s=1.0))
    meter.measure(regime("flood"), seconds=0, flood=5)
    found = meter.measure(regime("1000"), seconds=0.02, flood=0)
    assert found["cpu_ms"] == 100.0  # 2 s for 20 deliveries
    # a little less than 1000: the kernel's clock for files may be behind by a tick
    assert 980 <= found["p50_ms"] <= found["p99_ms"]


def test_rate_is_that_of_deliveries_if_alerts_are_for_all(tmp_path: Path) -> None:
    fake = Fake(tmp_path, each=10)
    found = Meter(fake, group=lambda _: "all", deliveries_an_alert=10).measure(regime("1000"), seconds=0.1, flood=0)
    assert len(fake.log.read_bytes().splitlines()) == 10
    assert found["cpu_ms"] == 20.0  # 2 s for 100 deliveries


def test_ratios_are_those_of_the_same_round_with_their_goals() -> None:
    rounds = [{"cpu_ms": 1.0, "server_cpu_ms": 0.5}, {"cpu_ms": 3.0, "server_cpu_ms": 0.5}]
    base = [{"cpu_ms": 4.0, "server_cpu_ms": 1.0}, {"cpu_ms": 6.0, "server_cpu_ms": 0.0}]
    found = {one.name: one for one in figures_of({"50_per_s": {"current": rounds, "base": base}})}
    assert found["50_per_s_cpu_ms_ratio"].values == (0.25, 0.5)
    assert (found["50_per_s_cpu_ms_ratio"].better, found["50_per_s_cpu_ms_ratio"].goal) == ("less", 0.35)
    assert found["50_per_s_cpu_ms_base"].better == "neither"
    assert found["50_per_s_server_cpu_ms_ratio"].values == (0.5,)  # less than a tick of the clock is no reference
    assert "50_per_s_server_cpu_ms_base" not in found


def test_peer_is_compared_by_sum_and_latency() -> None:
    ours = {"cpu_ms": 0.6, "workers_cpu_ms": 0.5, "per_s": 2000.0}
    peer = {"cpu_ms": 0.1, "syslog_ng_cpu_ms": 0.1, "per_s": 5000.0}
    found = {one.name: one for one in figures_of({"flood": {"current": [ours], "syslog_ng": [peer]}})}
    assert found["flood_cpu_ms_ratio_to_syslog_ng"].goal == 4.0
    assert not found["flood_cpu_ms_ratio_to_syslog_ng"].met
    assert found["flood_per_s"].better == "more"
    assert [name for name in found if name.endswith("syslog_ng")] == [
        "flood_cpu_ms_syslog_ng",
        "flood_cpu_ms_ratio_to_syslog_ng",
    ]


def test_figures_without_references_are_those_of_the_current_code() -> None:
    found = figures_of({"idle": {"current": [{"percent": 2.0, "mb": 200.0}]}})
    assert [(one.name, one.met) for one in found] == [("idle_percent", False), ("idle_mb", True)]


def test_ratio_to_nothing_is_left_out() -> None:
    assert ratios((1.0, 2.0), (0.0, 4.0)) == (0.5,)


@pytest.mark.parametrize(
    ("arguments", "chosen"),
    [
        ([], ["rates", "flower", "idle", "integrations"]),
        (["--rates", "50", "flood"], ["rates"]),
        (["--idle", "--flower"], ["flower", "idle"]),
        (["--integrations", "1", "10"], ["integrations"]),
    ],
)
def test_named_parts_run_or_all(arguments: list[str], chosen: list[str]) -> None:
    options = vars(steady.parse(arguments))
    assert [name for name in ("rates", "flower", "idle", "integrations") if options[name]] == chosen


def test_alert_for_all_matches_each_integration() -> None:
    alone, to_all = (integrations.config(3, to_all=choice) for choice in (False, True))
    assert [alone.count(f"<group>g{n},</group>") for n in range(3)] == [1, 1, 1]
    assert to_all.count("<group>all,</group>") == to_all.count("{port}") == 3
    assert [integrations.group(n, over=3) for n in (0, 4)] == ["g0", "g1"]
    assert integrations.group(7, over=0) == "all"


def test_growth_is_relative_to_the_first_number_of_integrations() -> None:
    costs = {1: [{"cpu_ms": 2.0}], 10: [{"cpu_ms": 3.0}], 100: [{"cpu_ms": 2.5}]}
    found = {one.name: one for one in integrations.figures("50_per_s", costs)}
    assert found["50_per_s_ratio_10_to_1_integrations"].values == (1.5,)
    assert found["50_per_s_ratio_10_to_1_integrations"].goal is None
    assert found["50_per_s_ratio_100_to_1_integrations"].met


def test_unknown_base_is_one_plain_error() -> None:
    with pytest.raises(SystemExit, match="cannot install the base no-such-commit; `--base none` runs without one"):
        base_commit.courier_of("no-such-commit")


def test_missing_syslog_ng_is_no_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not syslog_ng.is_installed()


@pytest.mark.parametrize(("modules", "there"), [("afhttp,json-plugin", False), ("affile,http,json-plugin", True)])
def test_syslog_ng_needs_its_http_module(
    modules: str, there: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "syslog-ng"
    program.write_text(f"#!/bin/sh\necho 'syslog-ng 4'\necho 'Available-Modules: {modules}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert syslog_ng.is_installed() == there


@pytest.mark.skipif(not syslog_ng.is_installed(), reason="syslog-ng is not installed with its http module")
def test_syslog_ng_delivers_every_alert_above_the_level() -> None:
    with syslog_ng.running() as peer:
        with peer.log.open("ab") as log:
            log.write(alert(1000).replace(b'"level":10', b'"level":3'))
        found = Meter(peer).measure(regime("flood"), seconds=0, flood=20)
        assert found["per_s"] > 0
        assert peer.target.counts()["requests"] == 20
