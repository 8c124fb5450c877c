from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from common.secret import Secret
from common.settings.published_policy import merge_policy, publish_policy
from common.settings.schema import LOCAL_KEYS, POLICY_KEYS, PUBLISHED_KEYS
from tests.common.settings.test_load import SLACK, load

if TYPE_CHECKING:
    from pathlib import Path

VALUES: dict[str, st.SearchStrategy[Any]] = {
    "lease": st.integers(1, 86_400).map(lambda s: f"{s}s"),
    "retry_delay": st.integers(100, 10**7).map(lambda ms: f"{ms}ms"),
    "rate_limits": st.lists(st.sampled_from(["1/s burst 3", "4/min", "500/day", "2/s"]), max_size=3),
    "max_backlog_bytes": st.integers(1, 4000).map(lambda n: f"{n}MiB"),
    "breaker_ratio": st.integers(0, 100).map(lambda n: f"{n}%"),
    "endpoint": st.sampled_from(["", "https://user:pass@gate.example/x?key=1"]),
    "start_at": st.sampled_from(["end", "beginning", "2026-01-31T08:00:00Z", "2026/Jan/ossec-alerts-31.json:12"]),
    "allow_private": st.lists(st.sampled_from(["10.0.0.0/8", "fd00::/8", "192.168.7.9"]), max_size=2),
    "dead_max_age": st.sampled_from(["", "30d"]),
    "permanent_exit_codes": st.lists(st.integers(1, 255), max_size=3),
    "environment": st.dictionaries(st.sampled_from(["TOKEN", "LANG"]), st.text("abc", max_size=3)),
    "virustotal_api": st.sampled_from(["v2", "v3"]),
    "self_alerts": st.booleans(),
}
PROXY = {"proxy": "http://me:word@proxy:3128", "concurrency": 3, "verify_tls": False}


def test_six_keys_are_the_workers_own() -> None:
    assert set(LOCAL_KEYS) == {"proxy", "ca_bundle", "client_cert", "client_key", "verify_tls", "concurrency"}
    assert set(LOCAL_KEYS) | set(PUBLISHED_KEYS) == set(POLICY_KEYS)


@given(raw=st.fixed_dictionaries({}, optional=VALUES), unknown=st.integers())
def test_a_worker_has_the_policy_of_the_producer_except_for_its_own_six_keys(
    tmp_path_factory: Any, raw: dict[str, Any], unknown: int
) -> None:
    folder: Path = tmp_path_factory.getbasetemp()
    defaults = load(folder, "").policy(SLACK)
    changes = {POLICY_KEYS[name].field: POLICY_KEYS[name].reader.parse(value) for name, value in raw.items()}
    ours = {POLICY_KEYS[name].field: POLICY_KEYS[name].reader.parse(value) for name, value in PROXY.items()}
    producers, workers = msgspec.structs.replace(defaults, **changes), msgspec.structs.replace(defaults, **ours)

    sent = msgspec.json.decode(msgspec.json.encode(publish_policy(producers) | {"of_a_newer_version": unknown}))

    assert merge_policy(workers, sent) == msgspec.structs.replace(producers, **ours)


def test_values_that_are_missing_or_of_another_version_are_the_workers_own(tmp_path: Path) -> None:
    own = load(tmp_path, '[integrations.default]\nlease = "9s"\nvirustotal_api = "v3"').policy(SLACK)
    assert merge_policy(own, {}) == own
    merged = merge_policy(own, {"virustotal_api": "v9", "max_in_flight": 5, "proxy": "http://elsewhere"})
    assert (merged.virustotal_api, merged.max_in_flight, merged.lease_s) == ("v3", 5, 9)
    assert merged.proxy is None


def test_secrets_are_published_in_plain_text_to_be_encrypted(tmp_path: Path) -> None:
    policy = load(tmp_path, 'integrations.slack.environment = { TOKEN = "hunter2" }').policy(SLACK)
    assert publish_policy(policy)["environment"] == {"TOKEN": "hunter2"}
    assert merge_policy(policy, publish_policy(policy)).environment == {"TOKEN": Secret("hunter2")}
