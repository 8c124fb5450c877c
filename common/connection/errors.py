"""Converts the exceptions of redis-py into LedgerUnavailable (waiting helps) and LedgerMisconfigured (it does not)."""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import redis.exceptions as redis_errors
from redis.sentinel import MasterNotFoundError

from common.errors import LedgerMisconfigured, LedgerUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

_CLIENT: Final = re.compile(r"<redis\.client\.Redis.*?> - ")
"""The name that redis-py gives a Sentinel: it has all options of the client, including the password."""

_STRICT: Final = re.compile(
    r"certificate verify failed: (?:"
    r"Path length (?:invalid for non-CA cert|given without key usage)"
    r"|Key usage keyCertSign invalid"
    r"|(?:Issuer|Subject) name empty"
    r"|Missing (?:Authority|Subject) Key Identifier"
    r"|(?:Authority|Subject) Key Identifier marked critical"
    r"|Empty Subject Alternative Name"
    r"|Subject empty and Subject Alt Name extension not critical"
    r"|Basic Constraints of CA cert not marked critical"
    r"|CA cert does not include key usage"
    r"|Using cert extension requires)"
)
"""OpenSSL's texts for errors that only X509_V_FLAG_X509_STRICT causes: codes 80 to 93 of x509_vfy.h."""

_STRICT_HINT: Final = (
    "; Python 3.13 and newer verify certificates strictly (RFC 5280): the certificate of a private authority needs a "
    "critical basicConstraints, a critical keyUsage with keyCertSign, and a subjectKeyIdentifier; the server's "
    "certificate needs an authorityKeyIdentifier (ops/docs/remote-workers.md has the commands)"
)

_UNKNOWN_AUTHORITY: Final = re.compile(
    r"certificate verify failed: (?:unable to get (?:local )?issuer certificate|self[- ]signed certificate)"
)
"""OpenSSL's texts for a certificate of an untrusted authority: codes 2, 18, 19 and 20."""

_CA_VARIABLES: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR")
"""The variables that OpenSSL uses if redis.ca is not set (SSL_CTX_set_default_verify_paths(3))."""

_COMMAND: Final = re.compile(r"^Command # \d+ \(.*?\) of pipeline caused error: ", re.DOTALL)
"""The prefix that redis-py gives errors of a pipeline: it quotes the command, which may hold an alert."""

_SCRIPT: Final = re.compile(r" script: \S+, on @user_script:\d+\.$| script: on @user_script:\d+\.$")
"""The suffix that Redis gives errors of a script: a position in the script, which differs from call to call."""

_DISK_FULL: Final = re.compile(r"^MISCONF (?:Errors writing to the AOF file: (?P<why>.+))?", re.DOTALL)
"""The response of Redis to every write, and to PING, while it cannot write to its disk."""

_LOGIN_ERRORS = (
    redis_errors.AuthenticationError,
    redis_errors.AuthenticationWrongNumberOfArgsError,
)

_CLUSTER_ERRORS = (
    redis_errors.MovedError,
    redis_errors.AskError,
    redis_errors.ClusterDownError,
    redis_errors.ClusterCrossSlotError,
)

NO_CLUSTER: Final = (
    "Redis Cluster is not supported: Courier's keys span several slots; use a single Redis or Valkey with "
    "cluster-enabled no, or one that Redis Sentinel watches, and set redis.url to it"
)


@contextmanager
def as_ledger_errors() -> Iterator[None]:
    """Raise LedgerMisconfigured for errors that need a change of configuration, LedgerUnavailable for all others."""
    try:
        yield
    except redis_errors.NoPermissionError as error:
        raise LedgerMisconfigured(
            f"Redis denies the command to this user: {_COMMAND.sub('', str(error))}; set COURIER_REDIS_URL to the "
            "user of this process's role, `operator` for commands, with the rights in ops/docs/remote-workers.md"
        ) from error
    except _LOGIN_ERRORS as error:
        raise LedgerMisconfigured(f"Redis rejects the password or user: {error}; check COURIER_REDIS_URL") from error
    except _CLUSTER_ERRORS as error:
        raise LedgerMisconfigured(NO_CLUSTER) from error
    except MasterNotFoundError as error:
        raise LedgerUnavailable(_no_primary(str(error))) from error
    except redis_errors.RedisError as error:
        text = _COMMAND.sub("", str(error))  # the command may quote an alert that contains these words
        if "CROSSSLOT" in text:
            raise LedgerMisconfigured(NO_CLUSTER) from error
        if "NOAUTH" in text or "WRONGPASS" in text:
            raise LedgerMisconfigured(f"Redis requires a password: {text}; set COURIER_REDIS_PASSWORD") from error
        if "DB index is out of range" in text:
            raise LedgerMisconfigured(
                "Redis has no database with this number; set a smaller number after the host in redis.url, or raise "
                "`databases` in the configuration of Redis"
            ) from error
        raise LedgerUnavailable(_error_text(str(error))) from error
    except OSError as error:
        raise LedgerUnavailable(f"Redis cannot be reached: {error}{_certificate_hint(error)}") from error


def _certificate_hint(why: object) -> str:
    """Return the remedy for an untrusted certificate, an empty text for any other error."""
    if _STRICT.search(str(why)):
        return _STRICT_HINT
    if not _UNKNOWN_AUTHORITY.search(str(why)):
        return ""
    values = ((variable, os.environ.get(variable)) for variable in _CA_VARIABLES)
    checked = "".join(f"; {variable} is {value}" for variable, value in values if value)
    return f"{checked}; name the file of its authority in redis.ca"


def _error_text(text: str) -> str:
    """Return the text without command and position, so that one cause always gives the same text in the log."""
    plain = _SCRIPT.sub("", _COMMAND.sub("", text))
    if found := _DISK_FULL.match(plain):
        why = found["why"] or "an error while saving"
        return f"Redis cannot write to its disk (MISCONF: {why}) and rejects all writes; free disk space there"
    return f"Redis is unavailable: {plain}{_certificate_hint(plain)}"


def _no_primary(why: str) -> str:
    """Return the error text, with a hint. Waiting can help: a single Sentinel may be wrong for some time."""
    wants_password = any(word in why for word in ("NOAUTH", "WRONGPASS", "AuthenticationError"))
    hint = "; check COURIER_REDIS_SENTINEL_PASSWORD" if wants_password else ""
    return f"no Sentinel names a primary: {_CLIENT.sub('', why)}{hint}{_certificate_hint(why)}"
