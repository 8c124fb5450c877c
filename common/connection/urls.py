"""URLs that may hold a password: checked, completed and shown without ever repeating the secret part.

`urllib` quotes pieces of a bad URL in its errors, and those pieces can be the password: nothing passes them on.
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
"""The scheme of a socket file: a path and no host."""

SENTINEL_SCHEMES: Final = ("sentinel", "sentinels")
"""The schemes, without and with TLS, that name several hosts and behind them the primary that these watch."""

_PRIMARY: Final = re.compile(r"/[\w.-]+(/\d+)?", re.ASCII)
"""The packaged sentinel.conf: a primary's name is made of A-z, 0-9 and the three characters `.-_`."""

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
"""What may stand behind the question mark of a server's address."""

NOT_ENCODED: Final = "cannot be read: special characters of a password must be percent-encoded"


def normalised(url: str) -> str:
    """Return a URL with scheme and host in lower case, in which they are the same (RFC 3986, 6.2.2.1).

    User, password, path and query stay as they are, and so does a text that is no URL.
    """
    return _ORIGIN.sub(
        lambda found: f"{found['scheme'].lower()}://{found['user']}{found['host'].lower()}", url, count=1
    )


def check_url(url: str, schemes: Collection[str]) -> None:
    """Raise ValueError, free of secrets, unless `url` has one of `schemes` and what that one needs.

    That is an absolute path for `unix`, one or more hosts and the primary's name for a Sentinel, else a host; for
    `redis` and `rediss` the path is the number of a database.
    """
    for one in each_host(url):
        parts = _split(one)
        if parts.scheme not in schemes or not url.startswith(parts.scheme):
            raise ValueError(f"does not begin with {' or '.join(f'{scheme}://' for scheme in schemes)}")
        if parts.scheme == LOCAL_SCHEME and not parts.path.startswith("/"):
            raise ValueError("names no absolute path of a socket")
        if parts.scheme != LOCAL_SCHEME and not parts.hostname:
            raise ValueError("names no host")
        if parts.scheme in _QUERY:
            _check_query(parts)
        if parts.scheme in ("redis", "rediss") and not _NUMBER.fullmatch(parts.path):
            raise ValueError("names no database: what follows the host is /NUMBER or nothing")
        if parts.scheme in SENTINEL_SCHEMES and (parts.query or not _PRIMARY.fullmatch(parts.path)):
            raise ValueError("names no primary: what follows the hosts is /MASTER_NAME or /MASTER_NAME/NUMBER")


def _check_query(parts: SplitResult) -> None:
    """Refuse what only one of our two clients would heed there: redis-py does, or fails; Celery's broker does not."""
    query, known = parse_qs(parts.query, keep_blank_values=True), _QUERY[parts.scheme]
    if query.keys() & {"password", "username"}:
        raise ValueError("has a user or a password behind the question mark: write USER:PASSWORD@ before the host")
    if "db" in query and parts.scheme != LOCAL_SCHEME:
        raise ValueError("has its database behind the question mark: write /NUMBER behind the host")
    if any(name.startswith("ssl_") and name != "ssl_ca_certs" for name in query):
        raise ValueError(
            "has a TLS option behind the question mark: rediss:// checks the server, by redis.ca or the system"
        )
    if any(name not in known or not known[name].fullmatch(value) for name in query for value in query[name]):
        raise ValueError(
            "has something else behind the question mark than socket_timeout=SECONDS, "
            "ssl_ca_certs=FILE for rediss:// or db=NUMBER for unix://"
        )


def show_url(url: str) -> str:
    """Return a checked URL for people: whoever may log in is masked, and what follows a `?` is left out."""
    parts = _split(each_host(url)[0])
    user, at, hosts = _authority(url).rpartition("@")
    return f"{parts.scheme}://{MASK if user else ''}{at}{hosts}{parts.path}"


def complete_url(url: str, *, password: Secret | None, query: Mapping[str, str]) -> str:
    """Return a checked URL with `password` instead of its own, and with `query` added to its own."""
    parts = _split(each_host(url)[0])
    user, at, hosts = _authority(url).rpartition("@")
    if password:
        user, at = f"{user.partition(':')[0]}:{quote(password.reveal(), safe='')}", "@"
    queries = "&".join(filter(None, (parts.query, urlencode(query))))
    return "?".join(filter(None, (f"{parts.scheme}://{user}{at}{hosts}{parts.path}", queries)))


def each_host(url: str) -> list[str]:
    """Return a URL for each host of a Sentinel's, the rest being the same in all; every other URL as it is."""
    if not url.startswith(tuple(f"{scheme}://" for scheme in SENTINEL_SCHEMES)):
        return [url]
    user, at, hosts = _authority(url).rpartition("@")
    before, _, rest = url.partition("://")
    behind = rest[len(user) + len(at) + len(hosts) :]
    return [f"{before}://{user}{at}{host}{behind}" for host in hosts.split(",")]


def host_in_url(address: str) -> str:
    """Return a host's name or address as a URL has it: one of IPv6 in brackets."""
    return f"[{address}]" if ":" in address else address


def _authority(url: str) -> str:
    """Return what stands between `://` and the path: who logs in, and where."""
    return re.split(r"[/?#]", url.partition("://")[2], maxsplit=1)[0]


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port  # a bad port is noticed only when somebody asks
    except ValueError:
        raise ValueError(NOT_ENCODED) from None
    if parts.fragment or "@" in parts.path + parts.query:  # the password's own /, ? or # ended the host too early
        raise ValueError(NOT_ENCODED)
    return parts
