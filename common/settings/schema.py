"""The schema of all settings: name, type and limits of each.

The loader, `courier config`, the options of the command line and the reference page all use this schema. The name of a
field is the key plus the unit of the value: `lease = "60s"` becomes `lease_s`. courier.toml alone has the defaults.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple, get_type_hints

import msgspec

from common.connection.urls import SENTINEL_SCHEMES, complete_url, show_url
from common.logs import DeliveryLog, LogFormat, LogLevel
from common.secret import Secret
from common.settings.moments import LogPosition, start_position
from common.settings.rate_limit import RateLimit
from common.settings.secret_values import secret, secret_url, secret_url_or_reference, variables
from common.settings.served import ConsoleSettings, FlowerSettings, MetricsSettings
from common.settings.values import (
    Reader,
    boolean,
    duration,
    integer,
    integers,
    networks,
    one_of,
    optional,
    path,
    percentage,
    rate_limits,
    size,
    text,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

INTEGRATIONS: Final = "integrations"
"""The section that holds the policies, one in each table."""

DEFAULT: Final = "default"
"""The policy of all integrations; the only one that variables and options can change."""

REDIS_URL: Final = secret_url(
    ("redis", "rediss", "unix", *SENTINEL_SCHEMES),
    "redis://HOST:PORT/NUMBER, rediss://…, unix:///PATH or sentinel://HOST:PORT,HOST:PORT/MASTER_NAME",
)
ENDPOINT_URL: Final = secret_url_or_reference(("http", "https"), "https://HOST/PATH")
PROXY_URL: Final = secret_url(("http", "https"), "http://HOST:PORT")


class NameOverrides(NamedTuple):
    """The name of a variable or option that differs from the key's, or of a key that has the full name of its field."""

    variable: str = ""
    option: str = ""
    key: str = ""


class Start(StrEnum):
    """Where a new integration starts in the alert log."""

    END = "end"
    BEGINNING = "beginning"


class VirusTotalApi(StrEnum):
    """The version of VirusTotal's API."""

    V2 = "v2"
    V3 = "v3"


class RedisSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`[redis]`."""

    url: Annotated[Secret, REDIS_URL]
    password: Annotated[Secret | None, optional(secret())]
    ca: Annotated[Path | None, optional(path())]
    sentinel_password: Annotated[Secret | None, optional(secret())]

    @property
    def address(self) -> str:
        """The URL for display, with user and password masked."""
        return show_url(self.url.reveal())

    @property
    def connection_url(self) -> Secret:
        """The URL for `common.connection.client`, including the passwords and `ca`."""
        query = {"ssl_ca_certs": str(self.ca)} if self.ca and self.is_tls else {}
        if self.sentinel_password and self.has_sentinels:
            query["sentinel_password"] = self.sentinel_password.reveal()
        return Secret(complete_url(self.url.reveal(), password=self.password, query=query))

    @property
    def is_tls(self) -> bool:
        """Whether the connection uses TLS, so that `ca` applies."""
        return self.url.reveal().startswith(("rediss:", "sentinels:"))

    @property
    def has_sentinels(self) -> bool:
        """Whether Redis runs under Sentinel."""
        return self.url.reveal().startswith(SENTINEL_SCHEMES)


class ProducerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`[producer]`."""

    config: Annotated[Path, path(), NameOverrides(option="--config")]
    alerts: Annotated[Path, path(), NameOverrides(option="--alerts")]
    node: Annotated[
        str,
        text("a name of letters, digits, '.', '_', '-'", r"[A-Za-z0-9_.-]{1,255}", empty=socket.gethostname),
        NameOverrides(option="--node"),
    ]
    max_line_bytes: Annotated[int, size("64KiB", "256MiB")]
    poll_interval_s: Annotated[float, duration("10ms", "1m")]
    commit_delay_s: Annotated[float, duration("1ms", "1s")]
    quarantine_max_bytes: Annotated[int, size("64KiB", "1TiB")]


class WorkerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`[worker]`."""

    max_tasks: Annotated[int, integer(1, 10_000), NameOverrides(option="--max-tasks")]
    drain_timeout_s: Annotated[float, duration("1s", "1h")]
    wazuh_home: Annotated[Path, path()]
    integrations_dir: Annotated[Path, path()]
    queue_socket: Annotated[Path, path()]
    script_temp_dir: Annotated[Path | None, optional(path())]


class StateSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`[state]`."""

    dir: Annotated[Path, path(), NameOverrides(option="--state")]
    secret_key: Annotated[Secret | None, optional(secret()), NameOverrides(variable="COURIER_SECRET_KEY")]


class AgentsSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`[agents]`."""

    # COURIER_AGENTS_FILE would look like the name of a file with the value, as all variables in _FILE are.
    file: Annotated[Path | None, optional(path()), NameOverrides(variable="COURIER_AGENTS_PATH")]


class HealthSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`[health]`."""

    path: Annotated[Path | None, optional(path())]


class LogSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`[log]`."""

    level: Annotated[LogLevel, one_of(LogLevel)]
    format: Annotated[LogFormat, one_of(LogFormat)]
    deliveries: Annotated[DeliveryLog, one_of(DeliveryLog)]


class TelemetrySettings(msgspec.Struct, frozen=True, kw_only=True):
    """`[telemetry]`."""

    otlp_endpoint: Annotated[
        str,
        text('an http:// or https:// URL without login and query, or ""', r"(?:https?://[^\s/?#@]+(?:/[^\s?#@]*)?)?"),
    ]


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of one integration: the matching tables under `[integrations]`, merged."""

    max_backlog: Annotated[int, integer(1, 1_000_000_000)]
    max_backlog_bytes: Annotated[int, size("1MiB", "1024TiB")]
    max_in_flight: Annotated[int, integer(1, 100_000)]
    batch_max: Annotated[int, integer(1, 1000)]
    concurrency: Annotated[int, integer(1, 10_000)]
    lease_s: Annotated[float, duration("1s", "1d")]
    rate_limits: Annotated[tuple[RateLimit, ...], rate_limits()]
    retry_after_max_s: Annotated[float, duration("1s", "1d")]
    breaker_failures: Annotated[int, integer(0, 1_000_000)]
    breaker_ratio: Annotated[int, percentage()]
    breaker_samples: Annotated[int, integer(1, 1_000_000)]
    breaker_window_s: Annotated[float, duration("1s", "1h")]
    breaker_pause_s: Annotated[float, duration("100ms", "1h")]
    breaker_pause_max_s: Annotated[float, duration("100ms", "1d")]
    endpoint: Annotated[Secret | None, optional(ENDPOINT_URL)]
    dashboard_url: Annotated[str, text('a URL, or "" for none', r"(https?://[^\s\"'<>`|\\]+)?")]
    virustotal_api: Annotated[VirusTotalApi, one_of(VirusTotalApi)]
    escape: Annotated[bool, boolean()]
    lookup_cache: Annotated[bool, boolean()]
    newest_first: Annotated[bool, boolean()]
    request_timeout_s: Annotated[float, duration("100ms", "1h")]
    connect_timeout_s: Annotated[float, duration("100ms", "1h")]
    ca_bundle: Annotated[Path | None, optional(path())]
    client_cert: Annotated[Path | None, optional(path())]
    client_key: Annotated[Path | None, optional(path())]
    verify_tls: Annotated[bool, boolean()]
    proxy: Annotated[Secret | None, optional(PROXY_URL)]
    deny_private: Annotated[bool, boolean()]
    allow_private: Annotated[tuple[IPv4Network | IPv6Network, ...], networks()]
    start_at: Annotated[Start | datetime | LogPosition, start_position(Start)]
    retry_delay_s: Annotated[float, duration("100ms", "1d")]
    retry_delay_max_s: Annotated[float, duration("1s", "30d")]
    retry_max_age_s: Annotated[float, duration("1s", "365d")]
    retry_max_attempts: Annotated[int, integer(1, 1_000_000)]
    dead_max_age_s: Annotated[float | None, optional(duration("1m", "3650d"))]
    dead_max_bytes: Annotated[int | None, optional(size("1MiB", "1024TiB")), NameOverrides(key="dead_max_bytes")]
    history_max: Annotated[int, integer(0, 1_000_000)]
    history_max_age_s: Annotated[float, duration("1m", "365d")]
    fallback: Annotated[str, text('the id of an integration, or "" for none', r"([A-Za-z0-9][A-Za-z0-9_.-]{0,63})?")]
    self_alerts: Annotated[bool, boolean()]
    self_alert_interval_s: Annotated[float, duration("1s", "1d")]
    self_alert_lag_s: Annotated[float | None, optional(duration("1s", "365d"))]
    script_timeout_s: Annotated[float, duration("1s", "1d")]
    output_limit_bytes: Annotated[int, size("1KiB", "16MiB")]
    memory_limit_bytes: Annotated[int | None, optional(size("16MiB", "1TiB"))]
    file_limit_bytes: Annotated[int | None, optional(size("64KiB", "1TiB"))]
    user: Annotated[
        str, text('the name of a user, "UID:GID", or "" for the worker\'s own', r"[^\s:/]*|[0-9]{1,9}:[0-9]{1,9}")
    ]
    process_limit: Annotated[int | None, optional(integer(1, 1_000_000))]
    permanent_exit_codes: Annotated[tuple[int, ...], integers(1, 255)]
    environment: Annotated[Mapping[str, Secret], variables()]


class Key(NamedTuple):
    """One key of courier.toml: its field, reader, variable and command-line option."""

    name: str
    field: str
    reader: Reader[Any]
    variable: str
    option: str


def keys_of(struct: type[msgspec.Struct], *sections: str) -> Iterator[tuple[str, Key]]:
    """Yield the keys of a table, by name; its fields are annotated with their readers."""
    hints = get_type_hints(struct, include_extras=True)
    for field, hint in hints.items():
        reader, named = (*hint.__metadata__, NameOverrides())[:2]
        name = named.key or field.removesuffix(reader.suffix)
        if name in hints:  # max_backlog counts deliveries, so the bytes keep their unit
            name = field
        words = [*sections, *name.split("_")]
        variable = named.variable or "_".join(["COURIER", *words]).upper()
        yield name, Key(name, field, reader, variable, named.option or f"--{'-'.join(words)}")


STRUCTS: Final[dict[str, type[msgspec.Struct]]] = {
    "redis": RedisSettings,
    "producer": ProducerSettings,
    "worker": WorkerSettings,
    "state": StateSettings,
    "agents": AgentsSettings,
    "flower": FlowerSettings,
    "console": ConsoleSettings,
    "metrics": MetricsSettings,
    "health": HealthSettings,
    "log": LogSettings,
    "telemetry": TelemetrySettings,
}
KEYS: Final = {section: dict(keys_of(struct, section)) for section, struct in STRUCTS.items()}
"""All keys by section and name, without those of `[integrations]`."""

POLICY_KEYS: Final = dict(keys_of(Policy, INTEGRATIONS, DEFAULT))

LOCAL_KEYS: Final = ("proxy", "ca_bundle", "client_cert", "client_key", "verify_tls", "concurrency")
"""The keys of a policy that each worker takes from its own settings: they are about its own network and size. The
producer publishes all others."""

PUBLISHED_KEYS: Final = {name: key for name, key in POLICY_KEYS.items() if name not in LOCAL_KEYS}
