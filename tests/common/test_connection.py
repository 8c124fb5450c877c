from __future__ import annotations

import pytest

from common.connection import broker_tls, broker_url, connect


def test_celery_gets_a_unix_socket_in_its_own_form() -> None:
    assert broker_url("unix://:pw@/run/redis.sock?db=2") == "redis+socket://:pw@/run/redis.sock?virtual_host=2"
    assert broker_url("redis://h/0") == "redis://h/0"


def test_celery_gets_the_certificates_apart_from_the_address() -> None:
    url = "rediss://:pw@h:6390/0?ssl_ca_certs=%2Fetc%2Fca.pem"
    assert broker_url(url) == "rediss://:pw@h:6390/0"
    assert broker_tls(url) == {"ssl_cert_reqs": "required", "ssl_ca_certs": "/etc/ca.pem"}
    assert broker_tls("rediss://h/0") == {"ssl_cert_reqs": "required"}
    assert broker_tls("redis://h/0") is None


@pytest.mark.parametrize("url", ["redis://h/0", "rediss://h/0?ssl_ca_certs=%2Fca.pem", "unix:///run/redis.sock"])
def test_no_client_repeats_a_command_by_itself(url: str) -> None:
    with connect(url) as client:
        retry = client.get_retry()
        assert retry is not None
        assert retry._retries == 0  # redis-py offers no other way to see it
