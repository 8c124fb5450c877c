"""Creates the Redis client that all processes use, and converts its URL for Celery's transport.

The URL is `settings.redis.connection_url`: it includes the password and, for TLS, `ssl_ca_certs`.
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
"""Redis counts as unavailable if it does not answer a command within this time. The loops of all processes retry."""

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
"""Close a connection 2 to 4 s after the network path fails, whether or not data is in flight.

The kernel of the other host acknowledges the probes, so a Redis that is busy for longer keeps its connections. The
`common.connection.path_monitor` detects a path that dropped its connections sooner."""


def connect(
    url: str, *, response_timeout_s: float = SOCKET_TIMEOUT_S, connect_timeout_s: float = CONNECT_TIMEOUT_S
) -> redis.Redis:
    """Return a client for `url` that never retries a command by itself. It connects when it sends the first command.

    Raises SettingsError if the CA file cannot be used: waiting does not help then.
    """
    for ca in _ca_files(url):
        _check_ca_file(Path(ca))
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
    if sentinel := parse_sentinel_url(url):
        return sentinel.client(**options)
    return redis.Redis.from_url(url, **options)


def broker_url(url: str) -> str:
    """Return the URL in kombu's form: `redis+socket://` for a unix socket, with the database as a parameter."""
    if sentinel := parse_sentinel_url(url):
        return sentinel.broker_url()
    if url.startswith("unix:"):
        address, _, query = url.replace("unix://", "redis+socket://", 1).partition("?")
        return f"{address}?virtual_host={db[0]}" if (db := parse_qs(query).get("db")) else address
    return url.partition("?")[0]


def broker_tls(url: str) -> dict[str, Any] | None:
    """Return kombu's TLS options, None for a connection without TLS."""
    if sentinel := parse_sentinel_url(url):
        return sentinel.tls
    if not url.startswith("rediss:"):
        return None
    ca = _ca_files(url)
    return {"ssl_cert_reqs": "required"} | ({"ssl_ca_certs": ca[0]} if ca else {})


def broker_options(url: str) -> dict[str, Any]:
    """Return the transport options that kombu needs besides the URL: for Sentinel, the primary's name and the login."""
    sentinel = parse_sentinel_url(url)
    return sentinel.transport_options() if sentinel else {}


def _ca_files(url: str) -> list[str]:
    """Return the CA file that the URL names, as a list of one or none."""
    return parse_qs(urlsplit(url).query).get("ssl_ca_certs", [])


def _check_ca_file(file: Path) -> None:
    try:
        problem = "" if b"-----BEGIN " in file.read_bytes() else "it is not a PEM file"
    except OSError as error:
        problem = error.strerror or "it cannot be read"
    if problem:
        raise SettingsError(
            f"redis.ca: {file} cannot be used: {problem}; set it to the certificate file of the authority"
        )
