"""Error texts about Redis: the same text for the same cause, whatever the command, and never the command itself."""

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


def error_text(error: Exception) -> str:
    with pytest.raises(LedgerUnavailable) as caught, as_ledger_errors():
        raise error
    return str(caught.value)


@example(command=["CROSSSLOT NOAUTH WRONGPASS"], number=1, place="", problem=DISK_FULL)
@given(
    command=st.lists(st.text(max_size=20), min_size=1, max_size=4),
    number=st.integers(1, 999),
    place=st.sampled_from(["", " script: on @user_script:316.", " script: 0f1e, on @user_script:9."]),
    problem=st.sampled_from([DISK_FULL, "READONLY You can't write against a read only replica."]),
)
def test_errors_quote_no_command_and_do_not_depend_on_it(
    command: list[str], number: int, place: str, problem: str
) -> None:
    error = redis_errors.ResponseError(problem + place)
    Pipeline.annotate_exception(Pipeline.__new__(Pipeline), error, number, ["HSET", *command])  # type: ignore[no-untyped-call]  # redis-py left it untyped
    assert error_text(error) == error_text(redis_errors.ResponseError(problem))


def test_disk_full_error_has_a_remedy() -> None:
    assert error_text(redis_errors.ResponseError(DISK_FULL)) == (
        "Redis cannot write to its disk (MISCONF: No space left on device) and rejects all writes; "
        "free disk space there"
    )
    rdb = "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk."
    assert "(MISCONF: an error while saving)" in error_text(redis_errors.ResponseError(rdb))


@pytest.mark.parametrize("words", ["unable to get local issuer certificate", "self-signed certificate"])
@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR", None])
def test_unknown_authority_error_names_variable_and_setting(
    words: str, variable: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for each in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(each, raising=False)
    if variable:
        monkeypatch.setenv(variable, "/etc/mine")
    named = f"; {variable} is /etc/mine" if variable else ""
    problem = f"certificate verify failed: {words} (_ssl.c:1006)"
    text = error_text(ssl.SSLCertVerificationError(problem))
    assert text == f"Redis cannot be reached: ('{problem}',){named}; name the file of its authority in redis.ca"
