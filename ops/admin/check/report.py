"""The report of `courier check`: findings by block, then general findings."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from common.conditions import parse_named_conditions
from common.integration import MANAGER_ID, Integration
from common.settings.schema import INTEGRATIONS
from common.settings.sources import dotted
from ops.admin.check.apprise import check_apprise
from ops.admin.check.conditions import check_conditions, check_silences
from ops.admin.check.filters import describe
from ops.admin.check.finding import Finding, Severity, error, note, warning
from ops.admin.check.floods import find_floods
from ops.admin.check.nodes import check_nodes
from ops.admin.check.paths import check_paths
from ops.admin.check.recent import count_recent
from ops.admin.check.scripts import check_home, check_script
from ops.admin.terminal import pluralize
from producer.configuration import read_configuration
from producer.filters.agents import AGENT_GROUPS
from producer.setting_origins import origin_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from common.errors import ConfigError
    from common.settings.load import Settings
    from producer.ossec_conf import Configuration, ConfigWarning, RefusedBlock


class BlockReport(NamedTuple):
    """One block or table. `taken` is None if it is refused or the log has no alerts. A refused one has no id."""

    id: str
    name: str
    service: str
    file: str
    line: int
    alerts: str
    taken: int | None
    refused: bool
    findings: tuple[Finding, ...]

    @property
    def runs(self) -> bool:
        """Whether the integration can run: it has no errors."""
        return not any(finding.severity is Severity.ERROR for finding in self.findings)


class Report(NamedTuple):
    """The complete report. `alerts` is the number of alerts that were read from the log."""

    config: Path
    blocks: tuple[BlockReport, ...]
    general_findings: tuple[Finding, ...]
    alerts: int

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All findings: those of the blocks in file order, then the general ones."""
        return (*(finding for block in self.blocks for finding in block.findings), *self.general_findings)

    @property
    def passed(self) -> bool:
        """Whether there are no errors."""
        return not any(finding.severity is Severity.ERROR for finding in self.findings)

    @property
    def verdict(self) -> str:
        """The summary in one line."""
        run = sum(block.runs for block in self.blocks)
        errors = pluralize(self._number(Severity.ERROR), "error")
        warnings = pluralize(self._number(Severity.WARNING), "warning")
        blocks = f"{run} of {pluralize(len(self.blocks), 'integration')} can run" if self.blocks else "no integrations"
        return f"{'OK' if self.passed else 'FAILED'}: {blocks}; {errors}, {warnings}"

    def _number(self, severity: Severity) -> int:
        return sum(finding.severity is severity for finding in self.findings)


def make_report(
    settings: Settings,
    *,
    clock: Callable[[], float],
    now: Callable[[], float] = time.time,
    path_checks: bool = True,
) -> Report:
    """Run all checks; `clock` is monotonic, `now` in seconds since the epoch.

    Raises ConfigError if ossec.conf cannot be parsed.
    """
    path = settings.producer.config
    configuration = read_configuration(settings)
    recent = count_recent(
        settings.producer.alerts,
        configuration.integrations,
        configuration.conditions,
        configuration.agents,
        clock=clock,
    )
    floods = find_floods(
        settings.producer.alerts,
        {one.id: settings.policy(one).rate_limits for one in configuration.integrations},
        configuration.integrations,
        configuration.conditions,
        configuration.agents,
        clock=clock,
        now_s=now(),
    )
    blocks = [_refused(block) for block in configuration.refused_blocks if block.is_integration]
    names = parse_named_conditions(configuration.conditions)
    of_blocks = {integration.id for integration in configuration.integrations}
    around = [one for one in configuration.warnings if one.block not in of_blocks]
    for integration in configuration.integrations:
        own = [_warning(one) for one in configuration.warnings if one.block == integration.id]
        found = [*own, *check_script(integration, settings.policy(integration), settings.worker)]
        found += check_apprise(integration)
        if why := recent.why_none.get(integration.id, ""):
            found.append(warning(why, f"{integration.file}:{integration.line}"))
        found += check_conditions(integration, names, configuration.agents, is_explained=AGENT_GROUPS in why)
        if integration.id in floods:
            found.append(note(floods[integration.id], f"{integration.file}:{integration.line}"))
        taken = recent.taken[integration.id] if recent.alerts else None
        words = describe(integration)
        block = BlockReport(
            id=integration.id,
            name=integration.name,
            service=integration.service,
            file=integration.file,
            line=integration.line,
            alerts=words,
            taken=taken,
            refused=False,
            findings=tuple(found),
        )
        blocks.append(block)
    others = (one for block in configuration.refused_blocks if not block.is_integration for one in block.errors)
    general = [*map(_error, others), *map(_warning, around), *_settings(settings, configuration)]
    general += check_silences(configuration.silences, names)
    if path_checks:
        general += [*check_home(configuration.integrations, settings.worker.wazuh_home), *check_paths(settings)]
        general += check_nodes(settings)
    if not blocks:
        general.append(warning("has no <integration>, so there is nothing to deliver", str(path)))
    blocks.sort(key=lambda block: (block.file != str(path), block.file, block.line))
    return Report(path, tuple(blocks), tuple(general), recent.alerts)


def _refused(block: RefusedBlock) -> BlockReport:
    found = tuple(map(_error, block.errors))
    return BlockReport("", block.name, "", block.errors[0].file, block.line, "", None, True, found)


def _error(one: ConfigError) -> Finding:
    element = "" if one.element is None else f"<{one.element}>: "
    return error(f"{element}{one.problem}", one.file if one.line is None else f"{one.file}:{one.line}")


def _warning(one: ConfigWarning) -> Finding:
    element = "" if one.element is None else f"<{one.element}>: "
    return warning(f"{element}{one.text}", f"{one.file}:{one.line}")


def _settings(settings: Settings, configuration: Configuration) -> Iterator[Finding]:
    """Yield a warning for settings of unknown integrations: another manager with the same Redis may have them."""
    ids = {integration.id for integration in configuration.integrations}
    for one in configuration.integrations:
        if (fallback := settings.policy(one).fallback) and fallback not in ids:
            yield warning(
                f"{one.id}: its fallback {fallback!r} is not an integration of this ossec.conf; use another id"
            )
    refused = (Integration(id=block.name, name=block.name) for block in configuration.refused_blocks)
    known = [*configuration.integrations, *refused, Integration(id=MANAGER_ID, name=MANAGER_ID)]
    defined = settings.definitions.keys() | settings.sections.keys() | {one.table for one in settings.refused}
    for table in settings.unused_tables(known):
        if table in defined:  # reported with the configuration
            continue
        name = dotted((INTEGRATIONS, table))
        known_ids = ", ".join(sorted(ids)) or "none"
        text = f"[{name}] matches no integration of this ossec.conf; known names and ids: {known_ids}"
        yield warning(text, origin_in(settings.origin, name))
