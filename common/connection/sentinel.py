"""Redis under Sentinel: every new connection asks the Sentinels for the primary, so it follows a failover.

The URL is `sentinel://[[USER]:PASSWORD@]HOST[:PORT][,HOST…]/MASTER_NAME[/NUMBER]`, or `sentinels://` if both the
Sentinels and the servers use TLS. User and password are those of the servers. The query parameter `sentinel_password`
holds the password of the Sentinels, if they have one.
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
"""Default port of a Sentinel."""

RESPONSE_TIMEOUT_S: Final = 2.0
"""After this time without a response the next Sentinel is contacted. A response is small; a dead host sends none."""


class Sentinels(Sentinel):
    """Adds the cause if no Sentinel names a primary: redis-py gives one text for TLS, name and port errors."""

    def discover_master(self, service_name: str) -> Any:
        """Return the primary's host and port. Raises MasterNotFoundError with the error of the first Sentinel."""
        try:
            return super().discover_master(service_name)  # type: ignore[no-untyped-call]  # redis-py has no types
        except MasterNotFoundError as error:
            raise MasterNotFoundError(f"{error}{self._first_error()}") from error

    def _first_error(self) -> str:
        try:
            self.sentinels[0].ping()
        except RedisError as error:
            return f" ({error})"
        return ""


class SentinelAddress(NamedTuple):
    """A parsed Sentinel URL. `urls` holds one URL for each Sentinel, without the query."""

    urls: tuple[str, ...]
    master_name: str
    database: int
    tls: dict[str, Any] | None
    sentinel_password: str | None

    def __repr__(self) -> str:
        return f"SentinelAddress({self.master_name!r})"  # the URLs hold the password

    def client(self, **options: Any) -> redis.Redis:
        """Return a client of the current primary. It connects when it sends the first command."""
        first = urlsplit(self.urls[0])
        if self.tls is not None:
            options |= {"ssl": True} | self.tls
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
        """Return the URL in kombu's form: one for each Sentinel, with the database number, separated by `;`."""
        return ";".join(self._for_kombu(urlsplit(url)) for url in self.urls)

    def transport_options(self) -> dict[str, Any]:
        """Return the transport options that kombu and Flower need besides the URL."""
        return {"master_name": self.master_name, "sentinel_kwargs": self.sentinel_options()}

    def sentinel_options(self) -> dict[str, Any]:
        """Return the client options for connections to the Sentinels themselves."""
        options: dict[str, Any] = {
            "socket_timeout": RESPONSE_TIMEOUT_S,
            "socket_connect_timeout": RESPONSE_TIMEOUT_S,
            "retry": Retry(NoBackoff(), 0),
            "password": self.sentinel_password,
        }
        return options if self.tls is None else options | {"ssl": True} | self.tls

    def _for_kombu(self, url: Any) -> str:
        user, at, host = url.netloc.rpartition("@")
        return f"sentinel://{user}{at}{host}{'' if url.port else f':{PORT}'}/{self.database}"


def parse_sentinel_url(url: str) -> SentinelAddress | None:
    """Parse a checked and completed URL. Returns None if its scheme is not that of Sentinel."""
    parts = urlsplit(each_host(url)[0])
    if parts.scheme not in SENTINEL_SCHEMES:
        return None
    _, name, *number = parts.path.split("/")
    query = {key: values[0] for key, values in parse_qs(parts.query).items()}
    return SentinelAddress(
        urls=tuple(one.partition("?")[0] for one in each_host(url)),
        master_name=name,
        database=int(number[0]) if number else 0,
        tls=_tls_options(query) if parts.scheme == "sentinels" else None,
        sentinel_password=query.get("sentinel_password"),
    )


def _tls_options(query: dict[str, str]) -> dict[str, Any]:
    ca = query.get("ssl_ca_certs")
    return {"ssl_cert_reqs": "required"} | ({"ssl_ca_certs": ca} if ca else {})
