"""Reads the sources of settings: TOML files, COURIER_* variables and the command line.

Each value is still unparsed and has its origin, so that an error can name the source.
"""

from __future__ import annotations

import json
import re
import tomllib
from difflib import get_close_matches
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from common.errors import SettingsError
from common.permissions import explain, read_trusted
from common.services.sections import SECTIONS, section_keys
from common.settings.definition import DEFINITION_KEYS, NAMED, is_pattern
from common.settings.digest import DIGEST
from common.settings.refused import RefusedTable
from common.settings.renamed import RENAMED
from common.settings.schema import DEFAULT, INTEGRATIONS, KEYS, POLICY_KEYS, Key
from common.settings.silences import SILENCE_KEYS, SILENCES, unknown_silence_key
from common.settings.toml_lines import line_numbers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

PREFIX: Final = "COURIER_"
SETTINGS_VARIABLE: Final = "COURIER_SETTINGS"
"""The variable that names the settings file; not a setting itself."""

FILE_SUFFIX: Final = "_FILE"

KeyPath = tuple[str, ...]
"""The path of a key: ("redis", "url"), ("integrations", "slack", "lease"), ("integrations", "x", "webhook", "body")."""

FIXED: Final[Mapping[KeyPath, Key]] = {
    **{(section, key.name): key for section, keys in KEYS.items() for key in keys.values()},
    **{(INTEGRATIONS, DEFAULT, key.name): key for key in POLICY_KEYS.values()},
}
"""The keys that variables and options can set."""

_VARIABLES: Final = {key.variable: path for path, key in FIXED.items()}

_LINK_NAME: Final = re.compile(r"\w+_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)")
_LINK_VALUE: Final = re.compile(r"(tcp|udp|sctp)://.*")


_KNOWN: Final = {path: path for path in FIXED} | {path: (*path[:-1], name) for path, name in RENAMED.items()}
"""Every key that a misspelt one may stand for, and its current path."""

_NEAR_POLICY: Final = [known[-1] for known in _KNOWN if known[:-1] == (INTEGRATIONS, DEFAULT)]

_OLD_VARIABLES: Final = {"_".join(("COURIER", *path)).upper(): path for path in RENAMED}


_SECTIONS: Final = (*KEYS, INTEGRATIONS, *NAMED, SILENCES)


class RawValue(NamedTuple):
    """An unparsed value of a known key, its origin, and the folder that its relative paths start from."""

    key: Key
    raw: object
    origin: str
    base: Path


def refused_table(path: KeyPath, origin: str, problem: str) -> RefusedTable | None:
    """Return what an error at `path` is to the table that it is in; None if it concerns more than some integrations."""
    if path[0] in {*NAMED, SILENCES} and len(path) > 1:
        return RefusedTable("", origin, problem, dotted(path[:2]) if path[0] == SILENCES else f"[{path[0]}]")
    is_own = path[0] == INTEGRATIONS and len(path) > 1 and path[1] != DEFAULT
    return RefusedTable(path[1], origin, problem) if is_own else None


def dotted(path: KeyPath) -> str:
    """Return the key in TOML notation, names with special characters in quotes."""
    return ".".join(name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name) for name in path)


@cache
def packaged_values(file: Path) -> Mapping[KeyPath, RawValue]:
    """Return the values of the packaged file, as it was when this process first read it.

    During an upgrade, the file already has keys that a running process of the former version does not know.
    """
    return from_file(file, "default", packaged=True)


def from_file(
    file: Path, called: str, *, packaged: bool = False, refused: list[RefusedTable] | None = None
) -> dict[KeyPath, RawValue]:
    """Return the values of a TOML file; `called` is its name in origins.

    Raises SettingsError, also if other users can write the file. A `packaged` file is trusted like the code. With
    `refused`, errors in the tables of integrations are added to it instead.
    """
    text = _decoded(called, file.read_bytes if packaged else lambda: read_trusted(file, called))
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"{called}: is not TOML: {error}") from None
    lines = line_numbers(text)
    given = {}
    for path, raw in _walk(document):
        line = next((lines[path[:depth]] for depth in range(len(path), 0, -1) if path[:depth] in lines), 0)
        origin = f"{called}:{line}" if line else called
        key = _key_at(path)
        if key is None:
            problem = unknown_silence_key(path) if path[0] == SILENCES else _unknown_key(path, raw)
            if refused is None or not (in_table := refused_table(path, origin, problem)):
                raise SettingsError(f"{origin}: {problem}")
            refused.append(in_table)
            continue
        given[path] = RawValue(key, raw, origin, file.parent)
    return given


def from_environment(environment: Mapping[str, str], cwd: Path) -> dict[KeyPath, RawValue]:
    """Return the values of COURIER_* variables, set directly or through a file. Raises SettingsError."""
    given: dict[KeyPath, RawValue] = {}
    for variable in sorted(filter(_is_setting, environment)):
        value = environment[variable]
        if _is_service_link(variable, value):
            continue
        path = _VARIABLES.get(variable) or _VARIABLES.get(variable.removesuffix(FILE_SUFFIX))
        if path is None:
            raise SettingsError(f"{variable}: {_unknown_variable(variable)}")
        if not value:
            continue
        if path in given:
            raise SettingsError(f"{variable}: {given[path].origin} is also set; set only one of them")
        raw = value if variable in _VARIABLES else _read_value(cwd / value, variable)
        given[path] = RawValue(FIXED[path], raw, variable, cwd)
    return given


def from_overrides(overrides: Mapping[str, str], cwd: Path) -> dict[KeyPath, RawValue]:
    """Return the values of the command line, given by dotted key. Raises SettingsError."""
    given = {}
    for name, value in overrides.items():
        path = tuple(name.split("."))
        key = FIXED.get(path)
        if key is None:
            raise SettingsError(f"command line: {_unknown_key(path, value)}")
        given[path] = RawValue(key, value, key.option, cwd)
    return given


def _key_at(path: KeyPath) -> Key | None:
    """Return the key at `path`, None if there is no such key."""
    if len(path) == 3 and path[0] == INTEGRATIONS:  # noqa: PLR2004 — section, table, key
        return POLICY_KEYS.get(path[2]) or (DEFINITION_KEYS.get(path[2]) if _is_of_one(path) else None)
    if len(path) == 4 and _is_of_one(path[:3]) and path[2] in SECTIONS:  # noqa: PLR2004 — section, table, section, key
        return section_keys(path[2]).get(path[3])
    if len(path) == 3 and path[0] == SILENCES:  # noqa: PLR2004 — section, number, key
        return SILENCE_KEYS.get(path[2])
    if len(path) == 2 and path[0] in NAMED:  # noqa: PLR2004 — section, name
        return NAMED[path[0]]._replace(name=path[1], field=path[1])
    return FIXED.get(path)


def _walk(document: dict[str, Any]) -> Iterator[tuple[KeyPath, Any]]:
    """Yield every key with its path. A section or table that has a plain value counts as a key."""
    for section, body in document.items():
        if section == SILENCES and isinstance(body, list) and all(isinstance(one, dict) for one in body):
            for number, silence in enumerate(body, start=1):
                yield from (((section, str(number), key), raw) for key, raw in (silence or {"": None}).items())
            continue
        if not isinstance(body, dict) or section == SILENCES or section not in _SECTIONS:
            yield (section,), body
            continue
        for name, inner in body.items():
            if section == INTEGRATIONS and isinstance(inner, dict):
                for key, raw in inner.items():
                    if key in SECTIONS and isinstance(raw, dict) and (raw or key != DIGEST):  # an empty one is an error
                        yield from (((section, name, key, option), value) for option, value in raw.items())
                    else:
                        yield (section, name, key), raw
            else:
                yield (section, name), inner


def _is_setting(variable: str) -> bool:
    return variable.startswith(PREFIX) and variable != SETTINGS_VARIABLE


def _is_service_link(variable: str, value: str) -> bool:
    """Return whether Kubernetes set it: a Service `courier-flower` sets COURIER_FLOWER_PORT=tcp://… in every pod."""
    is_port = variable.endswith("_PORT") and _LINK_VALUE.fullmatch(value)
    return bool(is_port or _LINK_NAME.fullmatch(variable))


def _unknown_key(path: KeyPath, raw: object) -> str:
    name = dotted(path)
    if current := _current_name(path):
        return f"{name} is now called {dotted((*path[:-1], current))}"
    if len(path) == 1 and path[0] in _SECTIONS:
        return f"{name} is a section; write [{name}] and its keys below"
    is_table = len(path) == 2 and path[1] not in POLICY_KEYS  # noqa: PLR2004 — section, table
    is_section = len(path) == 3 and path[2] in SECTIONS and _is_of_one(path)  # noqa: PLR2004 — section, table, key
    if path[0] == INTEGRATIONS and (is_table or is_section):
        return f"{name} is a table; write [{name}] and its keys below"
    belongs_to_one = len(path) > 2 and path[2] in {*DEFINITION_KEYS, *SECTIONS}  # noqa: PLR2004 — as above
    if path[0] == INTEGRATIONS and belongs_to_one and not _is_of_one(path[:3]):
        return f"{name} belongs in the table of one integration, [{INTEGRATIONS}.ID]"
    if isinstance(raw, dict):
        sections = [*KEYS, *NAMED, f"{INTEGRATIONS}.{DEFAULT}"]
        return f"there is no section [{name}]{_did_you_mean(*get_close_matches(name, sections, n=1))}"
    return f"there is no key {name}{_did_you_mean(*map(dotted, _nearest(path)))}"


def _unknown_variable(variable: str) -> str:
    suffix = FILE_SUFFIX if variable.endswith(FILE_SUFFIX) else ""
    named = variable.removesuffix(suffix)
    if path := _OLD_VARIABLES.get(named):
        return f"is now called {FIXED[_KNOWN[path]].variable}{suffix}"
    return f"there is no such setting{_did_you_mean(*(FIXED[path].variable for path in _nearest_variable(named)))}"


def _current_name(path: KeyPath) -> str:
    """Return the current name of a key of version 0.1, empty for any other key."""
    return RENAMED.get((*_table_of(path), path[-1]), "")


def _is_of_one(path: KeyPath) -> bool:
    """Return whether the table of a key can be that of one integration."""
    return len(path) == 3 and path[0] == INTEGRATIONS and path[1] != DEFAULT and not is_pattern(path[1])  # noqa: PLR2004 — section, table, key


def _table_of(path: KeyPath) -> KeyPath:
    """Return the table that has the keys of this one: all tables under `[integrations]` have the same."""
    is_policy = len(path) == 3 and path[0] == INTEGRATIONS  # noqa: PLR2004 — section, table, key
    return (INTEGRATIONS, DEFAULT) if is_policy else path[:-1]


def _nearest(path: KeyPath) -> list[KeyPath]:
    """Return the key that an unknown key most likely stands for, nothing if none is near.

    The name is compared with those of its own table, without the table in front, which any two of its keys share. A key
    in the wrong table must have its full name.
    """
    name, table = path[-1], _table_of(path)
    if len(path) == 4 and path[2] in SECTIONS:  # noqa: PLR2004 — section, table, section, key
        return [(*path[:-1], near) for near in get_close_matches(name, section_keys(path[2]), n=1)]
    if _is_of_one(path) and (own := get_close_matches(name, [*DEFINITION_KEYS, *_NEAR_POLICY], n=1)):
        return [(*path[:-1], own[0] if own[0] in DEFINITION_KEYS else _KNOWN[INTEGRATIONS, DEFAULT, own[0]][-1])]
    near = get_close_matches(name, [known[-1] for known in _KNOWN if known[:-1] == table], n=1)
    if near:
        return [(*path[:-1], _KNOWN[*table, near[0]][-1])]
    elsewhere = {dotted(known): meant for known, meant in _KNOWN.items() if known[-1] == name}
    return [elsewhere[one] for one in get_close_matches(dotted(path), elsewhere, n=1, cutoff=0)]


def _nearest_variable(variable: str) -> list[KeyPath]:
    """Return the key that an unknown variable most likely stands for, nothing if none is near."""
    for table in {known[:-1] for known in _KNOWN}:
        prefix = "_".join(("COURIER", *table, "")).upper()
        if variable.startswith(prefix):
            return _nearest((*table, variable.removeprefix(prefix).lower()))
    known = {one.removeprefix(PREFIX): _KNOWN[path] for one, path in (_OLD_VARIABLES | _VARIABLES).items()}
    near = get_close_matches(variable.removeprefix(PREFIX), known, n=1, cutoff=0.8)
    return [known[one] for one in near]


def _did_you_mean(*near: str) -> str:
    return f"; did you mean {near[0]}?" if near else "; `courier config` lists all keys"


def _decoded(called: str, read: Callable[[], bytes]) -> str:
    try:
        return read().decode()
    except IsADirectoryError:
        raise SettingsError(f"{called}: is a folder; name the file in it") from None
    except OSError as error:
        raise SettingsError(f"{called}: cannot be read: {explain(error)}") from None
    except ValueError:
        raise SettingsError(f"{called}: is not UTF-8 text") from None


def _read_value(file: Path, variable: str) -> str:
    called = f"{variable}: {file}"
    value = re.sub(r"\r?\n\Z", "", _decoded(called, lambda: read_trusted(file, called)))
    if not value:
        raise SettingsError(f"{variable}: {file} is empty; write the value into it, or unset the variable")
    return value
