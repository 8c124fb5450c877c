"""One way to reach Redis for everybody: the client, and the same address in the form that Celery's transport takes.

The address is what `settings.redis.connection_url` gives: the password and, for TLS, `ssl_ca_certs` are part of it.
"""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from common.connection.sentinel import parse_sentinel_url
from common.errors import SettingsError

SOCKET_TIMEOUT_S: Final = 15.0
"""A Redis that has not answered a command by then is treated as down; our loops try again by themselves."""

CONNECT_TIMEOUT_S: Final = 5.0

KEEPALIVE: Final = {
    getattr(socket, name): value
    for name, value in {
        "TCP_KEEPIDLE": 1,  # s without data before the first probe
        "TCP_KEEPINTVL": 1,  # s between probes
        "TCP_KEEPCNT": 3,  # unanswered probes before the connection is closed
        "TCP_USER_TIMEOUT": 3000,  # ms that sent data may stay unacknowledged (tcp(7))
    }.items()
    if hasattr(socket, name)
}
"""Close a connection 2 to 4 s after its path went silent, whether or not data is on its way.

The kernel of the other side acknowledges, so a Redis that is busy for longer keeps its connections. Processes with a
`common.connection.path_monitor` notice a forgotten path sooner."""


def connect(
    url: str, *, response_timeout_s: float = SOCKET_TIMEOUT_S, connect_timeout_s: float = CONNECT_TIMEOUT_S
) -> redis.Redis:
    """Return a client for `url`, which never repeats a command by itself. Nothing is sent yet.

    Raises SettingsError if the file of the server's authority cannot be used: to wait does not mend that.
    """
    for ca in _authorities(url):
        _check_authority(Path(ca))
    options: dict[str, Any] = {
        "socket_timeout": response_timeout_s,
        "retry": Retry(NoBackoff(), 0),
        "health_check_interval": 30,
    }
    if not url.startswith("unix:"):
        options |= {
            "socket_connect_timeout": connect_timeout_s,
            "socket_keepalive": True,
            "socket_keepalive_options": KEEPALIVE,
        }
    if behind := parse_sentinel_url(url):
        return behind.client(**options)
    return redis.Redis.from_url(url, **options)


def broker_url(url: str) -> str:
    """Return the address as kombu writes it: a unix socket is `redis+socket://`, the database a parameter."""
    if behind := parse_sentinel_url(url):
        return behind.broker_url()
    if url.startswith("unix:"):
        address, _, query = url.replace("unix://", "redis+socket://", 1).partition("?")
        return f"{address}?virtual_host={db[0]}" if (db := parse_qs(query).get("db")) else address
    return url.partition("?")[0]


def broker_tls(url: str) -> dict[str, Any] | None:
    """Return what kombu must know of TLS, None for a connection without it."""
    if behind := parse_sentinel_url(url):
        return behind.secure
    if not url.startswith("rediss:"):
        return None
    ca = _authorities(url)
    return {"ssl_cert_reqs": "required"} | ({"ssl_ca_certs": ca[0]} if ca else {})


def broker_options(url: str) -> dict[str, Any]:
    """Return what kombu's transport must know besides the address: whom the Sentinels watch."""
    behind = parse_sentinel_url(url)
    return behind.transport_options() if behind else {}


def _authorities(url: str) -> list[str]:
    """Return the file of certificates that the address names, as a list of one or none."""
    return parse_qs(urlsplit(url).query).get("ssl_ca_certs", [])


def _check_authority(file: Path) -> None:
    try:
        problem = "" if b"-----BEGIN " in file.read_bytes() else "it is no PEM file"
    except OSError as error:
        problem = error.strerror or "it cannot be read"
    if problem:
        raise SettingsError(f"redis.ca: {file} cannot be used: {problem}; name the file of the authority's certificate")
