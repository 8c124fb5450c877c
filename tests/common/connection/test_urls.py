from __future__ import annotations

from pathlib import Path

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from common.connection.urls import check_url, complete_url, each_host, host_in_url, normalised, show_url
from common.secret import MASK, Secret
from common.settings.load import load_settings

SCHEMES = ("redis", "rediss", "unix", "sentinel", "sentinels")
EVERY = (*SCHEMES, "https")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://127.0.0.1:6379/0", "redis://127.0.0.1:6379/0"),
        ("rediss://:hunter2@db.example:6380/1", f"rediss://{MASK}@db.example:6380/1"),
        ("redis://hunter2@db.example", f"redis://{MASK}@db.example"),
        ("redis://user:hunter2@[::1]:6379", f"redis://{MASK}@[::1]:6379"),
        ("redis://h/0?socket_timeout=3", "redis://h/0"),
        ("redis://h/", "redis://h/"),
        ("rediss://h/15?ssl_ca_certs=/ca.pem&socket_timeout=.5", "rediss://h/15"),
        ("unix:///run/redis.sock?db=1", "unix:///run/redis.sock"),
        ("https://h/x?db=1&password=2", "https://h/x"),
        ("sentinel://me:hunter2@a,b:26380/main/1", f"sentinel://{MASK}@a,b:26380/main/1"),
        ("sentinels://[::1]:26379,[::2]/main", "sentinels://[::1]:26379,[::2]/main"),
    ],
)
def test_urls_are_shown_without_login(url: str, shown: str) -> None:
    check_url(url, EVERY)
    assert show_url(url) == shown


@pytest.mark.parametrize(
    "url",
    [
        "hunter2",
        "http://hunter2",
        "redis://:hunter2@",
        "redis://:hunter2/x@host",
        "redis://host:hunter2",
        "redis://[hunter2",
        "unix://hunter2",
        "redis://user:1234/hunter2@host",
        "redis://user:1234?hunter2@host",
        "redis://user:1234#hunter2@host",
        "redis://host?password=hunter2",
        "redis://host?username=hunter2",
        "redis://:hunter2@host?db=2",
        "rediss://:hunter2@host/0?ssl_cert_reqs=none",
        "redis://:hunter2@host?hunter2=1",
        "redis://:hunter2@host?hunter2",
        "redis://:hunter2@host?socket_timeout=hunter2",
        "redis://:hunter2@host?socket_timeout=0",
        "redis://:hunter2@host?socket_timeout=nan",
        "redis://:hunter2@host?ssl_ca_certs=/ca.pem",
        "redis://:hunter2@host/x",
        "redis://:hunter2@host/99999999999",
        "rediss://:hunter2@host/0/1",
        "rediss://:hunter2@host/-1",
        "unix://:hunter2@/run/redis.sock?db=x",
        "unix://:hunter2@/run/redis.sock?db=0&db=x",
        "redis://:hunter2\u2100@host",
        "REDIS://:hunter2@host",
        "sentinel://:hunter2@a,b",
        "sentinel://:hunter2@a,b/main/x",
        "sentinel://:hunter2@a,,b/main",
        "sentinel://:hunter2@a:1,b:x/main",
        "sentinel://:hunter2/x@a,b/main",
        "sentinel://:hunter2@a/main?db=1",
    ],
)
def test_invalid_urls_are_rejected_without_quoting_them(url: str) -> None:
    with pytest.raises(ValueError, match=r"^(is|does|has) ") as refusal:
        check_url(url, SCHEMES)
    assert "hunter2" not in str(refusal.value)
    assert refusal.value.__context__ is None or refusal.value.__suppress_context__


def test_redis_parses_the_completed_url() -> None:
    url = complete_url("redis://me:old@h:1/2?socket_timeout=3", password=Secret("p/@:?#%"), query={})
    options = redis.ConnectionPool.from_url(url).connection_kwargs
    assert options["username"] == "me"
    assert options["password"] == "p/@:?#%"
    assert (options["host"], options["port"], options["db"], options["socket_timeout"]) == ("h", 1, 2, 3.0)


def test_completed_sentinel_url_keeps_its_hosts() -> None:
    url = complete_url("sentinel://me:old@a,b:1/main/2", password=Secret("p,@/"), query={"x": "y"})
    assert url == "sentinel://me:p%2C%40%2F@a,b:1/main/2?x=y"
    assert each_host(url)[1] == "sentinel://me:p%2C%40%2F@b:1/main/2?x=y"


def test_ipv6_addresses_get_brackets() -> None:
    assert [host_in_url(one) for one in ("::1", "127.0.0.1", "flower.example")] == [
        "[::1]",
        "127.0.0.1",
        "flower.example",
    ]


def test_socket_urls_can_have_a_password() -> None:
    assert complete_url("unix:///run/r.sock", password=None, query={}) == "unix:///run/r.sock"
    url = complete_url("unix:///run/r.sock?db=3", password=Secret("pw"), query={})
    options = redis.ConnectionPool.from_url(url).connection_kwargs
    assert (options["path"], options["password"], options["db"]) == ("/run/r.sock", "pw", 3)


@pytest.mark.parametrize(
    ("url", "normal"),
    [
        ("HTTPS://API.Maltiverse.COM/Path?Q=A#B", "https://api.maltiverse.com/Path?Q=A#B"),
        ("Redis://User:PassWord@HOST:6379/0", "redis://User:PassWord@host:6379/0"),
        ("SENTINELS://:Pw@A,B:26379/Main", "sentinels://:Pw@a,b:26379/Main"),
        ("UNIX:///Run/Redis.sock", "unix:///Run/Redis.sock"),
        ("HTTP://[2001:DB8::1]:80", "http://[2001:db8::1]:80"),
        ("A-Key/With://No@Scheme", "A-Key/With://No@Scheme"),
        ("", ""),
    ],
)
def test_only_scheme_and_host_are_case_insensitive(url: str, normal: str) -> None:
    assert normalised(url) == normal


@given(st.text())
def test_normalising_changes_only_the_case_of_letters(text: str) -> None:
    assert normalised(text).lower() == text.lower()


def test_url_settings_accept_any_case() -> None:
    given_ = {
        "COURIER_REDIS_URL": "REDISS://:Secret@Redis.Example/1 ",
        "COURIER_INTEGRATIONS_DEFAULT_PROXY": "HTTP://Proxy:3128",
    }
    settings = load_settings(file=None, environment=given_, cwd=Path("/nonexistent"))
    assert settings.redis.url.reveal() == "rediss://:Secret@redis.example/1"
    assert settings.redis.connection_url.reveal().startswith("rediss://")
