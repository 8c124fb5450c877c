"""`courier check`: what Courier makes of the manager's ossec.conf, before anything runs on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from common.errors import ConfigError
from common.integration import Kind
from common.ossec_conf import read_ossec_conf
from ops.cli.main import one_line
from ops.cli.options import pass_settings, setting
from workers.transports.script_home import home_warnings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from common.integration import Integration
    from common.ossec_conf import Configuration
    from common.settings import Settings


@click.command()
@setting("producer.config", help="The manager's ossec.conf.")
@pass_settings
def command(settings: Settings) -> None:
    """Show the integrations of ossec.conf, with their ids and filters, and everything that is wrong with it.

    Exits with 0 if every block can be used, else with 78. Nothing is sent and Redis is not needed.
    """
    path = settings.producer.config
    configuration = read_ossec_conf(path)
    for line in report(configuration, path):
        click.echo(one_line(line))
    for line in (*missing_fallbacks(settings, configuration), *about_home(settings, configuration)):
        click.echo(one_line(f"warning: {line}"))
    if configuration.refused:
        problem = "some integrations are refused, as told above; the others run"
        raise ConfigError(problem, file=str(path))


def report(configuration: Configuration, path: Path) -> Iterator[str]:
    """Yield the lines of the report: blocks, warnings, refusals."""
    if not configuration.integrations and not configuration.refused:
        yield f"{path} has no <integration>: there is nothing to deliver"
    for integration in configuration.integrations:
        yield f"{integration.id}: {integration.name}, {filters_in_words(integration)} ({where(integration)})"
    yield from (f"warning: {warning}" for warning in configuration.warnings)
    yield from (f"refused: {error}" for error in configuration.refused)


def missing_fallbacks(settings: Settings, configuration: Configuration) -> Iterator[str]:
    """Yield what is wrong with the fallbacks; another manager with the same Redis may know the integration."""
    ids = {integration.id for integration in configuration.integrations}
    for integration in configuration.integrations:
        if (fallback := settings.policy(integration).fallback) and fallback not in ids:
            yield f"{integration.id}: its fallback {fallback!r} is no integration of this ossec.conf: write another id"


def about_home(settings: Settings, configuration: Configuration) -> Iterator[str]:
    """Yield what will make custom scripts fail in the manager's home, as the user that this command runs as."""
    if any(integration.kind is Kind.SCRIPT for integration in configuration.integrations):
        yield from home_warnings(settings.worker.home)


def where(integration: Integration) -> str:
    """Return where the block stands."""
    return f"{integration.file}:{integration.line}"


def filters_in_words(integration: Integration) -> str:
    """Return which alerts the integration gets, as a sentence says it."""
    parts = list(_filters(integration))
    return f"alerts {' and '.join(parts)}" if parts else "every alert"


def _filters(integration: Integration) -> Iterator[str]:
    if integration.level:
        yield f"of level {integration.level} or higher"
    if integration.rule_ids is not None:
        yield f"of {_one_of('rule', [str(number) for number in integration.rule_ids])}"
    if integration.group is not None:
        yield f"of {_one_of('group', integration.group.removesuffix(',').split(',') if integration.group else [])}"
    if integration.event_location is not None:
        negated = integration.event_location.startswith("!")
        pattern = integration.event_location.removeprefix("!")
        yield f"from a location that {'does not match' if negated else 'matches'} {pattern!r}"


def _one_of(noun: str, items: list[str]) -> str:
    return f"{noun} {' or '.join(items)}" if items else f"no {noun} at all"
