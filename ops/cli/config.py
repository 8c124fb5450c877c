"""`courier config`: the effective value of every setting and its source."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from common.errors import SettingsError
from common.printable import printable, printable_json
from ops.admin.terminal import is_terminal
from ops.cli.options import example, pass_settings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from common.settings.load import Settings
    from common.settings.values import Displayed

Row = tuple[str, "Displayed", str]


@click.command(epilog=example("courier config", "courier --settings courier.toml config --json"))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object: key → value and source.")
@pass_settings
def command(settings: Settings, as_json: bool) -> None:
    """Show the effective value and the source of every setting. Secrets are masked.

    At a terminal the output is a table. Otherwise it is TOML: `key = value  # source`.
    """
    if settings.refused:
        raise SettingsError("; ".join(map(str, settings.refused)))
    rows = list(settings.listing())
    if as_json:
        document = {key: {"value": value, "source": source} for key, value, source in rows}
        click.echo(printable_json(json.dumps(document, indent=2)))
    elif is_terminal():
        print_table(rows)
    else:
        click.echo("\n".join(f"{key} = {toml(value)}  # {printable(source)}" for key, value, source in rows))


def toml(value: Displayed) -> str:
    """Return `value` in TOML syntax."""
    if isinstance(value, dict):
        return f"{{{', '.join(f'{name} = {toml(content)}' for name, content in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    return printable_json(json.dumps(value, ensure_ascii=False))


def print_table(rows: Iterable[Row]) -> None:
    """Write a table to the terminal, with default values dimmed."""
    from rich.console import Console  # noqa: PLC0415 — slow to import, and needed only here
    from rich.table import Column, Table  # noqa: PLC0415 — as above
    from rich.text import Text  # noqa: PLC0415 — as above

    columns = [Column(title, overflow="fold") for title in ("Key", "Value", "Source")]
    table = Table(*columns, box=None, header_style="bold", pad_edge=False)
    for key, value, source in rows:
        style = "dim" if source == "default" else ""
        table.add_row(Text(key, style), Text(toml(value), style), Text(printable(source), style))
    Console().print(table)
