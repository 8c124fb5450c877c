"""`courier preview`: how many more or fewer alerts of the archived log would match with other filters or conditions."""

from __future__ import annotations

import json
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from common.errors import CourierError
from common.integration import Integration
from common.printable import printable, printable_json
from common.settings.definition import DEFINITION_KEYS
from ops.admin.names import in_configuration
from ops.admin.preview import AGENT_COLUMNS, DAY_COLUMNS, RULE_COLUMNS, Pair, Preview, as_json, rows, top
from ops.admin.replay_log import TimeRange
from ops.admin.terminal import one_line, pluralize, print_table
from ops.cli.options import TimeParam, check_conditions, example, integration_option, pass_settings, setting_option
from ops.cli.progress import show_bar
from producer.alertlog import AlertLog
from producer.configuration import read_configuration

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from common.settings.load import Settings
    from ops.admin.preview import Change
    from producer.ossec_conf import Configuration

VERSION: Final = 1
"""Of the JSON document; it increases when a key is removed or changes its meaning."""

NEW: Final = "new"
"""The id of an integration that does not exist yet."""


@click.command(
    epilog=example(
        "courier preview --integration slack --level 5",
        "courier preview --integration slack --except 'agent.name = build-*'",
        "courier preview --since 30d --group sshd --only 'agent.name = web*'",
    )
)
@click.argument("ids", metavar="[ID|NAME]...", nargs=-1)
@integration_option
@click.option("--all", "every", is_flag=True, help="Every integration.")
@click.option("--level", type=click.IntRange(0, 16), help="Lowest level, instead of the present one; 0 for all levels.")
@click.option(
    "--rule-id", "--rule", "rule_ids", multiple=True, metavar="ID,…", help="Rule ids, instead of the present ones."
)
@click.option("--group", "groups", multiple=True, metavar="NAME,…", help="Rule groups, instead of the present ones.")
@click.option("--event-location", metavar="PATTERN", help="Location, instead of the present one.")
@click.option("--only", multiple=True, metavar="CONDITION", help="A condition that must hold, in addition.")
@click.option("--except", "without", multiple=True, metavar="CONDITION", help="A condition to exclude, in addition.")
@click.option("--replace-conditions", is_flag=True, help="Drop the present `only` and `except` first.")
@click.option("--since", default="7d", show_default=True, metavar="TIME", type=TimeParam(), help="A time, or 7d (ago).")
@click.option("--until", default="now", show_default=True, metavar="TIME", type=TimeParam(), help="End (exclusive).")
@click.option("--json", "wants_json", is_flag=True, help="Print one JSON object.")
@setting_option("producer.config", help="The manager's ossec.conf.")
@setting_option("producer.alerts", help="The manager's alerts.json. Archived files are found relative to it.")
@pass_settings
def command(
    settings: Settings,
    /,
    ids: tuple[str, ...],
    words: tuple[str, ...],
    *,
    every: bool,
    replace_conditions: bool,
    since: datetime,
    until: datetime,
    wants_json: bool,
    **options: Any,
) -> None:
    """Count what other filters or conditions would match in the archived alert logs, before you change them.

    For each integration: alerts that match now and would match then, in all, per day, and for the ten rules and agents
    that change most. Without an integration and --all, the options describe a new integration. An empty value, such as
    --group '', removes a filter. The command sends and changes nothing, and does not need Redis.
    """
    if since >= until:
        raise CourierError("--since must be earlier than --until")
    configuration = read_configuration(settings)
    changes = _filters(options)
    for flag, key in (("--only", "only"), ("--except", "without")):
        check_conditions(flag, options[key], configuration.conditions)
    words = (*ids, *words)
    if words or every:
        chosen: Sequence[Integration | None] = in_configuration(configuration, words, file=settings.producer.config)
    elif changes or options["only"] or options["without"]:
        chosen = [None]
    else:
        problem = "give an integration or --all, or at least one filter or condition for a new integration"
        raise click.UsageError(problem)
    pairs = [_pair(one, changes, options, replace_conditions=replace_conditions) for one in chosen]
    preview = _read(settings, pairs, TimeRange(start=since, stop=until), configuration)
    for line in _problems(preview, settings, configuration):
        click.echo(one_line(line), err=True)
    if wants_json:
        click.echo(printable_json(json.dumps(_document(preview, since, until), indent=2)))
        return
    for number, (name, change) in enumerate(preview.changes.items()):
        click.echo("" if number else f"from {since.isoformat()} to {until.isoformat()}")
        _show(name, change, is_new=chosen[0] is None)


def _pair(
    now: Integration | None, changes: dict[str, Any], options: dict[str, Any], *, replace_conditions: bool
) -> Pair:
    """Return an integration as it is, None if it is new, and as it would be."""
    base = now or Integration(id=NEW, name=NEW)
    kept = msgspec.structs.replace(base, only=(), except_=()) if replace_conditions else base
    conditions = {"only": (*kept.only, *options["only"]), "except_": (*kept.except_, *options["without"])}
    return Pair(base.id, now, msgspec.structs.replace(base, **changes, **conditions))


def _filters(options: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of the integration that the options change. Raises click.BadParameter."""
    given: dict[str, Any] = {
        "rule_id": ",".join(options["rule_ids"]) if options["rule_ids"] else None,
        "group": list(options["groups"]) if options["groups"] else None,
        "event_location": options["event_location"],
    }
    fields = {"rule_id": "rule_ids"}
    changes = {} if options["level"] is None else {"level": options["level"]}
    for key, value in given.items():
        if value is None:
            continue
        try:
            parsed = DEFINITION_KEYS[key].reader.parse(value) if value not in ("", [""]) else None
        except ValueError as error:
            raise click.BadParameter(one_line(str(error)), param_hint=f"--{key.replace('_', '-')}") from None
        changes[fields.get(key, key)] = parsed
    return changes


def _read(settings: Settings, pairs: list[Pair], time_range: TimeRange, configuration: Configuration) -> Preview:
    """Read the log, with a progress bar at a terminal."""
    with closing(AlertLog.of(settings.producer)) as source:
        try:
            preview = Preview(pairs, time_range, source, configuration.conditions, configuration.agents)
        except ValueError as error:
            raise CourierError(f"--event-location: {error}") from None
        steps = preview.run()
        if sys.stderr.isatty():
            show_bar(steps, "reading", lambda one: f"{one.read:,} read")
        else:
            for _ in steps:
                pass
    return preview


def _problems(preview: Preview, settings: Settings, configuration: Configuration) -> Iterator[str]:
    yield from (f"refused: {one}" for one in configuration.refused)
    yield from (f"missing from the log: {one}" for one in preview.missing)
    yield from (f"skipped lines: {number} {reason}" for reason, number in sorted(preview.skipped.items()))
    if not preview.lines:
        yield f"{settings.producer.alerts}: neither it nor its archives have a line of this time; see `courier check`"


def _document(preview: Preview, since: datetime, until: datetime) -> dict[str, Any]:
    return {
        "version": VERSION,
        "from": since.isoformat(),
        "to": until.isoformat(),
        "lines": preview.lines,
        "skipped": dict(preview.skipped),
        "missing": preview.missing,
        "integrations": {name: as_json(change) for name, change in preview.changes.items()},
    }


def _show(name: str, change: Change, *, is_new: bool) -> None:
    now, then, more, fewer = change.total.numbers
    if is_new:
        click.echo(f"a new integration would match {pluralize(then, 'alert')}")
    else:
        click.echo(printable(f"{name}: {pluralize(now, 'alert')} now, {then:,} then: {more:,} more, {fewer:,} fewer"))
    if not now and not then:
        return
    click.echo()
    print_table(DAY_COLUMNS, [row[:-1] for row in rows(dict(sorted(change.days.items())))])
    click.echo()
    print_table(RULE_COLUMNS, rows(top(change.rules)))
    click.echo()
    print_table(AGENT_COLUMNS, rows(top(change.agents)))
