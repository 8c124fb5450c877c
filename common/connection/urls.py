"""Checks, completes and shows URLs that may hold a password, without ever repeating the password.

`urllib` quotes parts of an invalid URL in its errors. These parts can be the password, so its texts are never used.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, quote, urlencode, urlsplit

from common.secret import MASK

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from urllib.parse import SplitResult

    from common.secret import Secret

LOCAL_SCHEME: Final = "unix"
"""The scheme of a socket file: it has a path but no host."""

SENTINEL_SCHEMES: Final = ("sentinel", "sentinels")
"""The schemes, without and with TLS, of URLs with several Sentinel hosts and the name of the primary."""

_PRIMARY: Final = re.compile(r"/[\w.-]+(/\d+)?", re.ASCII)
"""According to Redis's sentinel.conf, the name of a primary consists of A-z, 0-9 and the characters `.-_`."""

_ORIGIN: Final = re.compile(r"\A(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<user>(?:[^/?#]*@)?)(?P<host>[^/?#]*)")

_NUMBER: Final = re.compile(r"/?|/\d{1,9}", re.ASCII)
_WHOLE: Final = re.compile(r"\d{1,9}", re.ASCII)
_FILE: Final = re.compile(r".+")
_SECONDS: Final = re.compile(r"(?=.*[1-9])\d*\.?\d+", re.ASCII)

_QUERY: Final[Mapping[str, Mapping[str, re.Pattern[str]]]] = {
    "redis": {"socket_timeout": _SECONDS},
    "rediss": {"socket_timeout": _SECONDS, "ssl_ca_certs": _FILE},
    LOCAL_SCHEME: {"socket_timeout": _SECONDS, "db": _WHOLE},
}
"""The allowed query parameters of a server's URL, by scheme."""

NOT_ENCODED: Final = "is invalid: special characters of a password must be percent-encoded"


def normalised(url: str) -> str:
    """Return a URL with scheme and host in lower case; their case has no meaning (RFC 3986, 6.2.2.1).

    User, password, path and query do not change, nor does a text that is not a URL.
    """
    return _ORIGIN.sub(
        lambda found: f"{found['scheme'].lower()}://{found['user']}{found['host'].lower()}", url, count=1
    )


def check_url(url: str, schemes: Collection[str]) -> None:
    """Raise ValueError, without secrets in its text, unless `url` has one of `schemes` and the parts that it needs.

    `unix` needs an absolute path, the Sentinel schemes one or more hosts and the primary's name, all others a host. The
    path of `redis` and `rediss` is empty or a database number.
    """
    for one in each_host(url):
        parts = _split(one)
        if parts.scheme not in schemes or not url.startswith(parts.scheme):
            raise ValueError(f"does not start with {' or '.join(f'{scheme}://' for scheme in schemes)}")
        if parts.scheme == LOCAL_SCHEME and not parts.path.startswith("/"):
            raise ValueError("has no absolute path of a socket")
        if parts.scheme != LOCAL_SCHEME and not parts.hostname:
            raise ValueError("has no host")
        if parts.scheme in _QUERY:
            _check_query(parts)
        if parts.scheme in ("redis", "rediss") and not _NUMBER.fullmatch(parts.path):
            raise ValueError("has an invalid path: write /NUMBER (the database) or nothing after the host")
        if parts.scheme in SENTINEL_SCHEMES and (parts.query or not _PRIMARY.fullmatch(parts.path)):
            raise ValueError("has no primary: write /MASTER_NAME or /MASTER_NAME/NUMBER after the hosts")


def _check_query(parts: SplitResult) -> None:
    """Reject parameters that only redis-py would use: Celery's broker ignores them, so the two would differ."""
    query, known = parse_qs(parts.query, keep_blank_values=True), _QUERY[parts.scheme]
    if query.keys() & {"password", "username"}:
        raise ValueError("has a user or a password as a query parameter: write USER:PASSWORD@ before the host")
    if "db" in query and parts.scheme != LOCAL_SCHEME:
        raise ValueError("has the database as a query parameter: write /NUMBER after the host")
    if any(name.startswith("ssl_") and name != "ssl_ca_certs" for name in query):
        raise ValueError(
            "has a TLS option as a query parameter: rediss:// verifies the server, with redis.ca or the system's CAs"
        )
    if any(name not in known or not known[name].fullmatch(value) for name in query for value in query[name]):
        raise ValueError(
            "has an invalid query parameter: allowed are socket_timeout=SECONDS, "
            "ssl_ca_certs=FILE for rediss:// and db=NUMBER for unix://"
        )


def show_url(url: str) -> str:
    """Return a checked URL for display: user and password are masked, and the query is omitted."""
    parts = _split(each_host(url)[0])
    user, at, hosts = _authority(url).rpartition("@")
    return f"{parts.scheme}://{MASK if user else ''}{at}{hosts}{parts.path}"


def complete_url(url: str, *, password: Secret | None, query: Mapping[str, str]) -> str:
    """Return a checked URL with `password`, if given, in place of its own, and with the parameters of `query` added."""
    parts = _split(each_host(url)[0])
    user, at, hosts = _authority(url).rpartition("@")
    if password:
        user, at = f"{user.partition(':')[0]}:{quote(password.reveal(), safe='')}", "@"
    queries = "&".join(filter(None, (parts.query, urlencode(query))))
    return "?".join(filter(None, (f"{parts.scheme}://{user}{at}{hosts}{parts.path}", queries)))


def each_host(url: str) -> list[str]:
    """Return one URL for each host of a Sentinel URL; any other URL unchanged, in a list of one."""
    if not url.startswith(tuple(f"{scheme}://" for scheme in SENTINEL_SCHEMES)):
        return [url]
    user, at, hosts = _authority(url).rpartition("@")
    before, _, rest = url.partition("://")
    path = rest[len(user) + len(at) + len(hosts) :]
    return [f"{before}://{user}{at}{host}{path}" for host in hosts.split(",")]


def host_in_url(address: str) -> str:
    """Return a host name or address for use in a URL: an IPv6 address in brackets."""
    return f"[{address}]" if ":" in address else address


def _authority(url: str) -> str:
    """Return the part between `://` and the path: login, hosts and ports."""
    return re.split(r"[/?#]", url.partition("://")[2], maxsplit=1)[0]


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port  # urllib checks the port only on access
    except ValueError:
        raise ValueError(NOT_ENCODED) from None
    if parts.fragment or "@" in parts.path + parts.query:  # a /, ? or # in the password ended the host too early
        raise ValueError(NOT_ENCODED)
    return parts
