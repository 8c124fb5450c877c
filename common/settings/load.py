"""Loads the settings and records the origin of each value.

Precedence, lowest to highest:

    packaged courier.toml  <  courier.toml  <  COURIER_* variables  <  command-line options

Everything is read and checked once, at the start. An unknown key is an error, because the setting that it was meant for
would silently keep its default.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import msgspec

from common.errors import SettingsError
from common.files import exists
from common.settings.schema import (
    DEFAULT,
    INTEGRATIONS,
    KEYS,
    POLICY_KEYS,
    STRUCTS,
    FlowerSettings,
    HealthSettings,
    LogSettings,
    MetricsSettings,
    Policy,
    ProducerSettings,
    RedisSettings,
    StateSettings,
    WorkerSettings,
)
from common.settings.sources import (
    SETTINGS_VARIABLE,
    KeyPath,
    RawValue,
    dotted,
    from_environment,
    from_file,
    from_overrides,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from common.integration import Integration
    from common.settings.values import Displayed

DEFAULTS_FILE: Final = Path(__file__).with_name("courier.toml")
DEFAULT_ORIGIN: Final = "default"
LOCAL_FILE: Final = "courier.toml"
HOME: Final = ("worker", "wazuh_home")
IN_HOME: Final = (("worker", "integrations_dir"), ("worker", "queue_socket"))
"""Settings whose defaults are paths inside HOME."""

NO_OVERRIDES: Final[Mapping[str, str]] = MappingProxyType({})


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """All settings. `origin` gives the source of each value, by dotted key.

    `integrations` holds the tables of policies by name or pattern; `policy` merges them. `user_policies` is the part
    that the operator set, without the packaged defaults.
    """

    redis: RedisSettings
    producer: ProducerSettings
    worker: WorkerSettings
    state: StateSettings
    flower: FlowerSettings
    metrics: MetricsSettings
    health: HealthSettings
    log: LogSettings
    integrations: Mapping[str, Mapping[str, Any]]
    user_policies: Mapping[str, Mapping[str, Any]]
    origin: Mapping[str, str]

    def policy(self, integration: Integration) -> Policy:
        """Return the merged policy of `integration`: default < patterns < name < id, and packaged < operator's."""
        return Policy(**_merged(self.integrations, integration) | _merged(self.user_policies, integration))

    def unused_tables(self, integrations: Iterable[Integration]) -> list[str]:
        """Return the operator's tables under `[integrations]` that match none of `integrations`."""
        known = list(integrations)
        return [
            table for table in self.user_policies if table != DEFAULT and not any(_rank(table, one) for one in known)
        ]

    def listing(self) -> Iterator[tuple[str, Displayed, str]]:
        """Yield each key, its value for display and its origin, in the order of the packaged file."""
        for section, keys in KEYS.items():
            values = getattr(self, section)
            for key in keys.values():
                name = dotted((section, key.name))
                yield name, key.reader.show(getattr(values, key.field)), self.origin[name]
        for table, fields in self.integrations.items():
            for key in POLICY_KEYS.values():
                if key.field in fields:
                    name = dotted((INTEGRATIONS, table, key.name))
                    yield name, key.reader.show(fields[key.field]), self.origin[name]


def load_settings(
    *, file: Path | None, environment: Mapping[str, str], cwd: Path, overrides: Mapping[str, str] = NO_OVERRIDES
) -> Settings:
    """Return the settings. Raises SettingsError, whose text names the source, the key and the remedy.

    `file` is the argument of `--settings`; without it the file is COURIER_SETTINGS, else courier.toml in `cwd`. Only
    the latter may be missing. `overrides` are texts from the command line by dotted key, such as
    `{"state.dir": "/srv/courier"}`.
    """
    given = {
        path: value._replace(origin=DEFAULT_ORIGIN)
        for path, value in from_file(DEFAULTS_FILE, "default", packaged=True).items()
    }
    packaged_home = str(given[HOME].raw)
    given |= _from_chosen_file(file, environment, cwd)
    given |= from_environment(environment, cwd)
    given |= from_overrides(overrides, cwd)
    given |= _moved_with_home(given, packaged_home)
    tables: dict[KeyPath, dict[str, Any]] = {}
    for path, value in given.items():
        field, parsed = _read(path, value)
        tables.setdefault(path[:-1], {})[field] = parsed
    sections: dict[str, Any] = {name: struct(**tables[(name,)]) for name, struct in STRUCTS.items()}
    policies = {path[1]: fields for path, fields in tables.items() if path[0] == INTEGRATIONS}
    origin = {dotted(path): value.origin for path, value in given.items()}
    settings = Settings(
        **sections, integrations=policies, user_policies=_user_policies(policies, origin), origin=origin
    )
    _check_combinations(settings)
    return settings


def _from_chosen_file(file: Path | None, environment: Mapping[str, str], cwd: Path) -> dict[KeyPath, RawValue]:
    if file is not None:
        return from_file(cwd / file, str(file))
    if chosen := environment.get(SETTINGS_VARIABLE):
        return from_file(cwd / chosen, chosen)
    local = cwd / LOCAL_FILE
    try:
        is_local = exists(local)
    except OSError as error:
        raise SettingsError(
            f"{local}: cannot check whether it exists: {error.strerror or error}; let user {os.geteuid()} enter the "
            f"folder, start from another folder, or name the file with --settings or {SETTINGS_VARIABLE}"
        ) from None
    return from_file(local, LOCAL_FILE) if is_local else {}


def _moved_with_home(given: Mapping[KeyPath, RawValue], packaged_home: str) -> Iterator[tuple[KeyPath, RawValue]]:
    """Yield the defaults inside the packaged home folder, moved to the one that is set."""
    home = given[HOME]
    for path in IN_HOME:
        default = given[path]
        if default.origin == DEFAULT_ORIGIN != home.origin and isinstance(home.raw, str):
            relative = os.path.relpath(str(default.raw), packaged_home)
            yield path, home._replace(key=default.key, raw=str(Path(home.raw) / relative))


def _read(path: KeyPath, given: RawValue) -> tuple[str, Any]:
    """Return the field and its parsed value; paths are absolute."""
    key, raw, origin, base = given
    try:
        value = key.reader.parse(raw)
    except ValueError as error:
        raise SettingsError(f"{origin}: {dotted(path)}: {error}; write {key.reader.expected}") from None
    return key.field, base / value if isinstance(value, Path) else value


def _check_combinations(settings: Settings) -> None:
    """Raise SettingsError if two valid values contradict each other."""
    if settings.redis.ca and not settings.redis.is_tls:
        raise SettingsError(
            f"{settings.origin['redis.ca']}: redis.ca: the connection is not encrypted, since redis.url "
            f"({settings.origin['redis.url']}) is not a rediss:// or sentinels:// URL; set one, or remove redis.ca"
        )
    if settings.redis.sentinel_password and not settings.redis.has_sentinels:
        raise SettingsError(
            f"{settings.origin['redis.sentinel_password']}: redis.sentinel_password: there is no Sentinel, since "
            f"redis.url ({settings.origin['redis.url']}) is not a sentinel:// URL; set one, or remove the password"
        )


def _user_policies(policies: Mapping[str, Mapping[str, Any]], origin: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Return the part of the policies that the operator set."""
    packaged = {name for name, came_from in origin.items() if came_from == DEFAULT_ORIGIN}
    user_policies: dict[str, dict[str, Any]] = {}
    for table, fields in policies.items():
        for key in POLICY_KEYS.values():
            if key.field in fields and dotted((INTEGRATIONS, table, key.name)) not in packaged:
                user_policies.setdefault(table, {})[key.field] = fields[key.field]
    return user_policies


def _merged(tables: Mapping[str, Mapping[str, Any]], integration: Integration) -> dict[str, Any]:
    """Return the fields of all tables that match `integration`; the more specific table wins."""
    merged: dict[str, Any] = {}
    for _, table in sorted((rank, table) for table in tables if (rank := _rank(table, integration))):
        merged |= tables[table]
    return merged


def _rank(table: str, integration: Integration) -> tuple[int, int] | None:
    """Return how specifically a table under `[integrations]` matches `integration`, None if it does not match."""
    if table == DEFAULT:
        return 0, 0
    if table == integration.id:
        return 3, 0
    if table == integration.name:
        return 2, 0
    if fnmatchcase(integration.id, table) or fnmatchcase(integration.name, table):
        return 1, len(table)
    return None
