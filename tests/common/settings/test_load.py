from __future__ import annotations

import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import SettingsError
from common.integration import Integration
from common.logs import LogLevel
from common.secret import MASK, Secret
from common.settings.load import DEFAULTS_FILE, load_settings
from common.settings.schema import DEFAULT, INTEGRATIONS, KEYS, POLICY_KEYS, Start
from common.settings.sources import FIXED, dotted, from_file

if TYPE_CHECKING:
    from common.settings.load import Settings

SLACK = Integration(id="slack-2", name="slack")
SCRIPT = Integration(id="custom-x", name="custom-x")


def load(tmp_path: Path, toml: str | None = None, *, overrides: dict[str, str] | None = None, **env: str) -> Settings:
    if toml is not None:
        (tmp_path / "courier.toml").write_text(toml, encoding="utf-8")
    return load_settings(file=None, environment=env, cwd=tmp_path, overrides=overrides or {})


def refusal(tmp_path: Path, toml: str | None = None, **given: Any) -> str:
    with pytest.raises(SettingsError) as refused:
        load(tmp_path, toml, **given)
    return str(refused.value)


# The packaged file


def test_packaged_file_sets_exactly_the_known_keys() -> None:
    paths = list(from_file(DEFAULTS_FILE, "default", packaged=True))
    chats = ("teams", "discord", "googlechat", "mattermost", "rocketchat")
    vendors = ("slack", "pagerduty", "virustotal", "shuffle", "maltiverse")
    of_scripts = [(INTEGRATIONS, "custom-*", name) for name in ("concurrency", "retry_delay", "retry_max_attempts")]
    limits = [(INTEGRATIONS, vendor, "rate_limits") for vendor in vendors]
    limits[3:3] = [(INTEGRATIONS, "virustotal", name) for name in ("newest_first", "self_alert_lag")]
    limits += [(INTEGRATIONS, mail, "rate_limits") for mail in ("telegram", "ntfy", "email")]
    limits += [(INTEGRATIONS, "email", "concurrency")]
    limits += [(INTEGRATIONS, chat, "rate_limits") for chat in ("apprise", *chats)]
    of_jira = [(INTEGRATIONS, "jira", name) for name in ("concurrency", "rate_limits")]
    assert paths == [*FIXED, *of_scripts, *limits, *of_jira]


def test_packaged_file_has_values_in_display_form(tmp_path: Path) -> None:
    raw = {dotted(path): given.raw for path, given in from_file(DEFAULTS_FILE, "default", packaged=True).items()}
    shown = {key: value for key, value, _ in load(tmp_path).listing()}
    same = {"integrations.default.lease": "60s", "integrations.default.script_timeout": "60s", "producer.node": ""}
    assert raw == shown | same


def test_the_defaults(tmp_path: Path) -> None:
    settings = load(tmp_path)
    assert settings.redis.url == Secret("redis://127.0.0.1:6379/0")
    assert settings.redis.password is None
    assert settings.producer.node == socket.gethostname()
    assert settings.producer.max_line_bytes == 16 * 2**20
    assert settings.producer.poll_interval_s == 0.25
    assert settings.log.level is LogLevel.INFO
    assert set(settings.origin.values()) == {"default"}


def test_names_of_keys_fields_variables_and_options() -> None:
    lease, size = POLICY_KEYS["lease"], POLICY_KEYS["max_backlog_bytes"]
    assert (lease.field, lease.variable) == ("lease_s", "COURIER_INTEGRATIONS_DEFAULT_LEASE")
    assert (size.field, POLICY_KEYS["max_backlog"].field) == ("max_backlog_bytes", "max_backlog")
    assert KEYS["producer"]["max_line"].option == "--producer-max-line"
    assert KEYS["state"]["dir"].option == "--state"
    assert KEYS["state"]["secret_key"].variable == "COURIER_SECRET_KEY"


# Precedence


@given(sources=st.sets(st.sampled_from(["file", "variable", "option"])), as_file=st.booleans())
def test_the_strongest_source_wins_and_is_named(
    tmp_path_factory: pytest.TempPathFactory, sources: set[str], as_file: bool
) -> None:
    cwd = tmp_path_factory.mktemp("cwd")
    environment, overrides, expected = {}, {}, (1024, "default")
    if "file" in sources:
        (cwd / "courier.toml").write_text("[worker]\n\nmax_tasks = 1\n")
        expected = (1, "courier.toml:3")
    if "variable" in sources and as_file:
        (cwd / "slots").write_text("2\n")
        environment, expected = {"COURIER_WORKER_MAX_TASKS_FILE": "slots"}, (2, "COURIER_WORKER_MAX_TASKS_FILE")
    elif "variable" in sources:
        environment, expected = {"COURIER_WORKER_MAX_TASKS": "2"}, (2, "COURIER_WORKER_MAX_TASKS")
    if "option" in sources:
        overrides, expected = {"worker.max_tasks": "3"}, (3, "--max-tasks")
    settings = load_settings(file=None, environment=environment, cwd=cwd, overrides=overrides)
    assert (settings.worker.max_tasks, settings.origin["worker.max_tasks"]) == expected


def test_which_settings_file_is_read(tmp_path: Path) -> None:
    for name, slots in {"courier.toml": 1, "env.toml": 2, "option.toml": 3}.items():
        (tmp_path / name).write_text(f"worker.max_tasks = {slots}")
    environment = {"COURIER_SETTINGS": "env.toml"}
    chosen = load_settings(file=Path("option.toml"), environment=environment, cwd=tmp_path)
    assert (chosen.worker.max_tasks, chosen.origin["worker.max_tasks"]) == (3, "option.toml:1")
    assert load_settings(file=None, environment=environment, cwd=tmp_path).worker.max_tasks == 2
    assert load_settings(file=None, environment={"COURIER_SETTINGS": ""}, cwd=tmp_path).worker.max_tasks == 1


def test_empty_variables_and_empty_optional_keys_are_unset(tmp_path: Path) -> None:
    settings = load(tmp_path, 'redis.ca = ""', COURIER_WORKER_MAX_TASKS="", COURIER_REDIS_URL_FILE="")
    assert (settings.worker.max_tasks, settings.redis.ca) == (1024, None)


def test_relative_paths_start_at_the_file_or_working_directory(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/c.toml").write_text('[worker]\nwazuh_home = "ossec"\nqueue_socket = "/run/q"\n')
    environment = {"COURIER_SETTINGS": "etc/c.toml", "COURIER_PRODUCER_ALERTS": "a.json"}
    settings = load_settings(file=None, environment=environment, cwd=tmp_path, overrides={"state.dir": "s"})
    assert settings.worker.wazuh_home == tmp_path / "etc/ossec"
    assert settings.worker.queue_socket == Path("/run/q")
    assert settings.producer.alerts == tmp_path / "a.json"
    assert settings.state.dir == tmp_path / "s"


@pytest.mark.parametrize("home", ["/opt/ossec", "ossec"])
def test_paths_in_wazuh_home_move_with_it(tmp_path: Path, home: str) -> None:
    worker = load(tmp_path, f'[worker]\nwazuh_home = "{home}"').worker
    assert worker.integrations_dir == tmp_path / home / "integrations"
    assert worker.queue_socket == tmp_path / home / "queue/sockets/queue"
    settings = load(tmp_path, '[worker]\nqueue_socket = "/run/q"', COURIER_WORKER_WAZUH_HOME=home)
    assert settings.worker.integrations_dir == tmp_path / home / "integrations"
    assert settings.worker.queue_socket == Path("/run/q")
    assert settings.origin["worker.integrations_dir"] == "COURIER_WORKER_WAZUH_HOME"
    assert load(tmp_path, "").worker.integrations_dir == Path("/var/ossec/integrations")


def test_one_final_newline_of_a_mounted_secret_is_removed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"pass word\r\r\n")
    settings = load(tmp_path, COURIER_REDIS_PASSWORD_FILE="secret")
    assert settings.redis.password == Secret("pass word\r")


# Policies


def test_a_policy_is_merged_from_general_to_specific(tmp_path: Path) -> None:
    toml = """
        [integrations.slack-2]
        lease = "4s"
        [integrations.slack]
        lease = "3s"
        script_timeout = "3s"
        [integrations."slack*"]
        lease = "2s"
        script_timeout = "2s"
        retry_delay_max = "2s"
        [integrations."s*"]
        retry_delay_max = "1s"
        retry_delay = "1s"
    """
    policy = load(tmp_path, toml).policy(SLACK)
    assert (policy.lease_s, policy.script_timeout_s, policy.retry_delay_max_s, policy.retry_delay_s) == (4, 3, 2, 1)
    assert policy.max_in_flight == 512


def test_scripts_have_concurrency_four_by_default(tmp_path: Path) -> None:
    assert load(tmp_path, "integrations.default.lease = '9s'").policy(SCRIPT).concurrency == 4
    assert load(tmp_path, "integrations.default.concurrency = 9").policy(SCRIPT).concurrency == 9
    assert load(tmp_path, "integrations.custom-x.concurrency = 9").policy(SCRIPT).concurrency == 9
    assert load(tmp_path, COURIER_INTEGRATIONS_DEFAULT_CONCURRENCY="7").policy(SLACK).concurrency == 7


def test_operator_settings_override_all_packaged_tables(tmp_path: Path) -> None:
    assert limits(load(tmp_path)) == ["1/s burst 3"]
    assert limits(load(tmp_path, COURIER_INTEGRATIONS_DEFAULT_RATE_LIMITS="none")) == []
    written = """
        [integrations.default]
        rate_limits = ["9/s"]
        [integrations."sl*"]
        rate_limits = ["8/s"]
    """
    assert limits(load(tmp_path, written)) == ["8/s"]
    assert limits(load(tmp_path, COURIER_INTEGRATIONS_DEFAULT_RATE_LIMITS="4/min, 500/day")) == ["8/s"]
    assert limits(load(tmp_path, '[integrations.pagerduty]\nrate_limits = ["9/s"]')) == ["1/s burst 3"]


def limits(settings: Settings) -> list[str]:
    return [str(limit) for limit in settings.policy(SLACK).rate_limits]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("slack", ["1/s burst 3"]),
        ("pagerduty", ["2/s"]),
        ("virustotal", ["4/min", "500/day"]),
        ("shuffle", ["5/s"]),
        ("maltiverse", ["1/s burst 5"]),
        ("telegram", ["1/s", "20/min"]),
        ("ntfy", ["12/min"]),
        ("email", ["30/min"]),
        ("apprise", ["30/min"]),
        ("custom-x", []),
        ("manager", []),
    ],
)
def test_default_rate_limits_of_each_service(tmp_path: Path, name: str, expected: list[str]) -> None:
    policy = load(tmp_path).policy(Integration(id=f"{name}-2", name=name))
    assert [str(limit) for limit in policy.rate_limits] == expected


def test_limits_from_a_variable_are_separated_by_commas(tmp_path: Path) -> None:
    settings = load(tmp_path, COURIER_INTEGRATIONS_DEFAULT_RATE_LIMITS="4/min, 500/day,2/s burst 5")
    assert limits(settings) == ["4/min", "500/day", "2/s burst 5"]


def test_policy_values(tmp_path: Path) -> None:
    toml = """
        [integrations.default]
        start_at = 2026-01-31T09:00:00+01:00
        max_backlog_bytes = "1GiB"
        verify_tls = false
        proxy = "http://user:hunter2@proxy:3128"
        environment = { TOKEN = "hunter2" }
    """
    settings = load(tmp_path, toml)
    policy = settings.policy(SLACK)
    assert policy.start_at == datetime(2026, 1, 31, 8, tzinfo=UTC)
    assert policy.max_backlog_bytes == 2**30
    assert not policy.verify_tls
    assert policy.environment == {"TOKEN": Secret("hunter2")}
    shown = {key.rpartition(".")[2]: value for key, value, _ in settings.listing()}
    assert shown["proxy"] == f"http://{MASK}@proxy:3128"
    assert (shown["environment"], shown["start_at"]) == ({"TOKEN": MASK}, "2026-01-31T08:00:00Z")
    assert "hunter2" not in repr(settings) + repr(policy)


def test_start_at_from_a_variable(tmp_path: Path) -> None:
    first = load(tmp_path, COURIER_INTEGRATIONS_DEFAULT_START_AT="beginning")
    assert first.policy(SLACK).start_at is Start.BEGINNING
    dated = load(tmp_path, COURIER_INTEGRATIONS_DEFAULT_START_AT="2026-01-31T08:00:00Z")
    assert dated.policy(SLACK).start_at == datetime(2026, 1, 31, 8, tzinfo=UTC)


def test_unused_tables_are_listed_without_an_error(tmp_path: Path) -> None:
    toml = 'integrations.slak.lease = "5s"\nintegrations."sl*".lease = "5s"'
    assert load(tmp_path, toml).unused_tables([SLACK]) == ["slak"]


# Redis


def test_password_and_ca_are_only_in_the_connection_url(tmp_path: Path) -> None:
    toml = '[redis]\nurl = "rediss://me:old@db/1"\npassword = "hunter2"\nca = "/ca.pem"'
    redis = load(tmp_path, toml).redis
    assert redis.connection_url == Secret("rediss://me:hunter2@db/1?ssl_ca_certs=%2Fca.pem")
    assert redis.address == f"rediss://{MASK}@db/1"


def test_sentinel_password_is_only_in_the_connection_url(tmp_path: Path) -> None:
    toml = '[redis]\nurl = "sentinel://a,b/main"\nsentinel_password = "hunter2"'
    redis = load(tmp_path, toml).redis
    assert redis.connection_url == Secret("sentinel://a,b/main?sentinel_password=hunter2")
    assert redis.address == "sentinel://a,b/main"


def test_sentinel_password_without_sentinel_is_rejected(tmp_path: Path) -> None:
    error = refusal(tmp_path, 'redis.sentinel_password = "hunter2"')
    assert error.startswith("courier.toml:1: redis.sentinel_password: there is no Sentinel")
    assert "hunter2" not in error


def test_ca_without_tls_is_rejected(tmp_path: Path) -> None:
    assert refusal(tmp_path, 'redis.ca = "/ca.pem"').startswith("courier.toml:1: redis.ca: the connection is not")


def test_default_table_has_every_policy_key(tmp_path: Path) -> None:
    assert load(tmp_path).integrations[DEFAULT].keys() == {key.field for key in POLICY_KEYS.values()}


@pytest.mark.parametrize(
    "text", ["2026/Jan/ossec-alerts-31.json:1234", "2026/Jan/ossec-alerts-31-002.json:0", "alerts.json:7"]
)
def test_start_at_a_position_of_the_alert_log(tmp_path: Path, text: str) -> None:
    settings = load(tmp_path, f'integrations.default.start_at = "{text}"')
    assert str(settings.policy(SLACK).start_at) == text
    assert {key: value for key, value, _ in settings.listing()}["integrations.default.start_at"] == text


@pytest.mark.parametrize(
    "text", ["../alerts.json:7", "alerts.json", "alerts.json:", "alerts.json:-1", "2026/alerts.json:1"]
)
def test_invalid_start_at_positions(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsError, match=r'or a position; write .* or a position such as "2026/Jan/ossec-alerts-31'):
        load(tmp_path, f'integrations.default.start_at = "{text}"')


def test_a_running_process_keeps_its_defaults_during_an_upgrade(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packaged = tmp_path / "packaged.toml"
    packaged.write_bytes(DEFAULTS_FILE.read_bytes())
    monkeypatch.setattr("common.settings.load.DEFAULTS_FILE", packaged)
    settings = load_settings(file=None, environment={}, cwd=tmp_path)
    packaged.write_text(f"{packaged.read_text()}\n[newer]\nkey = 1\n")
    assert settings.read_again().log == settings.log
