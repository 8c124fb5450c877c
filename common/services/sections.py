"""The sections of an integration's table: `message`, `digest`, and that of its service with the service's own options.

A section is published with the integration as one secret text: JSON in the form of courier.toml, read by the same
readers. Another version of Courier ignores keys that it does not know.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from common.errors import ConfigError
from common.integration import Section
from common.secret import Secret
from common.services import SERVICES
from common.settings.digest import DIGEST, Digest
from common.settings.message import MESSAGE, MessageTemplates
from common.settings.schema import keys_of
from common.templates.source import TemplateSource

if TYPE_CHECKING:
    from collections.abc import Callable

    from common.integration import Integration
    from common.settings.schema import Key
    from common.settings.values import Displayed

S = TypeVar("S", bound=msgspec.Struct)

SECTIONS: Final[Mapping[str, type[msgspec.Struct]]] = {
    MESSAGE: MessageTemplates,
    DIGEST: Digest,
    **{name: declared.options for name, declared in SERVICES.items() if declared.options},
}
"""The struct of each section, by its name."""


def read_tables(tables: Mapping[tuple[str, ...], Mapping[str, Any]]) -> dict[str, dict[str, msgspec.Struct]]:
    """Return the sections of courier.toml by table and name; the keys of `tables` are such as `("soc", "message")`."""
    found: dict[str, dict[str, msgspec.Struct]] = {}
    for (table, name), fields in tables.items():
        found.setdefault(table, {})[name] = SECTIONS[name](**fields)
    return found


def shown_sections(sections: Mapping[str, msgspec.Struct]) -> Iterator[tuple[tuple[str, str], Displayed]]:
    """Yield the path of each key of a table's sections, such as `("message", "title")`, and its value for display."""
    for section, values in sections.items():
        for key in section_keys(section).values():
            yield (section, key.name), key.reader.show(getattr(values, key.field))


@cache
def section_keys(name: str) -> Mapping[str, Key]:
    """Return the keys of a section, by name."""
    return dict(keys_of(SECTIONS[name], name))


def publish_section(name: str, values: msgspec.Struct) -> Section:
    """Return a section in the form that is published; keys that have their default are left out."""
    plain = {
        key.name: _plain(value, key)
        for key in section_keys(name).values()
        if (value := getattr(values, key.field)) != _default(type(values), key.field)
    }
    return Section(name, Secret(json.dumps(plain, ensure_ascii=False)))


def options_of(integration: Integration, kind: type[S]) -> S:
    """Return what an integration's section says, the defaults if it has none. `kind` is the struct of the section.

    Raises ConfigError if this version cannot read a value.
    """
    name = next(name for name, struct in SECTIONS.items() if struct is kind)
    published = next((one for one in integration.sections if one.name == name), None)
    if published is None:
        return kind()
    values: dict[str, Any] = {}
    keys = section_keys(name)
    for written, raw in json.loads(published.values.reveal()).items():
        if key := keys.get(written):
            try:
                values[key.field] = key.reader.parse(raw)
            except ValueError as error:
                problem = f"{error}; write {key.reader.expected}"
                where = {"file": integration.file, "line": integration.line or None}
                raise ConfigError(problem, element=f"{name}.{written}", **where) from None  # type: ignore[arg-type]  # a table of keywords
    return kind(**values)


def digest_of(integration: Integration) -> Digest | None:
    """Return how an integration's alerts are folded into digests, None if they are not. Raises ConfigError."""
    has_digest = any(one.name == DIGEST for one in integration.sections)
    return options_of(integration, Digest) if has_digest else None


def secrets_in(integration: Integration) -> Iterator[tuple[str, Secret]]:
    """Yield the secrets of all sections that this version can read; the first part is the name within a table."""
    for section in integration.sections:
        if kind := SECTIONS.get(section.name):
            try:
                options = options_of(integration, kind)
            except ConfigError:  # such an integration sends nothing
                continue
            for key in section_keys(section.name).values():
                yield from _secrets(key.name, getattr(options, key.field))


def resolved(
    values: msgspec.Struct, secret: Callable[[Secret], Secret], file: Callable[[TemplateSource], TemplateSource]
) -> Iterator[tuple[str, Any]]:
    """Yield each field with its value, secrets and files of templates resolved.

    `secret` and `file` raise ValueError; it then has the key as its second argument.
    """
    name = next(name for name, struct in SECTIONS.items() if struct is type(values))
    for key in section_keys(name).values():
        try:
            yield key.field, _map(getattr(values, key.field), secret, file)
        except ValueError as error:
            raise ValueError(str(error), key.name) from None


def _map(value: Any, secret: Callable[[Secret], Secret], file: Callable[[TemplateSource], TemplateSource]) -> Any:
    if isinstance(value, Secret):
        return secret(value)
    if isinstance(value, TemplateSource):
        return file(value)
    if isinstance(value, Mapping):
        return {name: _map(one, secret, file) for name, one in value.items()}
    if isinstance(value, tuple):
        return tuple(_map(one, secret, file) for one in value)
    return value


def _secrets(name: str, value: Any) -> Iterator[tuple[str, Secret]]:
    if isinstance(value, Secret):
        yield name, value
    elif isinstance(value, Mapping):
        for one, inner in value.items():
            yield from _secrets(one, inner)
    elif isinstance(value, tuple):
        for inner in value:
            yield from _secrets(name, inner)


def _plain(value: Any, key: Key) -> Any:
    if isinstance(value, Secret):
        return value.reveal()
    if isinstance(value, TemplateSource):
        return msgspec.to_builtins(value)
    if isinstance(value, Mapping):
        return {name: one if isinstance(one, int) else _plain(one, key) for name, one in value.items()}
    if isinstance(value, tuple) and any(isinstance(one, Secret) for one in value):
        return [_plain(one, key) for one in value]
    return value if isinstance(value, str) else key.reader.show(value)


def _default(kind: type[msgspec.Struct], field: str) -> Any:
    return next(one.default for one in msgspec.structs.fields(kind) if one.name == field)
