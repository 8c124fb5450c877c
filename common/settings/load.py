"""The settings in force, and where each value came from.

    packaged courier.toml  <  courier.toml  <  COURIER_* variables  <  command-line options

Everything is read once, at the start, and everything wrong is told then: an unknown key is an error, since the
setting that it was meant to be would silently keep its default.
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
"""Whose defaults lie in HOME."""

NO_OVERRIDES: Final[Mapping[str, str]] = MappingProxyType({})


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything an operator can set. `origin` tells by dotted key where each value came from.

    `integrations` holds the policies as given, by the name or pattern of their table; `policy` merges them. `written`
    is the part of it that is not packaged.
    """

    redis: RedisSettings
    producer: ProducerSettings
    worker: WorkerSettings
    state: StateSettings
    flower: FlowerSettings
    metrics: MetricsSettings
    log: LogSettings
    integrations: Mapping[str, Mapping[str, Any]]
    user_policies: Mapping[str, Mapping[str, Any]]
    origin: Mapping[str, str]

    def policy(self, integration: Integration) -> Policy:
        """Return how `integration` is served: default < patterns < name < id, and packaged < written."""
        return Policy(**_merged(self.integrations, integration) | _merged(self.user_policies, integration))

    def unused_tables(self, integrations: Iterable[Integration]) -> list[str]:
        """Return the tables under `[integrations]` that an operator wrote and that serve none of `integrations`."""
        known = list(integrations)
        return [
            table for table in self.user_policies if table != DEFAULT and not any(_rank(table, one) for one in known)
        ]

    def listing(self) -> Iterator[tuple[str, Displayed, str]]:
        """Yield each key, its value as it may be seen, and its origin, in the order of the packaged file."""
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
    """Return the settings in force; raise SettingsError, whose text names the source, key and remedy.

    `file` is the operator's choice (`--settings`); without it COURIER_SETTINGS counts, then courier.toml in `cwd`. A
    chosen file must exist; courier.toml in `cwd` may be missing.
    `overrides` are texts from the command line by dotted key, such as `{"state.dir": "/srv/courier"}`.
    """
    given = {
        place: value._replace(origin=DEFAULT_ORIGIN)
        for place, value in from_file(DEFAULTS_FILE, "default", packaged=True).items()
    }
    packaged_home = str(given[HOME].raw)
    given |= _from_chosen_file(file, environment, cwd)
    given |= from_environment(environment, cwd)
    given |= from_overrides(overrides, cwd)
    given |= _moved_with_home(given, packaged_home)
    tables: dict[KeyPath, dict[str, Any]] = {}
    for place, value in given.items():
        field, content = _read(place, value)
        tables.setdefault(place[:-1], {})[field] = content
    sections: dict[str, Any] = {name: struct(**tables[(name,)]) for name, struct in STRUCTS.items()}
    policies = {place[1]: fields for place, fields in tables.items() if place[0] == INTEGRATIONS}
    origin = {dotted(place): value.origin for place, value in given.items()}
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
            f"{local}: whether it exists cannot be seen: {error.strerror or error}; let user {os.geteuid()} enter the "
            f"folder, start from another one, or name the file with --settings or {SETTINGS_VARIABLE}"
        ) from None
    return from_file(local, LOCAL_FILE) if is_local else {}


def _moved_with_home(given: Mapping[KeyPath, RawValue], packaged_home: str) -> Iterator[tuple[KeyPath, RawValue]]:
    """Yield the defaults that lie in the packaged home, moved to the one that was set."""
    home = given[HOME]
    for place in IN_HOME:
        default = given[place]
        if default.origin == DEFAULT_ORIGIN != home.origin and isinstance(home.raw, str):
            below = os.path.relpath(str(default.raw), packaged_home)
            yield place, home._replace(key=default.key, raw=str(Path(home.raw) / below))


def _read(place: KeyPath, given: RawValue) -> tuple[str, Any]:
    """Return the field and its value, paths made absolute."""
    key, raw, origin, base = given
    try:
        value = key.reader.parse(raw)
    except ValueError as error:
        raise SettingsError(f"{origin}: {dotted(place)}: {error}; write {key.reader.expected}") from None
    return key.field, base / value if isinstance(value, Path) else value


def _check_combinations(settings: Settings) -> None:
    """Raise SettingsError where two good values contradict each other."""
    if settings.redis.ca and not settings.redis.is_tls:
        raise SettingsError(
            f"{settings.origin['redis.ca']}: redis.ca: the connection is not encrypted, since redis.url "
            f"({settings.origin['redis.url']}) is no rediss:// or sentinels:// URL; write one, or take redis.ca out"
        )
    if settings.redis.sentinel_password and not settings.redis.has_sentinels:
        raise SettingsError(
            f"{settings.origin['redis.sentinel_password']}: redis.sentinel_password: there is no Sentinel, since "
            f"redis.url ({settings.origin['redis.url']}) is no sentinel:// URL; write one, or take it out"
        )


def _user_policies(policies: Mapping[str, Mapping[str, Any]], origin: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Return the part of the policies that did not come with Courier."""
    packaged = {name for name, came_from in origin.items() if came_from == DEFAULT_ORIGIN}
    written: dict[str, dict[str, Any]] = {}
    for table, fields in policies.items():
        for key in POLICY_KEYS.values():
            if key.field in fields and dotted((INTEGRATIONS, table, key.name)) not in packaged:
                written.setdefault(table, {})[key.field] = fields[key.field]
    return written


def _merged(tables: Mapping[str, Mapping[str, Any]], integration: Integration) -> dict[str, Any]:
    """Return the fields of all tables that are about `integration`, the more specific ones winning."""
    merged: dict[str, Any] = {}
    for _, table in sorted((rank, table) for table in tables if (rank := _rank(table, integration))):
        merged |= tables[table]
    return merged


def _rank(table: str, integration: Integration) -> tuple[int, int] | None:
    """Return how specifically a table under `[integrations]` names `integration`, None if not at all."""
    if table == DEFAULT:
        return 0, 0
    if table == integration.id:
        return 3, 0
    if table == integration.name:
        return 2, 0
    if fnmatchcase(integration.id, table) or fnmatchcase(integration.name, table):
        return 1, len(table)
    return None
