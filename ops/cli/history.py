"""`courier history`: what became of each delivery that ended."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import click

from common.errors import CourierError
from common.ledger import HistoryOutcome
from common.printable import printable, printable_json
from ops.admin.history import (
    ENDS,
    Selection,
    Top,
    Unreadable,
    count_by,
    describe,
    entry_json,
    find,
    group_json,
    local_time,
    matcher,
)
from ops.admin.history_follower import HistoryFollower
from ops.admin.session import open_session
from ops.admin.terminal import Column, ColumnKind, age, is_terminal, print_table, terminal_width, truncate
from ops.cli.options import TimeParam, example, integration_option, now, pass_settings, server_options

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from common.ledger import HistoryEntry
    from common.settings.load import Settings
    from ops.admin.history import Group
    from ops.admin.session import LedgerSession

NUMBER: Final = ColumnKind.NUMBER
COLUMNS: Final = (
    Column("Ended", ColumnKind.ID),
    Column("Integration", ColumnKind.ID),
    Column("Outcome", rank=0, least=9),
    Column("Reason", rank=3),
    Column("Took", NUMBER, rank=6),
    Column("Attempts", NUMBER, rank=8),
    Column("Alert", rank=1),
    Column("Level", NUMBER, rank=7),
    Column("Rule", rank=4),
    Column("Agent", rank=5, least=8),
    Column("Worker", rank=9),
    Column("Delivery", rank=10, least=40),
)
TOP_COLUMNS: Final = (
    Column("Entries", NUMBER, rank=0),
    *(Column(one.capitalize(), NUMBER, rank=2) for one in ENDS),
    Column("Id", ColumnKind.ID),
    Column("Name", rank=1),
)
TOP_ROWS: Final = 20
"""Rows of `--top` at a terminal; JSON has all."""

DEFAULT_LAST: Final = 50
HOUR_MS: Final = 3_600_000


@click.command(
    epilog=example(
        "courier history slack --since 2h --outcome dead",
        "courier history --alert 1769846400.12345",
        "courier history --match 'rule.level >= 10 and agent.name = web-*' --follow",
        "courier history --top rules --since 1d",
    )
)
@click.argument("ids", metavar="[ID|NAME]...", nargs=-1)
@integration_option
@click.option("--alert", metavar="ALERT|DELIVERY", help="Only this alert, by its id or a delivery's id.")
@click.option("--match", metavar="CONDITION", help="Only entries for which this condition holds.")
@click.option(
    "--outcome",
    "outcomes",
    metavar="OUTCOME",
    multiple=True,
    type=click.Choice([one.value for one in HistoryOutcome]),
    help="Only this outcome; repeatable.",
)
@click.option("--since", type=TimeParam(), metavar="TIME", help="Only entries since TIME, such as 2h (ago).")
@click.option(
    "--last",
    type=click.IntRange(1),
    metavar="N",
    help=f"Only the newest N entries. [default: {DEFAULT_LAST}; all with --since or --alert]",
)
@click.option("--follow", "-f", is_flag=True, help="Print new entries as they are written, until Ctrl-C.")
@click.option(
    "--top",
    type=click.Choice([one.value for one in Top]),
    help="Count the entries by rule, agent or reason. [since: 1h]",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line; the default without a terminal.")
@server_options
@pass_settings
def command(
    settings: Settings, /, *, ids: tuple[str, ...], words: tuple[str, ...], follow: bool, as_json: bool, **options: Any
) -> None:
    """Show what became of deliveries: delivered, skipped, dead, and what happened to dead letters.

    An integration keeps the newest entries, as many as history_max, for at most history_max_age. Exits with 1 if no
    entry matches.
    """
    if follow and (options["top"] or options["last"]):
        raise click.UsageError("--follow cannot be used with --top or --last.")
    if options["alert"] == "":  # such as a variable of a script that is not set
        raise click.UsageError("--alert is empty; give the id of an alert or of a delivery.")
    wanted = Selection(
        outcomes=frozenset(options["outcomes"]),
        alert=options["alert"] or "",
        condition=matcher(options["match"]) if options["match"] is not None else None,
    )
    as_json = as_json or not is_terminal()
    with open_session(settings) as session:
        if follow:
            _follow(session, (*ids, *words), wanted, _ms(options["since"]), as_json=as_json)
            return
        _list(session, (*ids, *words), wanted, options, as_json=as_json)


def _list(
    session: LedgerSession, words: Sequence[str], wanted: Selection, options: dict[str, Any], *, as_json: bool
) -> None:
    since_ms, last, unreadable = _ms(options["since"]), options["last"], Unreadable()
    if options["top"] and since_ms is None:
        since_ms = _ms(now()) - HOUR_MS
    elif not (options["top"] or last or wanted.alert) and since_ms is None:
        last = DEFAULT_LAST
    found = find(
        session.ledger, session.resolve_for_query(words), wanted, unreadable, since_ms=since_ms or 0, last=last
    )
    if options["top"]:
        count = _print_groups(count_by(Top(options["top"]), found), as_json=as_json)
    else:
        count = _print_entries(session, found, as_json=as_json)
    _print_unreadable(unreadable)
    if not count:
        raise CourierError("no entries of the history match")


def _follow(
    session: LedgerSession, words: Sequence[str], wanted: Selection, since_ms: int | None, *, as_json: bool
) -> None:
    follower, unreadable = HistoryFollower(session, words, since_ms), Unreadable()
    try:
        while True:
            for entry in filter(wanted.includes, unreadable.readable(follower.wait())):
                if as_json:
                    _print_json(entry_json(entry))
                else:
                    click.echo(truncate(describe(entry), terminal_width()))
            _print_unreadable(unreadable)
    except KeyboardInterrupt:
        pass


def _print_entries(session: LedgerSession, found: Iterable[HistoryEntry], *, as_json: bool) -> int:
    """Write the entries and return their number. Entries are written one by one, except as a table."""
    count = 0
    if as_json:
        for count, entry in enumerate(found, start=1):  # noqa: B007 — used after the loop
            _print_json(entry_json(entry))
        return count
    rows = [_row(session, entry) for entry in found]
    if rows:
        print_table(COLUMNS, rows)
    return len(rows)


def _print_groups(groups: list[Group], *, as_json: bool) -> int:
    if as_json:
        for one in groups:
            _print_json(group_json(one))
    elif groups:
        rows = [(str(g.total), *(str(g.outcomes[one]) for one in ENDS), g.id, g.name) for g in groups[:TOP_ROWS]]
        print_table(TOP_COLUMNS, rows)
    return len(groups)


def _print_json(document: dict[str, Any]) -> None:
    click.echo(printable_json(json.dumps(document, ensure_ascii=False)))


def _print_unreadable(unreadable: Unreadable) -> None:
    for integration_id, note in unreadable.notes():
        click.echo(printable(f"{integration_id}: {note}"), err=True)


def _row(session: LedgerSession, entry: HistoryEntry) -> tuple[str, ...]:
    facts = entry.facts
    return (
        local_time(entry.ended_ms),
        session.label(entry.integration),
        entry.outcome,
        entry.reason,
        age(entry.latency_ms / 1000) if facts.committed_ms else "",
        str(facts.attempts),
        facts.alert_id,
        "" if facts.rule_level is None else str(facts.rule_level),
        f"{facts.rule_id} {facts.rule_description}".strip(),
        f"{facts.agent_id} {facts.agent_name}".strip(),
        facts.worker,
        entry.delivery,
    )


def _ms(moment: datetime | None) -> Any:
    return None if moment is None else max(0, round(moment.timestamp() * 1000))
