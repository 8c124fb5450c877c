"""The options by which every command of `courier dead` is told which letters are meant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from common.errors import CourierError
from ops.admin.dead_letters import Filter
from ops.cli.options import TimeParam, integration_option, now, server_options

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

F = TypeVar("F", bound="Callable[..., Any]")

TIME: Final = TimeParam()

CHUNK: Final = 500
"""Letters that one step moves."""


def filters(function: F) -> F:
    """Add the options and arguments that say which letters are meant, by ids of deliveries or of alerts."""
    options = (
        click.argument("deliveries", metavar="[DELIVERY|ALERT]...", nargs=-1),
        integration_option,
        click.option("--reason", "reasons", metavar="REASON", multiple=True, help="Only that died of it; repeatable."),
        click.option("--rule", "rules", metavar="ID", multiple=True, help="Only alerts of this rule; repeatable."),
        click.option("--older", type=TIME, metavar="TIME", help="Only that died before: a time, or 2h for ago."),
        click.option("--newer", type=TIME, metavar="TIME", help="Only that died since: a time, or 2h for ago."),
        server_options,
    )
    for option in reversed(options):
        function = option(function)
    return function


def parse_filters(options: dict[str, Any]) -> tuple[tuple[str, ...], Filter]:
    """Return the words that name integrations, and the filter that the options describe."""
    moment = now()
    return options["words"], Filter(
        deliveries=frozenset(options["deliveries"]),
        reasons=frozenset(options["reasons"]),
        rules=frozenset(options["rules"]),
        older_s=_age_s(options["older"], moment),
        newer_s=_age_s(options["newer"], moment),
    )


def nothing_found(options: dict[str, Any]) -> CourierError:
    """Return the error that says that no letter is what was asked for."""
    asked = any(options[name] for name in ("words", "deliveries", "reasons", "rules", "older", "newer"))
    hint = "; `courier dead list` without filters shows all that there are" if asked else ""
    return CourierError(f"no dead letters{' of that kind' if asked else ''}{hint}")


def _age_s(moment: datetime | None, since: datetime) -> float | None:
    return None if moment is None else (since - moment).total_seconds()
