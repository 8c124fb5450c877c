from __future__ import annotations

import pytest

from common.connection import broker_url, connect, with_password
from common.errors import SettingsError


@pytest.mark.parametrize(
    ("url", "password", "expected"),
    [
        ("redis://h:1/0", None, "redis://h:1/0"),
        ("redis://h:1/0", "p@ss/w", "redis://:p%40ss%2Fw@h:1/0"),
        ("rediss://user:old@h/1", "new", "rediss://user:new@h/1"),
        ("unix:///run/redis.sock?db=2", "pw", "unix://:pw@/run/redis.sock?db=2"),
    ],
)
def test_a_password_of_its_own_wins_over_the_urls(url: str, password: str | None, expected: str) -> None:
    assert with_password(url, password) == expected


def test_another_scheme_is_refused() -> None:
    with pytest.raises(SettingsError, match="http"):
        with_password("http://h", None)


def test_celery_gets_a_unix_socket_in_its_own_form() -> None:
    assert broker_url("unix://:pw@/run/redis.sock?db=2") == "redis+socket://:pw@/run/redis.sock?virtual_host=2"
    assert broker_url("redis://h/0") == "redis://h/0"


def test_every_address_gives_a_client_that_never_repeats_a_command() -> None:
    for url in ("redis://h/0", "rediss://h/0", "unix:///run/redis.sock"):
        assert connect(url, ca=None).get_retry() is not None
        assert connect(url).get_retry()._retries == 0  # type: ignore[union-attr]  # see above
