"""The command `courier`: its subcommands, and the only place that turns an error into a message and an exit code.

To add a subcommand, define a click command named `command` in `ops/cli/NAME.py` (with `_` for `-`) and add a line to
`COMMANDS`. The module is imported only when the subcommand runs, so that `courier --help` stays fast.
"""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from common.errors import ConfigError, CourierError, LedgerMisconfigured, LedgerUnavailable, SettingsError
from common.process import hide_memory
from common.version import full_version
from ops.admin.terminal import one_line
from ops.cli.options import Group, Invocation, example

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS: Final = {
    "up": "Run Redis, producer, workers, console and Flower on this machine.",
    "producer": "Follow the alert log and queue matching alerts.",
    "worker": "Deliver queued alerts.",
    "flower": "Serve Flower: workers, queues and tasks in a browser.",
    "console": "Serve the console: integrations and dead letters in a browser.",
    "exporter": "Serve Prometheus metrics of the ledger.",
    "status": "Show the state of integrations, producers and workers.",
    "show": "Show all about one integration: filters, settings, a message.",
    "top": "Show live rates and backlogs per integration.",
    "history": "Show what became of alerts: delivered, skipped, dead, and when.",
    "pause": "Stop sending for an integration; new alerts are queued.",
    "resume": "Resume a paused integration.",
    "release": "Send the deliveries that a window holds now.",
    "silence": "Do not send some alerts for a time; they are counted.",
    "dead": "List, show, replay, discard, export or import dead letters.",
    "explain": "Show what became of an alert, or why it did not match.",
    "replay-log": "Queue alerts of a past period again, from the archived log.",
    "preview": "Count what other filters would match in the archived log.",
    "check": "Check ossec.conf, scripts, settings and paths.",
    "init": "Create the keys and passwords of an installation.",
    "health": "Check that a producer, worker, Flower and so on makes progress.",
    "render": "Show what Courier would send for an alert.",
    "test": "Send a test alert to an integration and show the response.",
    "shadow": "Count what Courier would send, without sending it.",
    "config": "Show the effective settings and their sources.",
}
"""Name → summary in `courier --help`, short enough for one line of 80 columns."""

NOT_OF_UP: Final = ("redis.password", "redis.ca", "redis.sentinel_password", "health.path")
"""Settings that do not apply to the processes of `courier up`: those of an external Redis other than its address, and
the file that each process would need for itself."""

EX_FAILED: Final = 1
EX_TEMPFAIL: Final = 75
EX_CONFIG: Final = 78
"""From sysexits.h. A service manager restarts after EX_TEMPFAIL, and does not restart after EX_CONFIG."""

CANNOT_WRITE: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF, errno.EPIPE}
"""Errors of standard output: disk full, quota, file size limit, I/O error, closed descriptor, closed pipe."""


class LazyGroup(Group):
    """A group that imports a subcommand only when it runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 — click's signature
        """Return the names in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 — click's signature
        """Import and return a subcommand, or None for an unknown name."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"ops.cli.{cmd_name.replace('-', '_')}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 — click's signature
        """Write the list of subcommands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _print_version(ctx: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        click.echo(f"courier {full_version()}")
        ctx.exit()


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=example("courier check", "courier up --state /var/lib/courier", "courier status", "courier dead list"),
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Show the version and the commit, and exit.",
)
@click.option(
    "--settings",
    "file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Settings file. [default: COURIER_SETTINGS, else ./courier.toml]",
)
@click.option("--own-server", is_flag=True, hidden=True, help="Set by `courier up`: ignore [redis].")
@click.pass_context
def courier(ctx: click.Context, file: Path | None, *, own_server: bool) -> None:
    """Deliver every Wazuh alert to its integrations without losing any."""
    ctx.obj = Invocation(file)
    if own_server:
        ctx.obj.overrides |= dict.fromkeys(NOT_OF_UP, "")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run and exit: 0 success, 1 failure, 2 usage error, 75 Redis unavailable, 78 invalid configuration."""
    if sys.stdout is None:  # the parent process closed standard output
        sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115 — the same call as in CPython; not a Path, and never closed
    hide_memory()
    try:
        _run(arguments)
    except CourierError as error:
        click.echo(f"courier: {one_line(str(error))}", err=True)
        sys.exit(exit_code(error))
    except OSError as error:
        if error.filename or error.errno not in CANNOT_WRITE:
            raise
        with suppress(OSError):
            sys.stdout.close()  # otherwise the interpreter writes again at exit and prints a second error
        if error.errno != errno.EPIPE:
            click.echo(f"courier: cannot write to standard output: {error.strerror}", err=True)
        sys.exit(EX_FAILED)


def _run(arguments: Sequence[str] | None) -> None:
    try:
        courier.main(args=arguments, prog_name="courier")
    except SystemExit:
        sys.stdout.flush()  # the interpreter flushes after main(), where an error has no message or exit code
        raise


def exit_code(error: CourierError) -> int:
    """Return the exit code for this kind of error."""
    match error:
        case SettingsError() | ConfigError() | LedgerMisconfigured():
            return EX_CONFIG
        case LedgerUnavailable():
            return EX_TEMPFAIL
        case _:
            return EX_FAILED


if __name__ == "__main__":
    main()
