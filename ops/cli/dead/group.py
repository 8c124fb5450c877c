"""`courier dead`: list, inspect and act on dead letters, the deliveries that Courier no longer retries."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import click
from click.core import ParameterSource

from common.errors import CourierError
from common.outcome import Reason
from common.printable import printable_json
from ops.admin import dead_letter_actions
from ops.admin.dead_letter_actions import CHUNK, chunks, select
from ops.admin.dead_letter_json import full_letter_json, letter_json
from ops.admin.dead_letters import detail, find, reason, summarize
from ops.admin.session import open_session
from ops.admin.terminal import (
    Column,
    ColumnKind,
    age,
    all_fit,
    is_terminal,
    plain,
    pluralize,
    print_table,
    terminal_width,
    truncate,
)
from ops.cli.dead.filters import filters, nothing_found, parse_filters
from ops.cli.dead.transfer import export_letters, import_letters
from ops.cli.options import (
    Group,
    Rate,
    combined,
    example,
    integration_arguments,
    pass_settings,
    removed_option,
    resolve,
    server_options,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from common.settings.load import Settings
    from ops.admin.dead_letters import FoundLetter
    from ops.admin.session import LedgerSession

COLUMNS: Final = (
    Column("Integration", ColumnKind.ID),
    Column("Delivery", ColumnKind.ID),
    Column("Died", rank=3, least=9),
    Column("Reason", rank=2),
    Column("Attempts", ColumnKind.NUMBER, rank=9),
    Column("Rule", rank=5),
    Column("Alert", ColumnKind.NUMBER, rank=4),
    Column("Level", ColumnKind.NUMBER, rank=6),
    Column("Agent", rank=7, least=8),
    Column("Last error", rank=8),
)

ALERT_ID_WIDTH: Final = 40
"""An alert can contain any text as its id; the manager's ids have about 17 characters."""


@click.group(
    cls=Group,
    epilog=example(
        "courier dead list", "courier dead show 1769846400.12345", "courier dead replay --integration slack"
    ),
)
def command() -> None:
    """Manage dead letters: deliveries that failed and are no longer retried."""


command.add_command(export_letters)
command.add_command(import_letters)


@command.command(name="list", epilog=example("courier dead list", "courier dead list --integration slack --newer 2h"))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line, for scripts.")
@filters
@pass_settings
def list_letters(settings: Settings, /, *, as_json: bool, **options: Any) -> None:
    """List dead letters, oldest first. Exits with 1 if there are none."""
    words, chosen = parse_filters(options)
    count = 0
    with open_session(settings) as session:
        found = find(session.ledger, session.resolve_for_query(words), chosen)
        if as_json:
            for count, one in enumerate(found, start=1):  # noqa: B007 — used after the loop
                click.echo(printable_json(json.dumps(letter_json(one))))
        else:
            now_ms = session.ledger.now_ms()
            rows = [_row(session, one, now_ms) for one in found]
            count = len(rows)
            _print(rows)
    if not count:
        raise nothing_found(options)


@command.command(
    epilog=example("courier dead show 1769846400.12345", "courier dead show --integration slack --rule 5712")
)
@filters
@pass_settings
def show(settings: Settings, /, **options: Any) -> None:
    """Show dead letters in full.

    The output includes each attempt, the last response and the alert.
    """
    words, chosen = parse_filters(options)
    count = 0
    with open_session(settings) as session:
        for count, one in enumerate(find(session.ledger, session.resolve_for_query(words), chosen), start=1):  # noqa: B007 — used after the loop
            click.echo(printable_json(json.dumps(full_letter_json(one), indent=2, ensure_ascii=False)))
    if not count:
        raise nothing_found(options)


@command.command(
    epilog=example(
        "courier dead replay --integration slack --reason http_4xx", "courier dead replay 1769846400.12345 --yes"
    )
)
@click.option("--rate", default=10.0, show_default=True, type=Rate(), help="Dead letters to send per second.")
@click.option("--to", metavar="ID|NAME", help="Deliver to this integration instead, within its own rate limits.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@removed_option
@filters
@pass_settings
def replay(settings: Settings, /, *, rate: float, to: str | None, yes: bool, **options: Any) -> None:
    """Queue dead letters for delivery again.

    Each one gets a new retry budget and keeps its history. With --integration, an integration that was removed from
    ossec.conf is selected only with --removed, or if no configured integration has its name.
    """
    if to and click.get_current_context().get_parameter_source("rate") is not ParameterSource.DEFAULT:
        raise click.UsageError("--rate cannot be used with --to: the rate limits of that integration apply.")
    with open_session(settings) as session:
        to = session.one(to) if to else None
        letters = _confirmed(session, options, "Replay", yes=yes, readable=True)
        if to:
            moved = sum(session.ledger.move(i, chunk, to=to) for i, chunk in chunks(letters))
            click.echo(plain(f"{pluralize(moved, 'dead letter')} queued for {to}"))
            return
        done = dead_letter_actions.replay(session.ledger, letters, rate=rate)
    total = sum(done.numbers.values())
    click.echo(f"{pluralize(total, 'dead letter')} queued; the last one is sent in {age(done.last_s)}")


@command.command(
    epilog=example("courier dead discard --integration slack --older 30d", "courier dead discard --rule 5710")
)
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@removed_option
@filters
@pass_settings
def discard(settings: Settings, /, *, yes: bool, **options: Any) -> None:
    """Delete dead letters permanently.

    The metrics count them as discarded. To keep a copy, run `courier dead export` first.
    """
    with open_session(settings) as session:
        letters = _confirmed(session, options, "Discard", yes=yes)
        done = dead_letter_actions.discard(session.ledger, letters)
    click.echo(f"{sum(done.values())} discarded")


@command.command(epilog=example("courier dead bury slack", "courier dead bury --removed slack --yes"))
@integration_arguments
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@server_options
@pass_settings
def bury(settings: Settings, /, *, ids: tuple[str, ...], words: tuple[str, ...], removed: bool, yes: bool) -> None:
    """Turn all waiting deliveries into dead letters.

    Use it for an integration that was removed from ossec.conf (--removed). No delivery is lost: you can show, replay,
    replay to another integration, export or discard the dead letters.
    """
    named = combined(ids, words)
    with open_session(settings) as session:
        chosen = resolve(session, named, removed=removed)
        waiting = {one: status.waiting + status.groups for one, status in session.ledger.statuses(chosen).items()}
        if any(waiting.values()) and not yes:
            each = " and ".join(
                f"{pluralize(count, 'waiting delivery')} of {session.label(one)}" for one, count in waiting.items()
            )
            click.confirm(plain(f"Bury {each}?"), abort=True)
        buried = 0
        for one in chosen:
            while count := session.ledger.bury(one, reason=Reason.BURIED, limit=CHUNK):
                buried += count
    click.echo(f"{buried} buried")


def _confirmed(
    session: LedgerSession, options: dict[str, Any], verb: str, *, yes: bool, readable: bool = False
) -> dict[str, list[str]]:
    """Return the ids of the selected letters by integration, after the operator has seen the counts and confirmed.

    With `readable`, letters with an unreadable record are reported and left out. Raises CourierError if no letter
    matches.
    """
    words, chosen = parse_filters(options)
    if words or options["removed"]:
        words = resolve(session, words or _removed_integrations(session), removed=options["removed"])
    letters, counts, unreadable = select(find(session.ledger, words or session.ids, chosen), readable=readable)
    for one in unreadable:
        text = f"{one.letter.problem}; it cannot be replayed: show, export or discard it"
        click.echo(f"{session.label(one.integration_id)}: {plain(text)}", err=True)
    if not letters:
        raise nothing_found(options)
    for (integration_id, why), count in sorted(counts.items()):
        click.echo(f"{count}\t{plain(session.label(integration_id))}\t{plain(why)}")
    total = counts.total()
    if not yes:
        click.confirm(f"{verb} {pluralize(total, 'dead letter')}?", abort=True)
    return letters


def _removed_integrations(session: LedgerSession) -> tuple[str, ...]:
    """Return every integration that was removed from ossec.conf. Raises CourierError if there is none."""
    if not (gone := tuple(one for one in session.ids if session.listed[one].removed)):
        raise CourierError("no integration was removed from ossec.conf; omit --removed")
    return gone


def _row(session: LedgerSession, found: FoundLetter, now_ms: int) -> tuple[str, ...]:
    letter, alert = found.letter, summarize(found.letter)
    return (
        session.label(found.integration_id),
        letter.delivery.id,
        f"{age((now_ms - letter.died_ms) / 1000)} ago",
        reason(letter),
        str(letter.delivery.header.attempts),
        f"{alert.rule_id} {alert.description}".strip(),
        alert.alert_id[:ALERT_ID_WIDTH],
        alert.level,
        f"{alert.agent_id} {alert.agent_name}".strip(),
        detail(letter),
    )


def _print(rows: Sequence[tuple[str, ...]]) -> None:
    """Write one line per letter. A narrow terminal gets two lines, with the delivery and integration first."""
    width = terminal_width()
    if not is_terminal() or all_fit(COLUMNS, rows, width):
        if rows:
            print_table(COLUMNS, rows)
        return
    for integration, delivery, died, why, attempts, rule, alert_id, level, agent, error in rows:
        click.echo(plain(f"{delivery}  {integration}"))
        alert = f"alert {alert_id}" if alert_id else ""
        tries = pluralize(int(attempts), "attempt")
        parts = filter(None, (alert, died, f"{why}, {tries}", level and f"level {level}", rule, agent, error))
        click.echo(truncate(f"  {'  '.join(parts)}", width))
