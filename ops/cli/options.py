"""Shared by all subcommands: options for settings, integrations and times; examples in help; suggestions for typos.

@click.command()
@setting_option("state.dir", help="Courier's state folder.")
@pass_settings
def command(settings: Settings) -> None: ...
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from difflib import get_close_matches
from functools import update_wrapper
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, Final, ParamSpec, TypeVar

import click

from common.conditions import Condition, field_hints, parse_condition, parse_named_conditions
from common.errors import ConditionError
from common.printable import printable
from common.settings.load import load_settings
from common.settings.sources import FIXED
from common.settings.units import format_duration, parse_duration
from ops.admin import period
from ops.admin.times import TIMES, parse_time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from common.settings.load import Settings
    from ops.admin.session import LedgerSession

SYNONYMS: Final = {
    "start": "up",
    "run": "up",
    "ls": "list",
    "ps": "status",
    "stat": "status",
    "stats": "status",
    "events": "history",
    "log": "history",
    "stop": "pause end",
    "hold": "pause",
    "unhold": "release",
    "unpause": "resume",
    "mute": "silence",
    "snooze": "silence",
    "expire": "end",
    "continue": "resume",
    "deadletters": "dead",
    "dead-letters": "dead",
    "dlq": "dead",
    "retry": "replay",
    "requeue": "replay",
    "delete": "discard end",
    "rm": "discard end",
    "purge": "discard",
    "remove": "discard end",
    "create": "add",
    "new": "add",
    "get": "show",
    "validate": "check",
    "verify": "check",
    "lint": "check",
    "settings": "config",
    "dump": "export",
    "load": "import",
    "metrics": "exporter",
    "setup": "init",
}
"""A command name of another tool → Courier's commands, of which a group has one at most."""

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound="Callable[..., Any]")


class Rate(click.FloatRange):
    """A finite number per second. FloatRange accepts `nan`, and `inf` where there is no maximum."""

    def __init__(self) -> None:
        super().__init__(0.01)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number. Raises click.BadParameter."""
        rate = super().convert(value, param, ctx)
        if not isfinite(rate):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return rate


class Group(click.Group):
    """A group that suggests a subcommand for an unknown one."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the subcommand. Raises click.UsageError, with a suggestion."""
        names = self.list_commands(ctx)
        if args and not args[0].startswith("-") and args[0] not in names:
            word = args[0].lower()
            meant = [one for one in SYNONYMS.get(word, word).split() if one in names]
            close = meant or get_close_matches(word, names, n=1, cutoff=0.5)
            hint = f" Did you mean '{close[0]}'?" if close else ""
            ctx.fail(f"No such command {args[0]!r}.{hint}")
        return super().resolve_command(ctx, args)


class TimeParam(click.ParamType[datetime]):
    """A point in time: ISO 8601 (local time without a zone), an age such as `2h` (two hours ago), or `now`."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Return the time with its zone. Raises click.BadParameter."""
        if isinstance(value, datetime):
            return value
        try:
            return parse_time(value, now())
        except ValueError:
            self.fail(f"{value!r} is not a time; use {TIMES}", param, ctx)


class MomentParam(TimeParam):
    """A point in time that may be in the future: as TimeParam, but not an age."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Return the time with its zone. Raises click.BadParameter."""
        try:
            return value if isinstance(value, datetime) else datetime.fromisoformat(value).astimezone()
        except (ValueError, OverflowError):
            if value == "now":
                return now()
            problem = "is not a time; use 2026-01-31T08:00:00, 2026-01-31T08:00:00Z or now, or --for 2h for the end"
            self.fail(f"{value!r} {problem}", param, ctx)


class Duration(click.ParamType[float]):
    """A duration such as 30s or 2h, as seconds, from `least_s` to `most_s`."""

    name = "duration"

    def __init__(self, least_s: float = 0.0, most_s: float = 1e12) -> None:
        self._least_s, self._most_s = least_s, most_s

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the seconds. Raises click.BadParameter."""
        if isinstance(value, float):
            return value
        try:
            seconds = parse_duration(value)
        except ValueError as error:
            self.fail(f"{value!r} {error}; write 30s, 5m or 2h.", param, ctx)
        if not self._least_s <= seconds <= self._most_s:
            limits = f"{format_duration(self._least_s)} to {format_duration(self._most_s)}"
            self.fail(f"{value!r} is not in the range of {limits}", param, ctx)
        return seconds


def end_ms(start_ms: int, for_s: float | None, until: datetime | None) -> int:
    """Return the end in ms from `--for` and `--until`. Raises click.UsageError unless exactly one is given."""
    if (for_s is None) == (until is None):
        raise click.UsageError("Give the end with --for or with --until.")
    try:
        return period.end_ms(start_ms, for_s, until)
    except ValueError:
        raise click.UsageError("The end must be after the start.") from None


def check_conditions(option: str, texts: Sequence[str], named: Mapping[str, Sequence[str]]) -> None:
    """Raise click.UsageError for an invalid condition of an option; note fields that alerts do not have.

    `named` are the lists of `[conditions]`, by name.
    """
    names, conditions = parse_named_conditions(named), list[Condition]()
    for text in texts:
        try:
            conditions.append(parse_condition(text, names=names, where=option))
        except ConditionError as error:
            raise click.UsageError(str(error)) from None
    note_fields(conditions)


def note_fields(conditions: Iterable[Condition]) -> None:
    """Print a note on standard error for each field that alerts do not have."""
    for hint in field_hints(conditions):
        click.echo(printable(f"note: {hint}"), err=True)


def now() -> datetime:
    """Return the start time of this command, so that all options use the same moment."""
    moment: datetime = click.get_current_context().meta.setdefault("courier.now", datetime.now(UTC))
    return moment


def example(*commands: str) -> str:
    """Return the examples at the end of a command's help. They must be valid commands."""
    return "\b\nExamples:\n" + "\n".join(f"  {one}" for one in commands)


def integration_option(function: F) -> F:
    """Add the option that names integrations, as the argument `words`."""
    return click.option(
        "--integration",
        "words",
        metavar="ID|NAME",
        multiple=True,
        help="Id, or name (all blocks of that name); repeatable.",
    )(function)


def integration_arguments(function: F) -> F:
    """Add `--removed` and both ways to select integrations: `ids` (arguments) and `words` (`--integration`)."""
    function = click.argument("ids", metavar="[ID|NAME]...", nargs=-1)(function)
    return integration_option(removed_option(function))


def combined(ids: Sequence[str], words: Sequence[str]) -> list[str]:
    """Return the selected integrations. Raises click.UsageError if there are none."""
    if not ids and not words:
        raise click.UsageError("no integration given; give an id, or a name (all blocks of that name)")
    return [*ids, *words]


def removed_option(function: F) -> F:
    """Add the option that selects integrations that were removed from ossec.conf."""
    return click.option(
        "--removed", is_flag=True, help="Select integrations that were removed from ossec.conf instead."
    )(function)


def resolve(session: LedgerSession, words: Sequence[str], *, removed: bool) -> tuple[str, ...]:
    """Return the ids to act on, and print a note for each removed one that is skipped. Raises CourierError."""
    found = session.resolve_for_action(words, removed=removed)
    for one in found.skipped:
        note = f"note: skipped {one}, which was removed from ossec.conf; to act on it, use --removed"
        click.echo(printable(note), err=True)
    return found.ids


def server_options(function: F) -> F:
    """Add the options that locate Redis."""
    url = setting_option("redis.url", help="URL of Redis. If it has a password, use COURIER_REDIS_URL.")
    return url(setting_option("state.dir", help="State folder of `courier up`, to use its Redis.")(function))


class Invocation:
    """One run of `courier`: the file of `--settings`, and the values of options by dotted settings key."""

    def __init__(self, file: Path | None = None) -> None:
        self.file = file
        self.overrides: dict[str, str] = {}

    def settings(self) -> Settings:
        """Load the settings. Raises SettingsError; an invalid table of an integration costs only that integration."""
        return load_settings(
            file=self.file, environment=os.environ, cwd=Path.cwd(), overrides=self.overrides, keep_refused=True
        )


def setting_option(name: str, *, help: str) -> Callable[[F], F]:  # noqa: A002 — click's word for it
    """Add the option of the setting `name`, such as `--state` for `state.dir`. Its value overrides the setting."""

    def remember(ctx: click.Context, _option: click.Parameter, value: str | None) -> None:
        if value is not None:
            ctx.ensure_object(Invocation).overrides[name] = value

    key = FIXED[tuple(name.split("."))]
    return click.option(
        key.option,
        name.replace(".", "_"),
        metavar=key.name.upper(),
        help=help,
        expose_value=False,
        callback=remember,
    )


def pass_settings(function: Callable[Concatenate[Settings, P], R]) -> Callable[P, R]:
    """Pass the settings as the first argument. Must be the innermost decorator: options are parsed before it runs."""

    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        invocation = click.get_current_context().ensure_object(Invocation)
        return function(invocation.settings(), *args, **kwargs)

    return update_wrapper(run, function)
