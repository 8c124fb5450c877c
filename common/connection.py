"""One way to reach Redis for everybody: the client, and the same address in the form that Celery's transport takes."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote, urlsplit, urlunsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from common.errors import SettingsError

SOCKET_TIMEOUT_S: Final = 15.0
"""A Redis that has not answered a command by then is treated as down; our loops try again by themselves."""

SCHEMES: Final = ("redis", "rediss", "unix")


def with_password(url: str, password: str | None) -> str:
    """Return `url` with `password` in it, if there is one. Raises SettingsError for a scheme that is not ours."""
    parts = urlsplit(url)
    if parts.scheme not in SCHEMES:
        raise SettingsError(f"redis.url begins with {parts.scheme!r}; write redis://, rediss:// or unix://")
    if not password:
        return url
    user, _, host = parts.netloc.rpartition("@")
    name = user.split(":", 1)[0]
    return urlunsplit(parts._replace(netloc=f"{name}:{quote(password, safe='')}@{host}"))


def connect(url: str, *, ca: str | None = None) -> redis.Redis:
    """Return a client for `url` (password included), which never repeats a command by itself. Nothing is sent yet."""
    options: dict[str, Any] = {
        "socket_timeout": SOCKET_TIMEOUT_S,
        "socket_connect_timeout": 5.0,
        "retry": Retry(NoBackoff(), 0),
        "health_check_interval": 30,
    }
    if url.startswith("unix:"):
        del options["socket_connect_timeout"]
    if url.startswith("rediss:") and ca:
        options["ssl_ca_certs"] = ca
    return redis.Redis.from_url(url, **options)


def broker_url(url: str) -> str:
    """Return the address as kombu writes it: a unix socket is `redis+socket://`, the database a parameter."""
    return url.replace("unix://", "redis+socket://", 1).replace("?db=", "?virtual_host=", 1)
