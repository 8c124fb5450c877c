"""Turns what redis-py raises into the two things that matter to us: waiting helps, or it does not."""

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
"""How redis-py names a Sentinel: with every option that its client has."""

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
"""OpenSSL's words for what only X509_V_FLAG_X509_STRICT refuses: codes 80 to 93 of x509_vfy.h."""

_MAKE_AGAIN: Final = (
    "; Python 3.13 and newer check certificates strictly (RFC 5280): give the private certificate authority a critical "
    "basicConstraints, a critical keyUsage with keyCertSign, and a subjectKeyIdentifier, and the server's certificate "
    "an authorityKeyIdentifier (ops/docs/remote-workers.md has the commands)"
)

_UNKNOWN_AUTHORITY: Final = re.compile(
    r"certificate verify failed: (?:unable to get (?:local )?issuer certificate|self[- ]signed certificate)"
)
"""OpenSSL's words for a certificate whose authority is not among those that it was given: codes 2, 18, 19 and 20."""

_DEFAULTS: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR")
"""The variables that OpenSSL goes by where there is no redis.ca (SSL_CTX_set_default_verify_paths(3))."""

_COMMAND: Final = re.compile(r"^Command # \d+ \(.*?\) of pipeline caused error: ", re.DOTALL)
"""How redis-py begins what went wrong in a pipeline: with the command, which may hold an alert."""

_SCRIPT: Final = re.compile(r" script: \S+, on @user_script:\d+\.$| script: on @user_script:\d+\.$")
"""How Redis ends what went wrong in a script: with a place in it, which differs from call to call."""

_DISK_FULL: Final = re.compile(r"^MISCONF (?:Errors writing to the AOF file: (?P<why>.+))?", re.DOTALL)
"""What Redis answers to every change, and to PING, while it cannot write to its disk."""

_REFUSED = (
    redis_errors.AuthenticationError,
    redis_errors.AuthenticationWrongNumberOfArgsError,
)

_OF_A_CLUSTER = (
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
    """Raise LedgerMisconfigured where Redis refuses us for good, LedgerUnavailable for every other trouble with it."""
    try:
        yield
    except redis_errors.NoPermissionError as error:
        raise LedgerMisconfigured(
            f"Redis refuses it to this user: {_COMMAND.sub('', str(error))}; give COURIER_REDIS_URL the user of this "
            "process's role, `operator` for commands, with the rights of ops/docs/remote-workers.md"
        ) from error
    except _REFUSED as error:
        raise LedgerMisconfigured(f"Redis refuses the password or user: {error}; check COURIER_REDIS_URL") from error
    except _OF_A_CLUSTER as error:
        raise LedgerMisconfigured(NO_CLUSTER) from error
    except MasterNotFoundError as error:
        raise LedgerUnavailable(_no_primary(str(error))) from error
    except redis_errors.RedisError as error:
        said = _COMMAND.sub("", str(error))  # an alert's own words must not be taken for Redis's
        if "CROSSSLOT" in said:
            raise LedgerMisconfigured(NO_CLUSTER) from error
        if "NOAUTH" in said or "WRONGPASS" in said:
            raise LedgerMisconfigured(f"Redis wants a password: {said}; set COURIER_REDIS_PASSWORD") from error
        if "DB index is out of range" in said:
            raise LedgerMisconfigured(
                "Redis has no database of that number; write a smaller one behind the host in redis.url, or raise "
                "`databases` in its configuration"
            ) from error
        raise LedgerUnavailable(_error_text(str(error))) from error
    except OSError as error:
        raise LedgerUnavailable(f"Redis cannot be reached: {error}{_certificates(error)}") from error


def _certificates(why: object) -> str:
    """Return what to do about a certificate that is not trusted; nothing for another trouble."""
    if _STRICT.search(str(why)):
        return _MAKE_AGAIN
    if not _UNKNOWN_AUTHORITY.search(str(why)):
        return ""
    named = ((variable, os.environ.get(variable)) for variable in _DEFAULTS)
    checked = "".join(f"; {variable} is {value}" for variable, value in named if value)
    return f"{checked}; name the file of its authority in redis.ca"


def _error_text(said: str) -> str:
    """Return what to log: the same text for the same trouble, whichever command met it, and no command in it."""
    plain = _SCRIPT.sub("", _COMMAND.sub("", said))
    if found := _DISK_FULL.match(plain):
        why = found["why"] or "an error while saving"
        return f"Redis cannot write to its disk (MISCONF: {why}) and refuses all changes; make room there"
    return f"Redis does not answer as it should: {plain}{_certificates(plain)}"


def _no_primary(why: str) -> str:
    """Return what to tell. Not one of the things that waiting does not mend: one Sentinel may be wrong for a while."""
    wants_password = any(word in why for word in ("NOAUTH", "WRONGPASS", "AuthenticationError"))
    hint = "; check COURIER_REDIS_SENTINEL_PASSWORD" if wants_password else ""
    return f"no Sentinel names a primary: {_CLIENT.sub('', why)}{hint}{_certificates(why)}"
