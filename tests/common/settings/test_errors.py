from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import SettingsError
from common.settings.load import load_settings
from common.settings.renamed import RENAMED
from common.settings.sources import FIXED, dotted
from tests.common.settings.test_load import load, refusal


@pytest.mark.parametrize(
    ("toml", "expected"),
    [
        ("a =", "courier.toml: is not TOML: Invalid value (at end of document)"),
        ("x = " + "[" * 5000, "courier.toml: is not TOML: "),
        ("x = " + "9" * 5000, "courier.toml: is not TOML: "),
        ("[worker]\nmax_task = 5", "courier.toml:2: there is no key worker.max_task; did you mean worker.max_tasks?"),
        ("[worker]\nslotz = 5", "courier.toml:2: there is no key worker.slotz; did you mean worker.max_tasks?"),
        (
            "[worker]\nqueue_sock = 5",
            "courier.toml:2: there is no key worker.queue_sock; did you mean worker.queue_socket?",
        ),
        ("[worker]\nrun_user = 5", "courier.toml:2: there is no key worker.run_user; `courier config` lists all keys"),
        ("[worker]\nnode = 5", "courier.toml:2: there is no key worker.node; did you mean producer.node?"),
        (
            "[integrations.slack]\ndeadlin = '1s'",
            "courier.toml:2: there is no key integrations.slack.deadlin; did you mean integrations.slack.script_t",
        ),
        ("max_tasks = 5", "courier.toml:1: there is no key max_tasks; did you mean worker.max_tasks?"),
        ("[wroker]\nmax_tasks = 5", "courier.toml:1: there is no section [wroker]; did you mean worker?"),
        ("\nworker = 5", "courier.toml:2: worker is a section; write [worker] and its keys below"),
        (
            "[integrations]\nlease = 5",
            "courier.toml:2: there is no key integrations.lease; did you mean integrations.default.lease?",
        ),
        (
            "[integrations]\nslack = 5",
            "courier.toml:2: integrations.slack is a table; write [integrations.slack] and",
        ),
        (
            '[integrations."s*"]\r\nlaese = 5',
            'courier.toml:2: there is no key integrations."s*".laese; did you mean integrations."s*".lease?',
        ),
        ("[worker]\nhome = 'x'", "courier.toml:2: worker.home is now called worker.wazuh_home"),
        (
            "[integrations.slack]\nretry_cap = '5m'",
            "courier.toml:2: integrations.slack.retry_cap is now called integrations.slack.retry_delay_max",
        ),
        ("zzz = 5", "courier.toml:1: there is no key zzz; `courier config` lists all keys"),
        (
            'worker.max_tasks = "many"',
            'courier.toml:1: worker.max_tasks: "many" is not a whole number; write a whole number',
        ),
        (
            "worker.max_tasks = 0",
            "courier.toml:1: worker.max_tasks: 0 is less than 1; write a whole number from 1 to 10000",
        ),
        ("worker.max_tasks = true", "courier.toml:1: worker.max_tasks: true is not a whole number; write"),
        (
            "producer.poll_interval = 5",
            'courier.toml:1: producer.poll_interval: 5 has no unit; write a duration from "10ms" to "1m"',
        ),
        ('producer.poll_interval = "2m"', "courier.toml:1: producer.poll_interval: 2m is more than 1m; write"),
        (
            'producer.poll_interval = "2x"',
            "courier.toml:1: producer.poll_interval: \"2x\" has the unit 'x', which is none of ms, s, m",
        ),
        (
            'producer.max_line = "64KB"',
            "courier.toml:1: producer.max_line: \"64KB\" has the unit 'KB', which is none",
        ),
        ('producer.alerts = ""', "courier.toml:1: producer.alerts: the value is empty; write a path"),
        ("producer.alerts = 5", "courier.toml:1: producer.alerts: the value (not shown) is not a text; write a path"),
        ('producer.node = "a b"', 'courier.toml:1: producer.node: "a b" is not allowed; write a name of letters'),
        ("windows = 5", "courier.toml:1: windows is a section; write [windows] and its keys below"),
        (
            "[windows]\nnight = {form = '22:00'}",
            "courier.toml:2: windows.night: there is no key 'form'; the keys are days, from, to, zone; write {from = ",
        ),
        (
            "[[windows.w]]\n[[windows.w]]\nzone = 'Berlin'",
            "courier.toml:1: windows.w: span 2: zone: 'Berlin' is not a time zone; write an IANA name",
        ),
        (
            "[integrations.s]\nhold = {in = 'a', above = 3}",
            "courier.toml:2: integrations.s.hold: there is no key 'above'; the keys are in, outside, below, then; ",
        ),
        (
            "[integrations.default]\nhold = {in = 'a'}",
            "courier.toml:2: integrations.default.hold belongs in the table of one integration, [integrations.ID]",
        ),
        ('log.level = "loud"', 'courier.toml:1: log.level: "loud" is not one of the allowed words; write "debug" or'),
        (
            'integrations.default.verify_tls = "0"',
            'courier.toml:1: integrations.default.verify_tls: "0" is not true or false; w',
        ),
        (
            'integrations.s.start_at = "now"',
            'courier.toml:1: integrations.s.start_at: "now" is not one of the wo',
        ),
        ("integrations.s.start_at = 2026-01-31T08:00:00", "courier.toml:1: integrations.s.start_at: "),
        ("integrations.s.start_at = 0001-01-01T00:00:00+23:00", "courier.toml:1: integrations.s.start_at: "),
        (
            "integrations.s.environment.A = 5",
            "courier.toml:1: integrations.s.environment: the value of A (not shown)",
        ),
        (
            '[integrations.s.environment]\n"A=" = "x"',
            'courier.toml:1: integrations.s.environment: "A=" is not a valid variable',
        ),
        (
            "integrations.s.environment = 5",
            "courier.toml:1: integrations.s.environment: the value (not shown) is not",
        ),
        (
            'redis.url = "http://x"',
            "courier.toml:1: redis.url: the URL (not shown) does not start with redis:// or ",
        ),
    ],
)
def test_errors_in_a_file_name_line_and_remedy(tmp_path: Path, toml: str, expected: str) -> None:
    assert refusal(tmp_path, toml).startswith(expected)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("5", "5 is not a list"),
        ('["5/m"]', "\"5/m\" has the unit 'm', which is none of s, min, h, day"),
        ('["fast"]', '"fast" is not a number, / and a unit'),
        ('["0/s"]', '"0/s" has the number 0, which is not from 1 to 1000000'),
        ('["4/min burst 2"]', '"4/min burst 2" has a burst, which only a limit per second can have: all N'),
        ("[4]", "4 is not a text"),
        ('"4/min; 5/h"', '"4/min; 5/h" is not a number, / and a unit'),
    ],
)
def test_invalid_rate_limits(tmp_path: Path, value: str, expected: str) -> None:
    text = refusal(tmp_path, f"integrations.s.rate_limits = {value}")
    assert text.startswith(f"courier.toml:1: integrations.s.rate_limits: {expected}")
    assert '; write a list such as ["1/s burst 3"] or ["4/min", "500/day"], or [] for none; units: s, min' in text


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("5", "5 is not a list"),
        ("[5]", "5 is not a text"),
        ('["10.0.0.1/8"]', '"10.0.0.1/8" has bits set after its mask'),
        ('"10.0.0.0/8,intranet"', '"intranet" is not an IP network'),
    ],
)
def test_invalid_networks(tmp_path: Path, value: str, expected: str) -> None:
    text = refusal(tmp_path, f"integrations.s.allow_private = {value}")
    assert text.startswith(f"courier.toml:1: integrations.s.allow_private: {expected}; write a list such as")


@pytest.mark.parametrize("value", ['["http://soc.example.org"]', '["soc.example.org:443"]', '[""]', '["a b"]'])
def test_invalid_hosts_of_flower(tmp_path: Path, value: str) -> None:
    assert "is not a host name; write a list of names without scheme and port" in refusal(
        tmp_path, f"flower.hosts = {value}"
    )


@pytest.mark.parametrize(
    ("value", "expected"), [("50", "50 is not a percentage"), ('"101%"', "101% is more than 100%")]
)
def test_invalid_percentages(tmp_path: Path, value: str, expected: str) -> None:
    text = refusal(tmp_path, f"integrations.s.breaker_ratio = {value}")
    assert text == f'courier.toml:1: integrations.s.breaker_ratio: {expected}; write a percentage from "0%" to "100%"'


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        (
            "COURIER_WORKER_MAX_TASK",
            "5",
            "COURIER_WORKER_MAX_TASK: there is no such setting; did you mean COURIER_WORKER_MAX_TASKS?",
        ),
        (
            "COURIER_WORKER_SLOTZ",
            "5",
            "COURIER_WORKER_SLOTZ: there is no such setting; did you mean COURIER_WORKER_MAX_TASKS?",
        ),
        ("COURIER_WORKER_SLOTS", "5", "COURIER_WORKER_SLOTS: is now called COURIER_WORKER_MAX_TASKS"),
        (
            "COURIER_REDIS_PASWORD_FILE",
            "5",
            "COURIER_REDIS_PASWORD_FILE: there is no such setting; did you mean COURIER_REDIS_PASSWORD?",
        ),
        (
            "COURIER_STATE_SECRET_KEY",
            "5",
            "COURIER_STATE_SECRET_KEY: there is no such setting; did you mean COURIER_SECRET_KEY?",
        ),
        (
            "COURIER_INTEGRATIONS_DEFALT_LEASE",
            "5",
            "COURIER_INTEGRATIONS_DEFALT_LEASE: there is no such setting; did you mean COURIER_INTEGRATIONS_DEFAULT_L",
        ),
        (
            "COURIER_WORKER_RUN_USER",
            "5",
            "COURIER_WORKER_RUN_USER: there is no such setting; `courier config` lists all keys",
        ),
        (
            "COURIER_FLOWR_PORT",
            "5",
            "COURIER_FLOWR_PORT: there is no such setting; did you mean COURIER_FLOWER_PORT?",
        ),
        (
            "COURIER_WORKER_MAX_TASKS",
            "-5",
            'COURIER_WORKER_MAX_TASKS: worker.max_tasks: "-5" is not a whole number; write',
        ),
        (
            "COURIER_REDIS_CA",
            "a\udcff",
            "COURIER_REDIS_CA: redis.ca: the value (not shown) contains invalid",
        ),
        ("COURIER_WORKER_MAX_TASKS_FILE", "no", "COURIER_WORKER_MAX_TASKS_FILE: "),
        ("COURIER_SETTINGS", "no.toml", "no.toml: cannot be read: No such file or directory"),
    ],
)
def test_errors_in_a_variable_name_the_variable(tmp_path: Path, variable: str, value: str, expected: str) -> None:
    assert refusal(tmp_path, **{variable: value}).startswith(expected)


def test_a_variable_and_its_file_variant_together_are_rejected(tmp_path: Path) -> None:
    expected = refusal(tmp_path, COURIER_REDIS_PASSWORD="hunter2", COURIER_REDIS_PASSWORD_FILE="f")
    assert expected == "COURIER_REDIS_PASSWORD_FILE: COURIER_REDIS_PASSWORD is also set; set only one of them"


def test_an_empty_mounted_secret_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("\n")
    assert "f is empty; write the value into it" in refusal(tmp_path, COURIER_FLOWER_BASIC_AUTH_FILE="f")


@pytest.mark.parametrize(
    ("content", "expected"), [(None, "is a folder; name the file in it"), (b"a = '\xff'", "is not UTF-8 text")]
)
def test_a_folder_or_binary_file_is_rejected(tmp_path: Path, content: bytes | None, expected: str) -> None:
    file = tmp_path / "courier.toml"
    if content is None:
        file.mkdir()
    else:
        file.write_bytes(content)
    assert refusal(tmp_path) == f"courier.toml: {expected}"


def test_a_dangling_link_to_a_settings_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "courier.toml").symlink_to("gone")
    assert refusal(tmp_path).startswith("courier.toml: cannot be read: ")


def test_an_unknown_override(tmp_path: Path) -> None:
    expected = refusal(tmp_path, overrides={"state.dirr": "x"})
    assert expected == "command line: there is no key state.dirr; did you mean state.dir?"


def test_kubernetes_service_variables_are_ignored(tmp_path: Path) -> None:
    settings = load(
        tmp_path,
        COURIER_FLOWER_PORT="tcp://10.0.0.1:5555",
        COURIER_FLOWER_PORT_5555_TCP_ADDR="10.0.0.1",
        COURIER_FLOWER_SERVICE_HOST="10.0.0.1",
        COURIER_FLOWER_SERVICE_PORT_HTTP="5555",
        COURIER_PORT="tcp://10.0.0.1:80",
    )
    assert settings.flower.port == 5555


SECRETS = ["redis.url", "redis.password", "state.secret_key", "flower.basic_auth", "integrations.default.proxy"]


@pytest.mark.parametrize("key", SECRETS)
@pytest.mark.parametrize("value", ['"hunter2\\u0000"', "{ hunter2 = 1 }", '["hunter2"]'])
def test_an_invalid_secret_is_not_quoted(tmp_path: Path, key: str, value: str) -> None:
    assert "hunter2" not in refusal(tmp_path, f"{key} = {value}")


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()


@given(
    path=st.sampled_from(list(FIXED)),
    raw=st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=4),
)
def test_any_value_is_parsed_or_rejected(path: tuple[str, ...], raw: object) -> None:
    reader = FIXED[path].reader
    with suppress(ValueError):
        reader.show(reader.parse(raw))


@given(st.sampled_from([*map(dotted, FIXED), "nothing.here"]), st.text())
def test_any_override_is_accepted_or_rejected(name: str, value: str) -> None:
    with suppress(SettingsError):
        load_settings(file=None, environment={}, cwd=Path("/nowhere"), overrides={name: value})


def test_every_renamed_key_maps_to_an_existing_key() -> None:
    assert {(*path[:-1], name) for path, name in RENAMED.items()} <= set(FIXED)
    assert not set(RENAMED) & set(FIXED)
