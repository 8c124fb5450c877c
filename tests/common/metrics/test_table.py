from __future__ import annotations

import re
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

import common
from common.errors import SettingsError
from common.metrics import TABLE, serve
from common.metrics.factory import counter, gauge, histogram
from common.metrics.labels import FAILED, REASONS_WITHOUT_ATTEMPT, SKIPPED, attempt_pairs, ledger_pairs
from common.outcome import Reason
from common.settings.served import MetricsSettings
from ops.standalone.embedded_redis import free_port

ROOT = Path(common.__file__).parents[1]


def test_metric_names_are_unique_and_well_formed() -> None:
    names = [metric.full_name for metric in TABLE]
    assert len(names) == len(set(names))
    assert all(re.fullmatch(r"courier_[a-z]+(_[a-z]+)*", name) for name in names)
    assert not [m.name for m in TABLE if m.type == "histogram" and not m.name.endswith("_seconds")]
    assert {label for m in TABLE for label in m.labels} == {"field", "integration", "node", "outcome", "reason", "what"}


def test_metrics_outside_the_table_cannot_be_created() -> None:
    registry = CollectorRegistry()
    with pytest.raises(KeyError):
        counter("courier_surprise", registry)
    with pytest.raises(AssertionError):
        gauge("courier_attempts", registry)
    with pytest.raises(AssertionError):
        histogram("courier_up", (1.0,), registry)


def test_every_reason_is_in_one_list_and_every_pair_is_unique() -> None:
    assert sorted((*SKIPPED, *FAILED, *REASONS_WITHOUT_ATTEMPT)) == sorted(Reason)
    for pairs in (list(ledger_pairs()), list(attempt_pairs())):
        assert len(pairs) == len(set(pairs))
    assert {reason for _, reason in ledger_pairs()} == {"", *Reason}


def test_integrations_skip_only_with_reasons_of_the_list() -> None:
    sources = [path.read_text() for path in (ROOT / "workers").rglob("*.py")]
    used = {name for text in sources for name in re.findall(r"Skipped\(Reason\.([A-Z_]+)", text)}
    assert used
    assert used <= {reason.name for reason in SKIPPED}


def test_every_counter_of_the_lua_scripts_is_exported() -> None:
    scripts = [path.read_text() for path in (ROOT / "common" / "ledger").glob("*.lua")]
    counted = {name for text in scripts for name in re.findall(r"count\('([a-z_]+)'", text)}
    shown = {
        *("read", "not_matched", "silenced", "enqueued", "already_queued"),
        *("committed", "excepted", "bytes", "dead_bytes", "breaker_opened", "target_paused"),
    }
    shown |= {"folded", "digests", "below_min"}
    shown |= {"breaker_closed", "clock_set_back"}
    shown |= {"digested"}  # folded less below_min and what is in open groups
    assert counted - shown <= {outcome for outcome, _ in ledger_pairs()}


def test_no_port_serves_nothing() -> None:
    assert serve(MetricsSettings(address="127.0.0.1", port=0), CollectorRegistry()) == 0


def test_port_in_use_is_an_error_with_remedy() -> None:
    metrics = MetricsSettings(address="127.0.0.1", port=free_port())
    assert serve(metrics, CollectorRegistry()) == metrics.port
    with pytest.raises(SettingsError, match=rf"127\.0\.0\.1:{metrics.port}: .*set another metrics\.port"):
        serve(metrics, CollectorRegistry())
