"""Reads the sections of an integration's table: its message and the options of its service.

Secrets and template files are resolved here, and every template is compiled, so that an error names its file and line
before anything is published. Workers need no file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from common.conditions import NO_NAMES
from common.errors import TemplateError
from common.integration import Kind
from common.services import SERVICES
from common.services.sections import SECTIONS, publish_section, resolved, section_keys
from common.settings.digest import DIGEST, Digest, digest_problems
from common.settings.message import MESSAGE, MessageTemplates
from common.settings.schema import INTEGRATIONS
from common.settings.sources import dotted
from common.templates.source import TemplateSource
from producer.setting_origins import origin_in
from producer.table_checks import condition_problems

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from common.conditions import NamedCondition
    from common.integration import Integration
    from common.services.declaration import Declaration
    from producer.secret_references import SecretReferences


class SectionProblem(NamedTuple):
    """What is wrong with a key of a section; an empty key means the section itself. `text` quotes no secret."""

    section: str
    key: str
    text: str


def read_sections(
    integration: Integration,
    given: Mapping[str, msgspec.Struct],
    references: SecretReferences,
    named: Mapping[str, NamedCondition] = NO_NAMES,
) -> tuple[Integration, list[SectionProblem]]:
    """Return the integration with the sections of its table, and what is wrong with them.

    `named` are the named conditions that `match` of a digest can use.
    """
    declared = SERVICES.get(integration.service)
    problems = list(_misplaced(integration, given, declared))
    if problems:
        return integration, problems
    sections: dict[str, msgspec.Struct] = {}
    for name, values in given.items():
        try:
            changes = resolved(values, lambda one: references.resolve(one.reveal()), lambda one: _file(one, references))
            sections[name] = msgspec.structs.replace(values, **dict(changes))
        except ValueError as error:
            text, key = error.args
            problems.append(SectionProblem(name, key, text))
    problems += _wrong_in_digest(sections.get(DIGEST), named)
    if declared and not problems:
        problems += _invalid(integration, sections, declared)
    if problems:
        return integration, problems
    published = tuple(publish_section(name, sections[name]) for name in sorted(sections))
    return msgspec.structs.replace(integration, sections=published), []


def located(problem: SectionProblem, table: str, origins: Mapping[str, str]) -> tuple[str, str]:
    """Return the origin and the text of the error: that of the key, or else of the section, empty if neither is known.

    `origins` are those of all settings by dotted key.
    """
    section = dotted((INTEGRATIONS, table, problem.section))
    name = f"{section}.{problem.key}" if problem.key else section
    return origin_in(origins, section, problem.key), f"{name}: {problem.text}"


def _misplaced(
    integration: Integration, given: Mapping[str, msgspec.Struct], declared: Declaration | None
) -> Iterator[SectionProblem]:
    """Yield the sections and parts that the service does not have."""
    service = integration.service
    for name, values in given.items():
        if name not in {MESSAGE, DIGEST, service}:
            yield SectionProblem(name, "", f"is about the service {name}, and the service is {service}: remove it")
        elif isinstance(values, MessageTemplates):
            parts = declared.message if declared else frozenset()
            what = (
                "a script receives the alert itself"
                if integration.kind is Kind.SCRIPT
                else f"{service} sends the alert itself"
            )
            if not parts:
                yield SectionProblem(name, "", f"{what} and shows no message: remove the table")
                continue
            for key in section_keys(name).values():
                if getattr(values, key.field) is not None and key.name not in parts:
                    yield SectionProblem(
                        name, key.name, f"{service} does not show it: write one of {', '.join(sorted(parts))}"
                    )
            if values.text is not None and values.template is not None:
                yield SectionProblem(name, "template", "excludes text: write one of the two")


def _wrong_in_digest(digest: object, named: Mapping[str, NamedCondition]) -> Iterator[SectionProblem]:
    if not isinstance(digest, Digest):
        return
    for key, problem in (*digest_problems(digest), *condition_problems("match", digest.match, named)):
        yield SectionProblem(DIGEST, key, problem)


def _invalid(
    integration: Integration, sections: Mapping[str, msgspec.Struct], declared: Declaration
) -> Iterator[SectionProblem]:
    """Yield the templates that cannot be compiled, and what the service finds wrong with its options."""
    for name, values in sections.items():
        for key in section_keys(name).values():
            as_json = name != MESSAGE and key.name in declared.json_templates
            for problem in _template_problems(getattr(values, key.field), as_json=as_json):
                yield SectionProblem(name, key.name, problem)
    if declared.options:
        service = integration.service
        options: Any = sections.get(service) or SECTIONS[service]()
        for key_name, problem in declared.check(integration, options):
            yield SectionProblem(service, key_name, problem)


def _template_problems(value: Any, *, as_json: bool, prefix: str = "") -> Iterator[str]:
    if isinstance(value, TemplateSource):
        from common.templates.environment import check  # noqa: PLC0415 — Jinja2 is slow to import, and not always needed

        try:
            check(value, as_json=as_json)
        except TemplateError as error:
            yield f"{prefix}{error}"
    elif isinstance(value, dict):
        for name, one in value.items():
            yield from _template_problems(one, as_json=as_json, prefix=f"{name}: ")


def _file(source: TemplateSource, references: SecretReferences) -> TemplateSource:
    return TemplateSource(references.template(source.file), source.file) if source.file else source
