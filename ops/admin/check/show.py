"""Print a report: a table, one line per finding and the verdict; or one JSON object."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from ops.admin.check.finding import Severity
from ops.admin.terminal import Column, ColumnKind, one_line, pluralize, print_table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ops.admin.check.finding import Finding
    from ops.admin.check.report import BlockReport, Report

VERSION: Final = 1
"""Version of the JSON schema; increases when a key is removed or changes its meaning."""


def show(report: Report) -> None:
    """Print the report as text."""
    if report.blocks:
        print_table(_columns(report.alerts), [_row(block, str(report.config)) for block in report.blocks])
        click.echo()
    for finding in report.findings:
        click.echo(one_line(str(finding)))
    click.echo(report.verdict)


def _columns(alerts: int) -> tuple[Column, ...]:
    return (
        Column("Integration", ColumnKind.ID),
        Column("Line", rank=2),
        Column("Filters", rank=4),
        Column(f"Matches in last {alerts:,}", ColumnKind.NUMBER, rank=3),
        Column("Verdict", rank=0),
    )


def refused_as_json(config: str, error: str) -> dict[str, Any]:
    """Return the JSON report for an ossec.conf that cannot be parsed."""
    finding = {"severity": str(Severity.ERROR), "where": config, "text": error}
    return {
        "version": VERSION,
        "passed": False,
        "verdict": f"FAILED: {error}",
        "config": config,
        "alerts": 0,
        "integrations": [],
        "findings": [finding],
    }


def as_json(report: Report) -> dict[str, Any]:
    """Return the JSON report; every key is always present."""
    return {
        "version": VERSION,
        "passed": report.passed,
        "verdict": report.verdict,
        "config": str(report.config),
        "alerts": report.alerts,
        "integrations": [
            {
                "id": block.id or None,
                "name": block.name,
                "service": block.service or None,
                "file": block.file,
                "line": block.line,
                "filters": block.alerts,
                "taken": block.taken,
                "verdict": _verdict(block),
                "findings": list(_plain(block.findings)),
            }
            for block in report.blocks
        ],
        "findings": list(_plain(report.general_findings)),
    }


def _plain(findings: tuple[Finding, ...]) -> Iterator[dict[str, str]]:
    return ({"severity": str(one.severity), "where": one.where, "text": one.text} for one in findings)


def _row(block: BlockReport, config: str) -> tuple[str, ...]:
    name = block.id or block.name or "(no name)"
    taken = "-" if block.taken is None else f"{block.taken:,}"
    line = str(block.line) if block.file == config else f"{block.file}:{block.line}"
    return name, line, block.alerts or "-", taken, _verdict(block)


def _verdict(block: BlockReport) -> str:
    if block.refused:
        return "refused"
    if not block.runs:
        return "cannot run"
    warnings = sum(finding.severity is Severity.WARNING for finding in block.findings)
    return f"runs, {pluralize(warnings, 'warning')}" if warnings else "runs"
