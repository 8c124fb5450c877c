"""The options of `courier dead` that select dead letters."""

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


def filters(function: F) -> F:
    """Add the arguments (ids of deliveries or alerts) and options that select dead letters."""
    options = (
        click.argument("deliveries", metavar="[DELIVERY|ALERT]...", nargs=-1),
        integration_option,
        click.option(
            "--reason", "reasons", metavar="REASON", multiple=True, help="Only this reason of failure; repeatable."
        ),
        click.option("--rule", "rules", metavar="ID", multiple=True, help="Only alerts of this rule; repeatable."),
        click.option("--older", type=TIME, metavar="TIME", help="Only dead letters before TIME, such as 2h (ago)."),
        click.option("--newer", type=TIME, metavar="TIME", help="Only dead letters since TIME, such as 2h (ago)."),
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
    """Return the error for a selection that matches no dead letter."""
    filtered = any(options[name] for name in ("words", "deliveries", "reasons", "rules", "older", "newer"))
    if filtered:
        return CourierError("no dead letters match; to list all of them, run `courier dead list` without filters")
    return CourierError("no dead letters")


def _age_s(moment: datetime | None, since: datetime) -> float | None:
    return None if moment is None else (since - moment).total_seconds()
