"""`courier silence`: for a time, count the alerts that meet conditions and do not send them."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING, Final

import click
import msgspec

from common.conditions import parse_condition
from common.printable import printable_json
from common.silences import State
from common.timestamps import time_text
from ops.admin import silences
from ops.admin.session import open_session
from ops.admin.silences import SilenceReport, conditions, find, read_all
from ops.admin.terminal import Column, ColumnKind, plain, pluralize, print_table
from ops.cli.options import (
    Duration,
    Group,
    MomentParam,
    end_ms,
    example,
    integration_option,
    note_fields,
    pass_settings,
    server_options,
)

if TYPE_CHECKING:
    from datetime import datetime

    from common.settings.load import Settings

COLUMNS: Final = (
    Column("Silence", ColumnKind.ID),
    Column("State", rank=0),
    Column("Until", rank=0, least=20),
    Column("Alerts", ColumnKind.NUMBER, rank=1),
    Column("Match", rank=2),
    Column("Integrations", rank=4),
    Column("Why", rank=3),
    Column("Author", rank=5),
    Column("From", rank=6),
)


@click.group(
    cls=Group,
    epilog=example("courier silence add --rule 5710 --for 2h --reason patching", "courier silence list"),
)
def command() -> None:
    """For a time, count the alerts that meet conditions and do not send them.

    Every silence has an end and a reason. Producers follow a change within two seconds.
    """


@command.command(
    epilog=example(
        "courier silence add --rule 5710 --agent 'build-*' --for 2h --reason patching",
        "courier silence add --integration slack --for 1d --reason moving --announce",
    )
)
@click.option("--rule", multiple=True, metavar="ID", help="Only alerts of this rule; repeatable: any of them.")
@click.option("--group", multiple=True, metavar="NAME", help="Only alerts of this rule group; repeatable.")
@click.option("--agent", multiple=True, metavar="NAME", help="Only alerts of this agent, such as 'web*'; repeatable.")
@click.option(
    "--match", multiple=True, metavar="CONDITION", help="Only alerts that meet it; repeatable: all must hold."
)
@integration_option
@click.option("--for", "for_s", metavar="DURATION", type=Duration(), help="How long, such as 30m, 2h or 3d.")
@click.option("--until", metavar="TIME", type=MomentParam(), help="The end, such as 2026-01-31T08:00:00Z.")
@click.option("--start", metavar="TIME", type=MomentParam(), help="The start. [default: now]")
@click.option("--reason", required=True, metavar="TEXT", help="Why; shown in lists and in the closing message.")
@click.option("--author", metavar="TEXT", default="", help="Who. [default: your user name]")
@click.option("--announce", is_flag=True, help="After the end, send one message with the number of silenced alerts.")
@server_options
@pass_settings
def add(
    settings: Settings,
    *,
    rule: tuple[str, ...],
    group: tuple[str, ...],
    agent: tuple[str, ...],
    match: tuple[str, ...],
    words: tuple[str, ...],
    for_s: float | None,
    until: datetime | None,
    start: datetime | None,
    reason: str,
    author: str,
    announce: bool,
) -> None:
    """Add a silence, and print its id.

    All conditions must hold. --integration takes ids and names, also as patterns such as 'custom-*'; without it the
    silence is for all integrations.
    """
    texts = conditions({"rule": rule, "group": group, "agent": agent}, match)
    note_fields(map(parse_condition, match))
    with open_session(settings) as session:
        now_ms = session.ledger.now_ms()
        start_ms = round(start.timestamp() * 1000) if start else now_ms
        ends_ms = end_ms(start_ms, for_s, until)
        silence = silences.add(
            session,
            {
                "match": texts,
                "integrations": words,
                "start_ms": start_ms,
                "end_ms": ends_ms,
                "why": reason,
                "author": author or _user(),
                "announce": announce,
            },
        )
    if start_ms > now_ms:
        click.echo(f"from {time_text(start_ms)}", err=True)
    click.echo(f"until {time_text(ends_ms)}", err=True)
    click.echo(silence.id)


@command.command("list", epilog=example("courier silence list", "courier silence list --all --json"))
@click.option("--all", "with_ended", is_flag=True, help="Also those that ended within the last 30 days.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, for scripts.")
@server_options
@pass_settings
def list_(settings: Settings, *, with_ended: bool, as_json: bool) -> None:
    """List the silences that run or will run, with those of courier.toml."""
    with open_session(settings) as session:
        found = read_all(session, State if with_ended else (State.PENDING, State.RUNNING))
    for silence_id, problem in found.ignored.items():
        click.echo(plain(f"ignored: {silence_id[:100]}: {problem}"), err=True)
    if as_json:
        _print_json({"silences": found.silences})
        return
    print_table(COLUMNS, [_row(one) for one in found.silences])


@command.command(epilog=example("courier silence show k3f9qa"))
@click.argument("silence_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, for scripts.")
@server_options
@pass_settings
def show(settings: Settings, silence_id: str, *, as_json: bool) -> None:
    """Show a silence and what it has kept back, by integration and rule."""
    with open_session(settings) as session:
        find(session, silence_id)
        (one,) = (one for one in read_all(session).silences if one.id == silence_id)
    if as_json:
        _print_json(one)
        return
    click.echo(plain(f"{one.id}: {one.state}, from {one.start} until {one.end}"))
    click.echo(plain(f"why: {one.why}"))
    click.echo(plain(f"author: {one.author}{_from(one)}"))
    for text in one.match:
        click.echo(plain(f"match: {text}"))
    click.echo(plain(f"integrations: {_integrations(one)}"))
    for integration_id, silenced in one.silenced.items():
        first, last = time_text(silenced.first_ms), time_text(silenced.last_ms)
        announced = ", announced" if silenced.announced_ms else ""
        click.echo(plain(f"{integration_id}: {pluralize(silenced.count, 'alert')} from {first} to {last}{announced}"))
        for rule, number in silenced.rules.items():
            click.echo(plain(f"  rule {rule or 'without id'}: {number}"))


@command.command(epilog=example("courier silence end k3f9qa"))
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@server_options
@pass_settings
def end(settings: Settings, ids: tuple[str, ...]) -> None:
    """End silences now. To end one of courier.toml, remove it from the file."""
    with open_session(settings) as session:
        for silence_id in ids:
            find(session, silence_id)
        for silence_id in ids:
            text = "ended" if silences.end(session, silence_id) else "had already ended"
            click.echo(plain(f"{silence_id} {text}"))


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may have no name for the user
        return "unknown"


def _row(one: SilenceReport) -> tuple[str, ...]:
    match = "; ".join(one.match)
    return (one.id, one.state, one.end, str(one.count), match, _integrations(one), one.why, one.author, one.node)


def _integrations(one: SilenceReport) -> str:
    return ", ".join(one.integrations) or "all"


def _from(one: SilenceReport) -> str:
    return f" (courier.toml on {one.node})" if one.node else ""


def _print_json(content: object) -> None:
    click.echo(printable_json(msgspec.json.format(msgspec.json.encode(content), indent=2).decode()))
