"""Everything that `courier check` finds, gathered: first by block, then what concerns no single block."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from common.integration import MANAGER_ID, Integration
from common.settings.schema import INTEGRATIONS
from common.settings.sources import dotted
from ops.admin.check.filters import describe
from ops.admin.check.finding import Finding, Severity, error, warning
from ops.admin.check.paths import check_paths
from ops.admin.check.recent import count_recent
from ops.admin.check.scripts import check_home, check_script
from ops.admin.terminal import pluralize
from producer.ossec_conf import read_ossec_conf

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from common.settings.load import Settings
    from producer.ossec_conf import Configuration, ConfigWarning, RefusedBlock


class BlockReport(NamedTuple):
    """One block. `taken` is None if it is refused or there was no alert to look at; a refused one has no id."""

    id: str
    name: str
    line: int
    alerts: str
    taken: int | None
    refused: bool
    findings: tuple[Finding, ...]

    @property
    def runs(self) -> bool:
        """Whether it will deliver."""
        return not any(finding.severity is Severity.ERROR for finding in self.findings)


class Report(NamedTuple):
    """The whole. `alerts` is how many of the log were looked at."""

    config: Path
    blocks: tuple[BlockReport, ...]
    general_findings: tuple[Finding, ...]
    alerts: int

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All findings, those of the blocks first, in file order."""
        return (*(finding for block in self.blocks for finding in block.findings), *self.general_findings)

    @property
    def passed(self) -> bool:
        """Whether nothing is an error."""
        return not any(finding.severity is Severity.ERROR for finding in self.findings)

    @property
    def verdict(self) -> str:
        """Return the whole in one line."""
        run = sum(block.runs for block in self.blocks)
        errors = pluralize(self._number(Severity.ERROR), "error")
        warnings = pluralize(self._number(Severity.WARNING), "warning")
        blocks = (
            f"{run} of {pluralize(len(self.blocks), 'integration')} can run" if self.blocks else "nothing to deliver"
        )
        return f"{'OK' if self.passed else 'FAILED'}: {blocks}; {errors}, {warnings}"

    def _number(self, severity: Severity) -> int:
        return sum(finding.severity is severity for finding in self.findings)


def make_report(settings: Settings, *, clock: Callable[[], float], path_checks: bool = True) -> Report:
    """Look at everything, or all but `places`; `clock` is monotonic. Raises ConfigError for a file that is none."""
    path = settings.producer.config
    configuration = read_ossec_conf(path)
    recent = count_recent(settings.producer.alerts, configuration.integrations, clock=clock)
    blocks = [_refused(block, str(path)) for block in configuration.refused_blocks]
    of_blocks = {integration.id for integration in configuration.integrations}
    around = [one for one in configuration.warnings if one.block not in of_blocks]
    for integration in configuration.integrations:
        own = [_warning(one) for one in configuration.warnings if one.block == integration.id]
        found = [*own, *check_script(integration, settings.policy(integration), settings.worker)]
        if why := recent.why_none.get(integration.id):
            found.append(warning(why, f"{path}:{integration.line}"))
        taken = recent.taken[integration.id] if recent.alerts else None
        words = describe(integration)
        block = BlockReport(integration.id, integration.name, integration.line, words, taken, False, tuple(found))
        blocks.append(block)
    others = [*map(_warning, around), *_settings(settings, configuration)]
    if path_checks:
        others += [*check_home(configuration.integrations, settings.worker.wazuh_home), *check_paths(settings)]
    if not blocks:
        others.append(warning("has no <integration>: there is nothing to deliver", str(path)))
    blocks.sort(key=lambda block: block.line)
    return Report(path, tuple(blocks), tuple(others), recent.alerts)


def _refused(block: RefusedBlock, file: str) -> BlockReport:
    found = tuple(
        error(f"{'' if one.element is None else f'<{one.element}>: '}{one.problem}", f"{file}:{one.line}")
        for one in block.errors
    )
    return BlockReport("", block.name, block.line, "", None, True, found)


def _warning(one: ConfigWarning) -> Finding:
    element = "" if one.element is None else f"<{one.element}>: "
    return warning(f"{element}{one.text}", f"{one.file}:{one.line}")


def _settings(settings: Settings, configuration: Configuration) -> Iterator[Finding]:
    """Yield what of courier.toml is about no integration; another manager with the same Redis may know it."""
    ids = {integration.id for integration in configuration.integrations}
    for one in configuration.integrations:
        if (fallback := settings.policy(one).fallback) and fallback not in ids:
            yield warning(f"{one.id}: its fallback {fallback!r} is no integration of this ossec.conf: write another id")
    refused = (Integration(id=block.name, name=block.name) for block in configuration.refused_blocks)
    known = [*configuration.integrations, *refused, Integration(id=MANAGER_ID, name=MANAGER_ID)]
    for table in settings.unused_tables(known):
        place = dotted((INTEGRATIONS, table))
        ids_in_words = ", ".join(sorted(ids)) or "none"
        text = f"[{place}] is about no integration of this ossec.conf; its names and ids are: {ids_in_words}"
        yield warning(text, next(where for key, where in settings.origin.items() if key.startswith(f"{place}.")))
