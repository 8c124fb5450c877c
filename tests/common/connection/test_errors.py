"""What is said of a trouble with Redis: the same words whichever command met it, and never the command."""

from __future__ import annotations

import ssl

import pytest
import redis.exceptions as redis_errors
from hypothesis import example, given
from hypothesis import strategies as st
from redis.client import Pipeline

from common.connection.errors import as_ledger_errors
from common.errors import LedgerUnavailable

DISK_FULL = "MISCONF Errors writing to the AOF file: No space left on device"


def said(error: Exception) -> str:
    with pytest.raises(LedgerUnavailable) as caught, as_ledger_errors():
        raise error
    return str(caught.value)


@example(command=["CROSSSLOT NOAUTH WRONGPASS"], number=1, place="", trouble=DISK_FULL)
@given(
    command=st.lists(st.text(max_size=20), min_size=1, max_size=4),
    number=st.integers(1, 999),
    place=st.sampled_from(["", " script: on @user_script:316.", " script: 0f1e, on @user_script:9."]),
    trouble=st.sampled_from([DISK_FULL, "READONLY You can't write against a read only replica."]),
)
def test_no_command_is_in_it_and_it_is_said_alike(command: list[str], number: int, place: str, trouble: str) -> None:
    error = redis_errors.ResponseError(trouble + place)
    Pipeline.annotate_exception(Pipeline.__new__(Pipeline), error, number, ["HSET", *command])  # type: ignore[no-untyped-call]  # redis-py left it untyped
    assert said(error) == said(redis_errors.ResponseError(trouble))


def test_a_full_disk_says_what_to_do() -> None:
    assert said(redis_errors.ResponseError(DISK_FULL)) == (
        "Redis cannot write to its disk (MISCONF: No space left on device) and rejects all writes; "
        "free disk space there"
    )
    rdb = "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk."
    assert "(MISCONF: an error while saving)" in said(redis_errors.ResponseError(rdb))


@pytest.mark.parametrize("words", ["unable to get local issuer certificate", "self-signed certificate"])
@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR", None])
def test_an_unknown_authority_says_what_was_asked_and_what_to_set(
    words: str, variable: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for each in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(each, raising=False)
    if variable:
        monkeypatch.setenv(variable, "/etc/mine")
    asked = f"; {variable} is /etc/mine" if variable else ""
    trouble = f"certificate verify failed: {words} (_ssl.c:1006)"
    told = said(ssl.SSLCertVerificationError(trouble))
    assert told == f"Redis cannot be reached: ('{trouble}',){asked}; name the file of its authority in redis.ca"
