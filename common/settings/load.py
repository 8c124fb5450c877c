"""Loads the settings and records the origin of each value.

Precedence, lowest to highest:

    packaged courier.toml  <  courier.toml  <  COURIER_* variables  <  command-line options

The settings of processes are read and checked once, at the start; the tables of integrations again when the file
changes (`reload`). An unknown key is an error, because the setting that it was meant for would silently keep its
default.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import msgspec

from common.errors import SettingsError
from common.files import FileSignature, exists, file_signature
from common.services.sections import read_tables, shown_sections
from common.settings.combinations import check_combinations
from common.settings.definition import CONDITIONS, DEFINITION_KEYS, NAMED, WINDOWS, Definition, definition
from common.settings.refused import RefusedTable
from common.settings.schema import (
    DEFAULT,
    INTEGRATIONS,
    KEYS,
    POLICY_KEYS,
    STRUCTS,
    AgentsSettings,
    HealthSettings,
    LogSettings,
    Policy,
    ProducerSettings,
    RedisSettings,
    StateSettings,
    TelemetrySettings,
    WorkerSettings,
)
from common.settings.served import ConsoleSettings, FlowerSettings, MetricsSettings
from common.settings.silences import SilenceTable, shown_silences, silence_tables
from common.settings.sources import (
    SETTINGS_VARIABLE,
    KeyPath,
    RawValue,
    dotted,
    from_environment,
    from_file,
    from_overrides,
    packaged_values,
    refused_table,
)
from common.windows import Window

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from common.integration import Integration
    from common.settings.schema import Key
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
    that the operator set, without the packaged defaults. `definitions` holds what tables say of their integrations
    besides, `sections` their sections by table and name, `conditions` the named conditions, `windows` the windows,
    `silences` the silences by number, `refused` the errors in tables. `file` is the settings file, also if it does not
    exist, and `file_signature` tells whether it has changed since; `read_again` loads all this again.
    """

    redis: RedisSettings
    producer: ProducerSettings
    worker: WorkerSettings
    state: StateSettings
    agents: AgentsSettings
    flower: FlowerSettings
    console: ConsoleSettings
    metrics: MetricsSettings
    health: HealthSettings
    log: LogSettings
    telemetry: TelemetrySettings
    integrations: Mapping[str, Mapping[str, Any]]
    user_policies: Mapping[str, Mapping[str, Any]]
    origin: Mapping[str, str]
    definitions: Mapping[str, Definition]
    sections: Mapping[str, Mapping[str, msgspec.Struct]]
    conditions: Mapping[str, tuple[str, ...]]
    windows: Mapping[str, Window]
    silences: Mapping[str, SilenceTable]
    refused: tuple[RefusedTable, ...]
    file: Path
    file_signature: FileSignature | None
    read_again: Callable[[], Settings]

    def policy(self, integration: Integration) -> Policy:
        """Return the merged policy: default < patterns < service < name < id, and packaged < operator's.

        Packaged tables are about services. So a block of a script that a service replaces has the policy of that.
        """
        of_service = msgspec.structs.replace(integration, id=integration.service, name=integration.service)
        return Policy(**_merged(self.integrations, of_service) | _merged(self.user_policies, integration))

    def set_by_operator(self, integration: Integration) -> dict[str, Any]:
        """Return the fields of the policy that the operator set, without the packaged defaults."""
        return _merged(self.user_policies, integration)

    def refused_for(self, integration: Integration) -> list[RefusedTable]:
        """Return the errors in tables that are about `integration`."""
        return [one for one in self.refused if one.table and _rank(one.table, integration) is not None]

    def unused_tables(self, integrations: Iterable[Integration]) -> list[str]:
        """Return the operator's tables under `[integrations]` that match none of `integrations`."""
        known = list(integrations)
        return [
            table
            for table in {**self.user_policies, **self.definitions, **self.sections}
            if table != DEFAULT and not any(_rank(table, one) for one in known)
        ]

    def listing(self) -> Iterator[tuple[str, Displayed, str]]:
        """Yield each key, its value for display and its origin, in the order of the packaged file."""
        for section, keys in KEYS.items():
            values = getattr(self, section)
            for key in keys.values():
                name = dotted((section, key.name))
                yield name, key.reader.show(getattr(values, key.field)), self.origin[name]
        for table in {**self.integrations, **self.definitions, **self.sections}:
            fields = self.integrations.get(table, {})
            said = msgspec.structs.asdict(self.definitions.get(table, Definition()))
            for key in (*DEFINITION_KEYS.values(), *POLICY_KEYS.values()):
                if (value := said.get(key.field, fields.get(key.field))) is not None or key.field in fields:
                    name = dotted((INTEGRATIONS, table, key.name))
                    yield name, key.reader.show(value), self.origin[name]
            written = shown_sections(self.sections.get(table, {}))
            yield from self._written({dotted((INTEGRATIONS, table, *path)): shown for path, shown in written})
        for section, named in ((CONDITIONS, self.conditions), (WINDOWS, self.windows)):
            for word, content in named.items():
                name = dotted((section, word))
                yield name, NAMED[section].reader.show(content), self.origin[name]
        for name, shown in shown_silences(self.silences):
            yield name, shown, self.origin[name]

    def _written(self, shown: Mapping[str, Displayed]) -> Iterator[tuple[str, Displayed, str]]:
        return ((name, value, self.origin[name]) for name, value in shown.items() if name in self.origin)


def load_settings(
    *,
    file: Path | None,
    environment: Mapping[str, str],
    cwd: Path,
    overrides: Mapping[str, str] = NO_OVERRIDES,
    keep_refused: bool = False,
) -> Settings:
    """Return the settings. Raises SettingsError, whose text names the source, the key and the remedy.

    `file` is the argument of `--settings`; without it the file is COURIER_SETTINGS, else courier.toml in `cwd`. Only
    the latter may be missing. `overrides` are texts from the command line by dotted key, such as
    `{"state.dir": "/srv/courier"}`. With `keep_refused`, an error in the table of an integration is not raised, but
    kept in `Settings.refused`.
    """
    chosen, called = _chosen_file(file, environment, cwd)
    signature = file_signature(chosen)  # before it is read: a change in between is noticed later
    refused: list[RefusedTable] = []

    def read_again() -> Settings:  # no partial: its repr would show the environment
        return load_settings(file=file, environment=environment, cwd=cwd, overrides=overrides, keep_refused=True)

    given = {path: value._replace(origin=DEFAULT_ORIGIN) for path, value in packaged_values(DEFAULTS_FILE).items()}
    packaged_home = str(given[HOME].raw)
    if called:
        given |= from_file(chosen, called, refused=refused)
    given |= from_environment(environment, cwd)
    given |= from_overrides(overrides, cwd)
    given |= _moved_with_home(given, packaged_home)
    tables = _parsed_tables(given, refused)
    if refused and not keep_refused:
        raise SettingsError(str(refused[0]))
    sections: dict[str, Any] = {name: struct(**tables[(name,)]) for name, struct in STRUCTS.items()}
    about = {path[1:]: fields for path, fields in tables.items() if path[0] == INTEGRATIONS}
    own = {path[0]: fields for path, fields in about.items() if len(path) == 1}
    policies = {table: found for table, fields in own.items() if (found := _fields(fields, POLICY_KEYS))}
    definitions = {table: definition(fields) for table, fields in own.items() if _fields(fields, DEFINITION_KEYS)}
    origin = {dotted(path): value.origin for path, value in given.items()}
    settings = Settings(
        **sections,
        integrations=policies,
        user_policies=_user_policies(policies, origin),
        origin=origin,
        definitions=definitions,
        sections=read_tables({path: fields for path, fields in about.items() if len(path) > 1}),
        conditions=tables.get((CONDITIONS,), {}),
        windows=tables.get((WINDOWS,), {}),
        silences=silence_tables(tables),
        refused=tuple(refused),
        file=chosen,
        file_signature=signature,
        read_again=read_again,
    )
    check_combinations(settings)
    return settings


def _chosen_file(file: Path | None, environment: Mapping[str, str], cwd: Path) -> tuple[Path, str]:
    """Return the path of the settings file and its name in origins, which is empty if there is no file."""
    if file is not None:
        return cwd / file, str(file)
    if chosen := environment.get(SETTINGS_VARIABLE):
        return cwd / chosen, chosen
    local = cwd / LOCAL_FILE
    try:
        return local, LOCAL_FILE if exists(local) else ""
    except OSError as error:
        raise SettingsError(
            f"{local}: cannot check whether it exists: {error.strerror or error}; let user {os.geteuid()} enter the "
            f"folder, start from another folder, or name the file with --settings or {SETTINGS_VARIABLE}"
        ) from None


def _fields(fields: Mapping[str, Any], keys: Mapping[str, Key]) -> dict[str, Any]:
    """Return the fields of a table that belong to `keys`."""
    return {key.field: fields[key.field] for key in keys.values() if key.field in fields}


def _moved_with_home(given: Mapping[KeyPath, RawValue], packaged_home: str) -> Iterator[tuple[KeyPath, RawValue]]:
    """Yield the defaults inside the packaged home folder, moved to the one that is set."""
    home = given[HOME]
    for path in IN_HOME:
        default = given[path]
        if default.origin == DEFAULT_ORIGIN != home.origin and isinstance(home.raw, str):
            relative = os.path.relpath(str(default.raw), packaged_home)
            yield path, home._replace(key=default.key, raw=str(Path(home.raw) / relative))


def _parsed_tables(given: Mapping[KeyPath, RawValue], refused: list[RefusedTable]) -> dict[KeyPath, dict[str, Any]]:
    """Return the fields of each table, and add the errors in tables of integrations to `refused`.

    Raises SettingsError for any other error.
    """
    tables: dict[KeyPath, dict[str, Any]] = {}
    for path, value in given.items():
        try:
            parsed = value.key.reader.parse(value.raw)
        except ValueError as error:
            problem = f"{dotted(path)}: {error}; write {value.key.reader.expected}"
            if not (in_table := refused_table(path, value.origin, problem)):
                raise SettingsError(f"{value.origin}: {problem}") from None
            refused.append(in_table)
            continue
        # Paths are absolute.
        tables.setdefault(path[:-1], {})[value.key.field] = value.base / parsed if isinstance(parsed, Path) else parsed
    return tables


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
    names = (integration.service, integration.name, integration.id)
    if table in names:
        return 2 + max(at for at, name in enumerate(names) if name == table), 0
    return (1, len(table)) if any(fnmatchcase(name, table) for name in names) else None
