"""Turns what redis-py raises into the two things that matter to us: waiting helps, or it does not."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import redis.exceptions as redis_errors
from redis.sentinel import MasterNotFoundError

from common.errors import LedgerUnavailable, LedgerUnfit

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

_REFUSED = (
    redis_errors.AuthenticationError,
    redis_errors.AuthenticationWrongNumberOfArgsError,
    redis_errors.NoPermissionError,
)


@contextmanager
def translated() -> Iterator[None]:
    """Raise LedgerUnfit where Redis refuses us for good, LedgerUnavailable for every other trouble with it."""
    try:
        yield
    except _REFUSED as error:
        raise LedgerUnfit(f"Redis refuses the password or user: {error}; check COURIER_REDIS_URL") from error
    except MasterNotFoundError as error:
        raise LedgerUnavailable(_no_primary(str(error))) from error
    except redis_errors.RedisError as error:
        if "NOAUTH" in str(error) or "WRONGPASS" in str(error):
            raise LedgerUnfit(f"Redis wants a password: {error}; set COURIER_REDIS_PASSWORD") from error
        if "DB index is out of range" in str(error):
            raise LedgerUnfit(
                "Redis has no database of that number; write a smaller one behind the host in redis.url, or raise "
                "`databases` in its configuration"
            ) from error
        raise LedgerUnavailable(f"Redis does not answer as it should: {error}{_strictness(error)}") from error
    except OSError as error:
        raise LedgerUnavailable(f"Redis cannot be reached: {error}{_strictness(error)}") from error


def _strictness(why: object) -> str:
    """Return what to do about a certificate that older Pythons accept; nothing for another trouble."""
    return _MAKE_AGAIN if _STRICT.search(str(why)) else ""


def _no_primary(why: str) -> str:
    """Return what to tell. Not one of the things that waiting does not mend: one Sentinel may be wrong for a while."""
    wants_password = any(word in why for word in ("NOAUTH", "WRONGPASS", "AuthenticationError"))
    hint = "; check COURIER_REDIS_SENTINEL_PASSWORD" if wants_password else ""
    return f"no Sentinel names a primary: {_CLIENT.sub('', why)}{hint}{_strictness(why)}"
