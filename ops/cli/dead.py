"""`courier dead`: the deliveries that could not be made, each with its history, until somebody decides about them."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import click
import msgspec
from click.core import ParameterSource

from common.depth import check_depth
from common.errors import CourierError
from common.outcome import Reason
from ops.access import access
from ops.cli.dead_filters import CHUNK, filters, server, wanted
from ops.cli.dead_transfer import export_letters, import_letters
from ops.cli.options import Rate, pass_settings
from ops.dead_letters import Found, detail, find, reason, rule
from ops.tables import age, plain, print_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from common.settings import Settings
    from ops.access import Access

COLUMNS = ("Integration", "Delivery", "Died", "Reason", "Attempts", "Rule", "What happened")


@click.group()
def command() -> None:
    """List, show, replay, discard, export or import dead letters: deliveries that no retry could make."""


command.add_command(export_letters)
command.add_command(import_letters)


@command.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, for scripts.")
@filters
@pass_settings
def list_letters(settings: Settings, /, *, as_json: bool, **options: Any) -> None:
    """List dead letters, the oldest first."""
    ids, chosen = wanted(options)
    with access(settings) as door:
        found = find(door.ledger, door.chosen(ids), chosen)
        if as_json:
            for one in found:
                click.echo(json.dumps(as_plain_data(one)))
            return
        now_ms = door.ledger.now_ms()
        rows = [_row(one, now_ms) for one in found]
    print_table(COLUMNS, rows) if rows else click.echo("no dead letters")


@command.command()
@filters
@pass_settings
def show(settings: Settings, /, **options: Any) -> None:
    """Show dead letters whole: every attempt, the last answer, and the alert."""
    ids, chosen = wanted(options)
    count = 0
    with access(settings) as door:
        for count, one in enumerate(find(door.ledger, door.chosen(ids), chosen), start=1):  # noqa: B007 — the last counts
            click.echo(json.dumps(whole(one), indent=2, ensure_ascii=False))
    if not count:
        raise CourierError("there is no such dead letter; `courier dead list` shows all that there are")


@command.command()
@click.option("--rate", default=10.0, show_default=True, type=Rate(), help="Letters a second.")
@click.option("--to", metavar="ID", help="Deliver them to this integration instead, at its own pace.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@filters
@pass_settings
def replay(settings: Settings, /, *, rate: float, to: str | None, yes: bool, **options: Any) -> None:
    """Let dead letters be delivered again, with a fresh budget and their history."""
    if to and click.get_current_context().get_parameter_source("rate") is not ParameterSource.DEFAULT:
        raise click.UsageError("--rate is not for --to: they go as fast as that integration's own limits let them.")
    with access(settings) as door:
        if to:
            door.chosen([to])
        letters = _agreed(door, options, "Replay", yes=yes)
        if to:
            moved = sum(door.ledger.move(i, chunk, to=to) for i, ids in letters.items() for chunk in _chunks(ids))
            click.echo(f"{moved} wait for delivery to {to}")
            return
        done, later = 0, 0.0
        for integration_id, ids in letters.items():
            for chunk in _chunks(ids):
                done += door.ledger.replay(integration_id, chunk, interval_s=1 / rate, after_s=later)
                later += len(chunk) / rate
    click.echo(f"{done} wait for delivery again, the last one in {age(later)}")


@command.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@filters
@pass_settings
def discard(settings: Settings, /, *, yes: bool, **options: Any) -> None:
    """Give dead letters up for good; they are counted as discarded."""
    with access(settings) as door:
        letters = _agreed(door, options, "Discard", yes=yes)
        done = sum(door.ledger.discard(i, chunk) for i, ids in letters.items() for chunk in _chunks(ids))
    click.echo(f"{done} discarded")


@command.command()
@click.argument("integration_id", metavar="ID")
@click.option("--yes", is_flag=True, help="Do not ask.")
@server
@pass_settings
def bury(settings: Settings, /, integration_id: str, *, yes: bool) -> None:
    """Make dead letters of all that waits for ID, such as an integration that was removed from ossec.conf.

    Nothing is lost by it: they can be shown, replayed, replayed to another integration, or discarded.
    """
    with access(settings) as door:
        door.chosen([integration_id])
        waiting = door.ledger.status(integration_id).waiting
        if waiting and not yes:
            click.confirm(f"Bury {waiting} waiting deliveries of {integration_id}?", abort=True)
        buried = 0
        while count := door.ledger.bury(integration_id, reason=Reason.BURIED, limit=CHUNK):
            buried += count
    click.echo(f"{buried} are dead letters now")


def as_plain_data(found: Found) -> dict[str, Any]:
    """Return what `--json` prints of a letter; times in ms since the epoch."""
    header = found.letter.delivery.header
    rule_id, description = rule(found.letter)
    return {
        "integration": found.integration_id,
        "delivery": found.letter.delivery.id,
        "died_ms": found.letter.died_ms,
        "committed_ms": header.committed_ms,
        "reason": reason(found.letter),
        "detail": detail(found.letter),
        "attempts": header.attempts,
        "replays": header.replays,
        "fallback_of": None if header.fallback_of is None else msgspec.structs.asdict(header.fallback_of),
        "rule": {"id": rule_id, "description": description},
        "history": [{"at_ms": a.at_ms, "reason": a.reason, "detail": a.detail} for a in header.history],
    }


def _agreed(door: Access, options: dict[str, Any], verb: str, *, yes: bool) -> dict[str, list[str]]:
    """Return the ids that are meant, by integration, once the operator has seen their number and agreed."""
    ids, chosen = wanted(options)
    letters: dict[str, list[str]] = {}
    counts: Counter[tuple[str, str]] = Counter()
    for one in find(door.ledger, door.chosen(ids), chosen):
        letters.setdefault(one.integration_id, []).append(one.letter.delivery.id)
        counts[one.integration_id, reason(one.letter)] += 1
    for (integration_id, why), count in sorted(counts.items()):
        click.echo(f"{count}\t{integration_id}\t{why}")
    total = counts.total()
    if total and not yes:
        click.confirm(f"{verb} {total} dead letter{'s' if total > 1 else ''}?", abort=True)
    return letters


def _chunks(ids: list[str]) -> Iterator[list[str]]:
    return (ids[start : start + CHUNK] for start in range(0, len(ids), CHUNK))


def _row(found: Found, now_ms: int) -> Sequence[str]:
    letter = found.letter
    rule_id, description = rule(letter)
    return (
        found.integration_id,
        letter.delivery.id,
        f"{age((now_ms - letter.died_ms) / 1000)} ago",
        reason(letter),
        str(letter.delivery.header.attempts),
        plain(f"{rule_id} {description}".strip()),
        plain(detail(letter)),
    )


def whole(found: Found) -> dict[str, Any]:
    """Return what `show` prints: the same, the last answer and the alert."""
    answer = found.letter.delivery.header.answer
    return as_plain_data(found) | {
        "answer": None if answer is None else msgspec.structs.asdict(answer),
        "alert": _alert(found),
    }


def _alert(found: Found) -> Any:
    raw = found.letter.delivery.alert
    try:
        check_depth(raw)
        return json.loads(raw)
    except ValueError:
        return raw.decode("utf-8", "replace")
