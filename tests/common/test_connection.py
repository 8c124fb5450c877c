from __future__ import annotations

import pytest

from common.connection import broker_options, broker_tls, broker_url, connect


def test_celery_gets_a_unix_socket_in_its_own_form() -> None:
    assert broker_url("unix://:pw@/run/redis.sock?db=2") == "redis+socket://:pw@/run/redis.sock?virtual_host=2"
    assert broker_url("unix:///r.sock?socket_timeout=3&db=2") == "redis+socket:///r.sock?virtual_host=2"
    assert broker_url("unix:///r.sock") == "redis+socket:///r.sock"
    assert broker_url("redis://h/0") == "redis://h/0"


def test_celery_gets_the_certificates_apart_from_the_address() -> None:
    url = "rediss://:pw@h:6390/0?ssl_ca_certs=%2Fetc%2Fca.pem"
    assert broker_url(url) == "rediss://:pw@h:6390/0"
    assert broker_tls(url) == {"ssl_cert_reqs": "required", "ssl_ca_certs": "/etc/ca.pem"}
    assert broker_tls("rediss://h/0") == {"ssl_cert_reqs": "required"}
    assert broker_tls("redis://h/0") is None


@pytest.mark.parametrize(
    "url", ["redis://h/0", "rediss://h/0?ssl_ca_certs=%2Fca.pem", "unix:///run/redis.sock", "sentinel://a,b/main"]
)
def test_no_client_repeats_a_command_by_itself(url: str) -> None:
    with connect(url) as client:
        retry = client.get_retry()
        assert retry is not None
        assert retry._retries == 0  # redis-py offers no other way to see it


def test_celery_gets_each_sentinel_with_the_same_login_and_number() -> None:
    url = "sentinel://me:p%2Cw@a,[::1]:26380/main/2?sentinel_password=s%26"
    assert broker_url(url) == "sentinel://me:p%2Cw@a:26379/2;sentinel://me:p%2Cw@[::1]:26380/2"
    assert broker_options(url)["master_name"] == "main"
    assert broker_options(url)["sentinel_kwargs"]["password"] == "s&"
    assert broker_tls(url) is None
    assert broker_options("redis://h/0") == {}


def test_tls_is_for_sentinels_and_servers_alike() -> None:
    url = "sentinels://a/main?ssl_ca_certs=%2Fca.pem"
    assert broker_tls(url) == {"ssl_cert_reqs": "required", "ssl_ca_certs": "/ca.pem"}
    assert broker_options(url)["sentinel_kwargs"]["ssl_ca_certs"] == "/ca.pem"
    with connect(url) as client:
        assert client.get_connection_kwargs()["ssl_ca_certs"] == "/ca.pem"


def test_the_client_of_sentinels_logs_in_to_the_server() -> None:
    with connect("sentinel://me:p%2Cw@a,b/main/2") as client:
        options = client.get_connection_kwargs()
    assert (options["username"], options["password"], options["db"]) == ("me", "p,w", 2)
