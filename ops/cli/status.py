"""`courier status`: the current state of every integration, producer and worker."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

import click
import msgspec

from common.errors import CourierError
from common.health.checks import IDLE_LIMIT_S
from common.printable import printable_json
from ops.admin import recent_history
from ops.admin.hold_reason import last_error, with_holds
from ops.admin.nagios import Level, line, verdict
from ops.admin.node_differences import describe_differences
from ops.admin.session import open_session
from ops.admin.status_report import read_report
from ops.admin.terminal import (
    Column,
    ColumnKind,
    age,
    is_terminal,
    plain,
    pluralize,
    print_notes,
    print_table,
    terminal_width,
    truncate,
)
from ops.cli.options import example, integration_option, pass_settings, server_options

if TYPE_CHECKING:
    from common.settings.load import Settings
    from ops.admin.session import LedgerSession
    from ops.admin.status_report import IntegrationReport, ProducerStatus, StatusReport, WorkerStatus

ID, NUMBER = ColumnKind.ID, ColumnKind.NUMBER
COLUMNS: Final = (
    Column("Integration", ID),
    Column("Waiting", NUMBER, rank=0),
    Column("Released", NUMBER, rank=8),
    Column("Dead", NUMBER, rank=0),
    Column("Delivered", NUMBER, rank=3),
    Column("Skipped", NUMBER, rank=7),
    Column("Retried", NUMBER, rank=6),
    Column("Excepted", NUMBER, rank=9),
    Column("Oldest", NUMBER, rank=2),
    Column("Held back", rank=4),
    Column("Last error", rank=5),
)
TERMINAL_COLUMNS: Final = (
    *COLUMNS[:-1],
    *recent_history.COLUMNS,
)
"""At a terminal, errors go below the table. The last columns are those of the last deliveries in the history."""

NODE_COLUMNS: Final = (
    Column("Node", ID),
    Column("Lines", NUMBER, rank=2),
    Column("Matched", NUMBER, rank=4),
    Column("Rejected", NUMBER, rank=3),
    Column("Seen", rank=0, least=9),
    Column("Backlog full", rank=5),
    Column("Error", rank=6),
)
WORKER_COLUMNS: Final = (
    Column("Worker", ID),
    Column("Running", NUMBER, rank=2),
    Column("Started", NUMBER, rank=3),
    Column("Seen", rank=0, least=9),
    Column("Error", rank=1),
)


@click.command(epilog=example("courier status", "courier status --integration slack --json", "courier status --check"))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, for scripts.")
@click.option(
    "--check",
    is_flag=True,
    help="Print one line and exit with 0 (OK), 1 (WARNING) or 2 (CRITICAL), as a Nagios plugin.",
)
@integration_option
@server_options
@pass_settings
def command(settings: Settings, words: tuple[str, ...], *, as_json: bool, check: bool) -> None:
    """Show the state of all integrations, producers and workers.

    At a terminal the tables fit its width. Otherwise the output is three tab-separated tables with fixed columns:
    integrations, producers, workers.
    """
    if check:
        sys.exit(_check(settings, words))
    with open_session(settings) as session:
        report = read_report(session, session.resolve_for_query(words))
        if as_json:
            click.echo(printable_json(msgspec.json.format(msgspec.json.encode(report), indent=2).decode()))
            return
        print_report(session, report)


def _check(settings: Settings, words: tuple[str, ...]) -> Level:
    """Write the line and return the exit status: critical if the ledger cannot be read."""
    try:
        with open_session(settings) as session:
            level, text = verdict(read_report(session, session.resolve_for_query(words)))
    except CourierError as error:
        level = Level.CRITICAL
        text = line(level, [str(error)])
    # The performance data is for monitoring systems; at a terminal the tables show it.
    click.echo(truncate(text.partition(" | ")[0], terminal_width()) if is_terminal() else text)
    return level


def print_report(session: LedgerSession, report: StatusReport) -> None:
    """Write the tables; at a terminal, the errors go below them, where there is room."""
    now_ms, at_terminal = report.time_ms, is_terminal()
    if report.redis.error:  # to standard error, because standard output has fixed tables
        click.echo(f"{plain(report.redis.error)}\n", err=True)
    if not at_terminal:  # as above
        for one, text in (*_differences(report), *_silences(report)):
            click.echo(plain(f"{one}: {text}"), err=True)
    rows = [_row(session.label(one), what, now_ms) for one, what in report.integrations.items()]
    if at_terminal:
        recent = [recent_history.cells(what.history, now_ms) for what in report.integrations.values()]
        print_table(TERMINAL_COLUMNS, [(*row[:-1], *more) for row, more in zip(rows, recent, strict=True)])
        print_notes(_notes(report))
    else:
        print_table(COLUMNS, rows)
    for columns, more in (
        (NODE_COLUMNS, [_node_row(name, node, now_ms) for name, node in report.nodes.items()]),
        (WORKER_COLUMNS, [_worker_row(name, worker, now_ms) for name, worker in report.workers.items()]),
    ):
        if more or not at_terminal:
            click.echo()
            print_table(columns, more)
        if at_terminal and columns is NODE_COLUMNS:
            print_notes((name, _error(node)) for name, node in report.nodes.items() if _error(node))


def _notes(report: StatusReport) -> list[tuple[str, str]]:
    found = report.integrations.items()
    held = [(one, text) for one, what in found if (text := _held_back(what, report.time_ms))]
    errors = [(one, f"error: {last_error(what, report.time_ms)}") for one, what in found if what.last_error]
    return held + _differences(report) + errors + _kept_back(report) + _silences(report)


def _kept_back(report: StatusReport) -> list[tuple[str, str]]:
    """Return what was not sent on purpose, for integrations that have any."""
    found = []
    for one, what in report.integrations.items():
        waiting = f"wait in {pluralize(what.open_groups, 'open group')} for their digest"
        numbers = (
            (what.silenced, "silenced"),
            (what.excepted, "excluded by conditions"),
            (what.folded, "folded into digests"),
            (what.alerts_in_groups, waiting),
        )
        if text := ", ".join(f"{pluralize(number, 'alert')} {how}" for number, how in numbers if number):
            found.append((one, text))
    return found


def _silences(report: StatusReport) -> list[tuple[str, str]]:
    """Return the silences that run."""
    return [
        (f"silence {one.id}", f"until {one.end}, {pluralize(one.count, 'alert')} so far: {one.why}")
        for one in report.silences
    ]


def _differences(report: StatusReport) -> list[tuple[str, str]]:
    found = report.integrations.items()
    return [(one, text) for one, what in found for text in describe_differences(what.nodes, what.differing)]


def _row(label: str, what: IntegrationReport, now_ms: int) -> tuple[str, ...]:
    oldest = "" if what.oldest_age_s is None else age(what.oldest_age_s)
    totals = (what.totals[name] for name in ("delivered", "skipped", "retried"))
    numbers = map(str, (what.waiting, what.released, what.dead, *totals))
    return (label, *numbers, str(what.excepted or ""), oldest, _held_back(what, now_ms), last_error(what, now_ms))


def _held_back(what: IntegrationReport, now_ms: int) -> str:
    return with_holds(what.held_back, {one.until_ms: one.number for one in what.holds}, now_ms)


def _node_row(name: str, node: ProducerStatus, now_ms: int) -> tuple[str, ...]:
    counts = (str(node.counters["lines"]), str(node.counters["matched"]), str(node.bad_lines))
    seen = "never" if node.seen_ms is None else _ago(node.seen_ms, now_ms)
    return (name, *counts, seen, ",".join(node.backpressured), _error(node))


def _error(node: ProducerStatus) -> str:
    return "; ".join(filter(None, (node.intake_paused, node.foreign_writes, node.config_error)))


def _worker_row(name: str, worker: WorkerStatus, now_ms: int) -> tuple[str, ...]:
    idle_s = 0 if worker.idle_since_ms is None else (now_ms - worker.idle_since_ms) / 1000
    idle = f"no task started for {age(idle_s)} although tasks are queued" if idle_s > IDLE_LIMIT_S else ""
    error = "; ".join(filter(None, (idle, worker.config_error)))
    return (name, str(worker.running), str(worker.begun), _ago(worker.seen_ms, now_ms), error)


def _ago(ms: int, now_ms: int) -> str:
    return f"{age((now_ms - ms) / 1000)} ago"
