"""A Redis that Sentinels watch: at every new connection they are asked where the primary is, also after a failover.

The address is that of `common.connection.client`,
`sentinel://[[USER]:PASSWORD@]HOST[:PORT][,HOST…]/MASTER_NAME[/NUMBER]`, or `sentinels://` where both the Sentinels and
the servers speak TLS. User and password are the servers'; the Sentinels' own password, where they have one, is
`sentinel_password` behind the question mark.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry
from redis.sentinel import MasterNotFoundError, Sentinel

from common.connection.urls import SENTINEL_SCHEMES, each_host

if TYPE_CHECKING:
    import redis

PORT: Final = 26379
"""Where a Sentinel listens unless told otherwise."""

RESPONSE_TIMEOUT_S: Final = 2.0
"""A Sentinel that is slower is passed over for the next one: what it tells is small, and a dead host says nothing."""


class Sentinels(Sentinel):
    """Says why none of them was of use: redis-py names only the kind of error, the same for TLS, names and ports."""

    def discover_master(self, service_name: str) -> Any:
        """Return the primary's host and port. Raises MasterNotFoundError with what the first Sentinel's trouble is."""
        try:
            return super().discover_master(service_name)  # type: ignore[no-untyped-call]  # redis-py has no types
        except MasterNotFoundError as error:
            raise MasterNotFoundError(f"{error}{self._error()}") from error

    def _error(self) -> str:
        try:
            self.sentinels[0].ping()
        except RedisError as error:
            return f" ({error})"
        return ""


class SentinelAddress(NamedTuple):
    """What an address says. `urls` holds a URL for each Sentinel, without what follows a question mark."""

    urls: tuple[str, ...]
    master_name: str
    database: int
    secure: dict[str, Any] | None
    sentinel_password: str | None

    def __repr__(self) -> str:
        return f"Watched({self.master_name!r})"

    def client(self, **options: Any) -> redis.Redis:
        """Return a client of whoever is the primary. Nothing is sent yet."""
        first = urlsplit(self.urls[0])
        if self.secure is not None:
            options |= {"ssl": True} | self.secure
        hosts = [(one.hostname, one.port or PORT) for one in map(urlsplit, self.urls)]
        sentinel: Any = Sentinels(hosts, sentinel_kwargs=self.sentinel_options())  # type: ignore[no-untyped-call]  # redis-py has no types
        client: redis.Redis = sentinel.master_for(
            self.master_name,
            db=self.database,
            username=unquote(first.username or "") or None,
            password=unquote(first.password or "") or None,
            **options,
        )
        return client

    def broker_url(self) -> str:
        """Return the address as kombu takes it: one after the other, each with the number of the database."""
        return ";".join(self._for_kombu(urlsplit(url)) for url in self.urls)

    def transport_options(self) -> dict[str, Any]:
        """Return what kombu, and Flower, must know besides."""
        return {"master_name": self.master_name, "sentinel_kwargs": self.sentinel_options()}

    def sentinel_options(self) -> dict[str, Any]:
        """Return how to reach the Sentinels themselves."""
        options: dict[str, Any] = {
            "socket_timeout": RESPONSE_TIMEOUT_S,
            "socket_connect_timeout": RESPONSE_TIMEOUT_S,
            "retry": Retry(NoBackoff(), 0),
            "password": self.sentinel_password,
        }
        return options if self.secure is None else options | {"ssl": True} | self.secure

    def _for_kombu(self, url: Any) -> str:
        user, at, host = url.netloc.rpartition("@")
        return f"sentinel://{user}{at}{host}{'' if url.port else f':{PORT}'}/{self.database}"


def parse_sentinel_url(url: str) -> SentinelAddress | None:
    """Return what a checked and completed address says, None if it is not one of Sentinels."""
    parts = urlsplit(each_host(url)[0])
    if parts.scheme not in SENTINEL_SCHEMES:
        return None
    _, name, *number = parts.path.split("/")
    query = {key: values[0] for key, values in parse_qs(parts.query).items()}
    return SentinelAddress(
        urls=tuple(one.partition("?")[0] for one in each_host(url)),
        master_name=name,
        database=int(number[0]) if number else 0,
        secure=_certificates(query) if parts.scheme == "sentinels" else None,
        sentinel_password=query.get("sentinel_password"),
    )


def _certificates(query: dict[str, str]) -> dict[str, Any]:
    ca = query.get("ssl_ca_certs")
    return {"ssl_cert_reqs": "required"} | ({"ssl_ca_certs": ca} if ca else {})
