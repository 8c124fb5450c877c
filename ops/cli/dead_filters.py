"""The options by which every command of `courier dead` is told which letters are meant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from common.units import parse_duration
from ops.cli.options import setting
from ops.dead_letters import Filter

if TYPE_CHECKING:
    from collections.abc import Callable

F = TypeVar("F", bound="Callable[..., Any]")

CHUNK: Final = 500
"""Letters that one step moves."""


def seconds(_ctx: click.Context, _option: click.Parameter, value: str | None) -> float | None:
    """Return an option such as 30s, 5m, 2h or 3d in seconds."""
    try:
        return None if value is None else parse_duration(value)
    except ValueError as error:
        raise click.BadParameter(f"{value!r} {error}; write 30s, 5m, 2h or 3d") from None


def server(function: F) -> F:
    """Add the options that say where the ledger is."""
    url = setting("redis.url", help="The ledger's Redis. Better given as COURIER_REDIS_URL.")
    return url(setting("state.dir", help="State directory of `courier up`, where its server is found.")(function))


def filters(function: F) -> F:
    """Add the options and arguments that say which letters are meant."""
    options = (
        click.argument("deliveries", metavar="[DELIVERY]...", nargs=-1),
        click.option(
            "--integration", "integrations", metavar="ID", multiple=True, help="Only of this one; repeatable."
        ),
        click.option("--reason", "reasons", metavar="REASON", multiple=True, help="Only that died of it; repeatable."),
        click.option("--rule", "rules", metavar="ID", multiple=True, help="Only alerts of this rule; repeatable."),
        click.option("--older", callback=seconds, metavar="AGE", help="Only that died at least so long ago."),
        click.option("--newer", callback=seconds, metavar="AGE", help="Only that died at most so long ago."),
        server,
    )
    for option in reversed(options):
        function = option(function)
    return function


def wanted(options: dict[str, Any]) -> tuple[tuple[str, ...], Filter]:
    """Return the integrations and the filter that the options describe."""
    return options["integrations"], Filter(
        deliveries=frozenset(options["deliveries"]),
        reasons=frozenset(options["reasons"]),
        rules=frozenset(options["rules"]),
        older_s=options["older"],
        newer_s=options["newer"],
    )
