"""Compiles ossec.conf and the tables of courier.toml into the integrations of this node.

A table `[integrations.ID]` that is named as a block, by its id or its name, changes what the block says; any other with
a `service` is an integration of its own. An invalid table costs its own integration, or that of its block, as an
invalid block does (D6); the error names the file, the line and the key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from common.conditions import parse_named_conditions
from common.errors import ConditionError, ConfigError
from common.integration import Integration
from common.settings.definition import CONDITIONS, DEFINITION_KEYS, WINDOWS, Definition, is_pattern
from common.settings.schema import DEFAULT, ENDPOINT_URL, INTEGRATIONS
from common.settings.secret_values import is_reference
from common.settings.sources import dotted
from common.windows import hold_problem
from producer.agents_file import read_agents
from producer.filters.agents import AGENT_GROUPS, NO_AGENTS
from producer.filters.conditions import use_agent_groups
from producer.ossec_conf import Configuration, ConfigWarning, RefusedBlock, read_ossec_conf
from producer.secret_references import SecretReferences
from producer.section_checks import SectionProblem, located, read_sections
from producer.setting_origins import TableSection, TableValue, config_error, file_and_line, origin_in
from producer.silence_tables import compile_silences
from producer.table_checks import table_problems

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from common.conditions import NamedCondition
    from common.secret import Secret
    from common.settings.load import Settings
    from common.settings.schema import Policy
    from common.settings.sources import KeyPath
    from producer.filters.agents import AgentGroups

_SECRETS: Final = ("hook_url", "api_key")
_FIELDS: Final = {"service": "service_override", "rule_id": "rule_ids", "timeout": "timeout_s"}


def read_configuration(
    settings: Settings, *, config: Path | None = None, references: SecretReferences | None = None
) -> Configuration:
    """Read ossec.conf, `producer.config` unless `config` is given, and add what courier.toml says.

    `references` reads secrets from files and variables. Raises ConfigError if ossec.conf cannot be read at all.
    """
    references = references or SecretReferences()
    found = read_ossec_conf(config or settings.producer.config, references)
    return compile_configuration(found, settings, references)


def policy_of(integration: Integration, settings: Settings, configuration: Configuration) -> Policy:
    """Return the policy of an integration, with the URL in place of an `endpoint` that is `env:NAME` or `file:PATH`."""
    policy, endpoint = settings.policy(integration), configuration.endpoints.get(integration.id)
    return msgspec.structs.replace(policy, endpoint=endpoint) if endpoint else policy


def compile_configuration(found: Configuration, settings: Settings, references: SecretReferences) -> Configuration:
    """Return the integrations of ossec.conf with those of courier.toml, and what is wrong with either."""
    return _Compiler(found, settings, references).result()


class _Compiler:
    """Collects the integrations and the errors; those of an integration are gathered before it is refused."""

    def __init__(self, found: Configuration, settings: Settings, references: SecretReferences) -> None:
        self._found, self._settings, self._references = found, settings, references
        self._refused: list[RefusedBlock] = []
        self._warnings: list[ConfigWarning] = []
        self._reported: set[str] = set()
        self._named = self._named_conditions()

    def result(self) -> Configuration:
        blocks = [one for block in self._found.integrations if (one := self._merge_block(block))]
        alone = list(self._tables_without_block())
        agents, with_groups = self._agents([*blocks, *alone])
        endpoints, usable = self._endpoints(with_groups)
        self._refuse_tables()
        self._warn_of_unused_windows()
        silences, errors = compile_silences(self._settings, self._named)
        for name, problems in errors.items():
            self._refuse_section(name, [config_error(origin, problem) for origin, problem in problems])
        return self._found._replace(
            integrations=usable,
            refused_blocks=(*self._found.refused_blocks, *self._refused),
            warnings=(*self._found.warnings, *self._warnings),
            conditions={name: self._settings.conditions[name] for name in self._named},
            windows=self._settings.windows,
            agents=agents,
            endpoints=endpoints,
            silences=silences,
        )

    def _agents(self, integrations: list[Integration]) -> tuple[AgentGroups, tuple[Integration, ...]]:
        """Return the groups of agents, and the integrations that can run: without the file, those that need no groups.

        The others would miss alerts; refused, they keep their cursors.
        """
        path = self._settings.agents.file
        if not path:
            return NO_AGENTS, tuple(integrations)
        self._references.follow(path)
        try:
            return read_agents(path), tuple(integrations)
        except ConfigError as error:
            problem = error
        self._refuse_section("[agents]", [problem])
        uses_groups = [one for one in integrations if use_agent_groups(one, self._named)]
        for one in uses_groups:
            text = f"{one.id} has a condition or a digest on {AGENT_GROUPS}, which needs agents.file"
            self._refuse(one.id, [ConfigError(text, file=one.file, line=one.line)], one.line)
        return NO_AGENTS, tuple(one for one in integrations if one not in uses_groups)

    def _endpoints(self, integrations: tuple[Integration, ...]) -> tuple[dict[str, Secret], tuple[Integration, ...]]:
        """Return each `endpoint` that is a reference, as its URL, and the integrations without an invalid one."""
        urls: dict[str, Secret] = {}
        refused = set[str]()
        for one in integrations:
            endpoint = self._settings.policy(one).endpoint
            if endpoint is None or not is_reference(endpoint.reveal()):
                continue
            try:
                urls[one.id] = ENDPOINT_URL.parse(self._references.resolve(endpoint.reveal()).reveal())
            except ValueError as error:
                policies = self._settings.user_policies.items()
                table = next(name for name, keys in policies if keys.get("endpoint") == endpoint)
                self._refuse(one.id, [self._error((INTEGRATIONS, table, "endpoint"), f"endpoint: {error}")], one.line)
                refused.add(one.id)
        return urls, tuple(one for one in integrations if one.id not in refused)

    # -- named conditions

    def _named_conditions(self) -> dict[str, NamedCondition]:
        """Return the valid named conditions; each is refused by itself, with those that use it."""
        table = self._settings.conditions
        try:
            return parse_named_conditions(table)
        except ConditionError:
            pass
        good: dict[str, NamedCondition] = {}
        errors: dict[str, ConditionError] = {}
        while True:  # a condition can be read once those that it uses can be
            before = len(good)
            for name in table.keys() - good.keys():
                try:
                    good = parse_named_conditions({one: table[one] for one in (*good, name)})
                except ConditionError as error:
                    errors[name] = error
            if len(good) == before:
                break
        for name in sorted(table.keys() - good.keys()):
            self._refuse_section(
                f"@{name}", [config_error(self._settings.origin[dotted((CONDITIONS, name))], str(errors[name]))]
            )
        return good

    # -- blocks and tables

    def _merge_block(self, block: Integration) -> Integration | None:
        """Return a block with what its tables say, None if it is refused."""
        if self._refused_by_table(block):
            return None
        values: dict[str, TableValue] = {}
        sections: dict[str, TableSection] = {}
        for table in dict.fromkeys((block.name, block.id)):  # the id is stronger
            values |= self._values_of(table)
            sections |= self._sections_of(table)
        return self._build(block, values, sections) if values or sections else block

    def _tables_without_block(self) -> Iterator[Integration]:
        """Yield the integrations that courier.toml defines alone."""
        blocks = {name for one in self._found.integrations for name in (one.id, one.name)}
        blocks |= {one.name for one in self._found.refused_blocks}
        for table in {**self._settings.definitions, **self._settings.sections}:
            definition = self._settings.definitions.get(table, Definition())
            if table in blocks or table == DEFAULT or is_pattern(table):
                continue
            if definition.service is None:
                problem = "has no `service`, and ossec.conf has no block of that id or name: the table is not used"
                self._warn(table, problem)
                continue
            if like := next((one for one in blocks if one.casefold() == table.casefold()), None):
                self._warn(table, f"differs from {like} only in upper and lower case: it is an integration of its own")
            blocks.add(table)
            base = Integration(id=table, name=definition.service)
            if not self._refused_by_table(base) and (
                one := self._build(base, self._values_of(table), self._sections_of(table))
            ):
                yield one

    def _values_of(self, table: str) -> dict[str, TableValue]:
        """Return what a table defines, without its policy, by field."""
        definition = self._settings.definitions.get(table, Definition())
        values = {key: getattr(definition, key.field) for key in DEFINITION_KEYS.values()}
        return {k.field: TableValue((INTEGRATIONS, table, k.name), v) for k, v in values.items() if v is not None}

    def _sections_of(self, table: str) -> dict[str, TableSection]:
        """Return the sections of a table by name."""
        return {name: TableSection(table, one) for name, one in self._settings.sections.get(table, {}).items()}

    def _build(
        self, base: Integration, values: dict[str, TableValue], sections: dict[str, TableSection]
    ) -> Integration | None:
        """Return `base` with these values and sections, None if they are refused."""
        problems: list[tuple[str, str]] = []
        changes: dict[str, Any] = {}
        for field, (path, value) in values.items():
            changes[_FIELDS.get(field, field)] = value
            if field in _SECRETS:
                try:
                    changes[field] = self._references.resolve(value.reveal())
                except ValueError as error:
                    problems.append((path[-1], str(error)))
        if changes.get("service_override") == base.name:
            del changes["service_override"]
        paths = {path[-1]: path for path, _ in values.values()}
        first_path = paths.get("service") or next(iter(paths.values()), ())
        file, line = file_and_line(self._settings.origin[dotted(first_path)]) if first_path else ("", None)
        location = {} if base.file else {"file": file, "line": line or 0}
        integration = msgspec.structs.replace(base, **changes, **location)
        problems += [] if problems else table_problems(integration, self._named, is_new=not base.file)
        if integration.hold and (problem := hold_problem(integration.hold, self._settings.windows)):
            problems.append(("hold", problem))
        errors = [self._error(paths.get(key, first_path), f"{key}: {problem}") for key, problem in problems]
        if not errors:
            given = {name: one.values for name, one in sections.items()}
            integration, wrong = read_sections(integration, given, self._references, self._named)
            errors = [self._section_error(one, sections, integration) for one in wrong]
        if errors:
            self._refuse(base.id, errors, base.line)
            return None
        return integration

    def _warn_of_unused_windows(self) -> None:
        if self._settings.refused:  # one of them may be the `hold` that uses it
            return
        holds = [one.hold for one in self._settings.definitions.values() if one.hold]
        for name in sorted(self._settings.windows.keys() - {one.window for one in holds}):
            key = dotted((WINDOWS, name))
            file, line = file_and_line(self._settings.origin[key])
            self._warnings.append(ConfigWarning(f"{key}: no `hold` uses this window", file, line or 0))

    # -- errors

    def _refused_by_table(self, integration: Integration) -> bool:
        """Refuse an integration if a table that is about it is invalid; return whether that is so."""
        errors = self._settings.refused_for(integration)
        if errors:
            self._reported |= {one.table for one in errors}
            self._refuse(integration.id, [config_error(one.origin, one.problem) for one in errors], integration.line)
        return bool(errors)

    def _refuse_tables(self) -> None:
        """Report the errors of the tables that are about no known integration, and of named conditions and windows."""
        for one in self._settings.refused:
            if one.table not in self._reported:
                refuse = self._refuse if one.table else self._refuse_section
                refuse(one.table or one.section, [config_error(one.origin, one.problem)])

    def _refuse(self, name: str, errors: list[ConfigError], line: int | None = None) -> None:
        self._refused.append(RefusedBlock(line or errors[0].line or 0, name, tuple(errors)))

    def _refuse_section(self, name: str, errors: list[ConfigError]) -> None:
        """Refuse what is not an integration."""
        self._refused.append(RefusedBlock(errors[0].line or 0, name, tuple(errors), is_integration=False))

    def _error(self, path: KeyPath, problem: str) -> ConfigError:
        """Return the error of a key; the problem begins with its name."""
        return config_error(self._settings.origin[dotted(path)], f"{dotted(path[:-1])}.{problem}")

    def _section_error(
        self, problem: SectionProblem, sections: dict[str, TableSection], integration: Integration
    ) -> ConfigError:
        """Return the error of a key of a section: at the key, or else at the section, or else at the integration."""
        table = sections[problem.section].table if problem.section in sections else integration.id
        origin, text = located(problem, table, self._settings.origin)
        return config_error(origin, text) if origin else ConfigError(text, file=integration.file, line=integration.line)

    def _warn(self, table: str, problem: str) -> None:
        name = dotted((INTEGRATIONS, table))
        file, line = file_and_line(origin_in(self._settings.origin, name))
        self._warnings.append(ConfigWarning(f"[{name}] {problem}", file, line or 0))
