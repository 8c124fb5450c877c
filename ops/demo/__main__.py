"""`python -m ops.demo`: what `make demo` runs."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from common.errors import CourierError
from ops.admin.terminal import one_line
from ops.cli.main import exit_code
from ops.demo.console import Show
from ops.demo.run import Plan, run


@click.command()
@click.option("--alerts", type=click.Path(path_type=Path), help="An alerts.json of your own. [default: the sample]")
@click.option(
    "--config", type=click.Path(path_type=Path), help="An ossec.conf of your own; no real endpoint is called."
)
@click.option("--keep", is_flag=True, help="Keep it running until Ctrl-C.")
@click.option("--port", default=0, type=click.IntRange(0, 65_535), help="Port of the page. [default: a free one]")
def main(alerts: Path | None, config: Path | None, keep: bool, port: int) -> None:
    """Show Courier at work on this machine. Exits with 0 only if every expected message arrived."""
    try:
        status = run(Plan(alerts=alerts, config=config, keep=keep, port=port), Show())
    except CourierError as error:
        click.echo(f"demo: {one_line(str(error))}", err=True)
        status = exit_code(error)
    sys.exit(status)


if __name__ == "__main__":
    main()
