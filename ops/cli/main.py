"""The command `courier`: its subcommands, and the one place where an error becomes a line and an exit code.

A subcommand is a click command called `command` in `ops/cli/NAME.py` (a `-` in NAME is `_` there) and one line in
`COMMANDS`. It is imported when it is used, so that `courier --help` stays fast.
"""

from __future__ import annotations

import errno
import os
import re
import sys
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from common.errors import ConfigError, CourierError, LedgerMisconfigured, LedgerUnavailable, SettingsError
from common.printable import printable
from common.process import hide_memory
from ops.cli.options import Group, Invocation, example

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS: Final = {
    "up": "Run everything on this machine, in the foreground.",
    "producer": "Follow the alert log and enqueue what matches.",
    "worker": "Deliver what was enqueued.",
    "flower": "Show workers, queues and tasks in a browser.",
    "exporter": "Show Prometheus what the ledger knows.",
    "status": "Show per integration what waits, went through and failed.",
    "top": "The same, live, with rates.",
    "pause": "Send nothing more of an integration.",
    "resume": "Let a paused integration go on.",
    "dead": "List, show, replay, discard, export or import dead letters.",
    "replay-log": "Enqueue a stretch of the archived alert log once more.",
    "check": "Read ossec.conf and say which integrations will run, and what is wrong with the others.",
    "init": "Make the secrets of an installation: keys and passwords, each once.",
    "health": "Tell whether a producer, a worker or Flower makes progress, for health checks.",
    "render": "Show what one integration would be sent for an alert, secrets masked.",
    "shadow": "Count what would be sent, beside a running stock Integrator, and send nothing.",
    "config": "Show the settings in force and where each comes from.",
}
"""Name → the line that `courier --help` shows."""

NOT_OF_OWN_SERVER: Final = ("redis.password", "redis.ca", "redis.sentinel_password")
"""What a settings file may say of another server, beside its address."""

EX_FAILED: Final = 1
EX_TEMPFAIL: Final = 75
EX_CONFIG: Final = 78
"""As in sysexits.h, so that a service manager can tell what a restart mends from what it does not."""

CANNOT_WRITE: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF, errno.EPIPE}
"""What writing to the standard output meets: a full disk, a limit, a broken disk, one that nobody may or does read."""


class LazyGroup(Group):
    """A group that knows its subcommands by name and imports one only to run it."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 — click's signature
        """Return the names in the order in which they are listed."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 — click's signature
        """Import and return a subcommand, None if there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"ops.cli.{cmd_name.replace('-', '_')}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 — click's signature
        """Write the list of subcommands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=example("courier check", "courier up --state /var/lib/courier", "courier status", "courier dead list"),
)
@click.version_option(package_name="courier-integrator", prog_name="courier", message="%(prog)s %(version)s")
@click.option(
    "--settings",
    "file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Settings file. [default: COURIER_SETTINGS, else ./courier.toml]",
)
@click.option("--own-server", is_flag=True, hidden=True, help="As a part of `courier up`, whose server is no [redis].")
@click.pass_context
def courier(ctx: click.Context, file: Path | None, *, own_server: bool) -> None:
    """Deliver every Wazuh alert to its integrations, and lose none."""
    ctx.obj = Invocation(file)
    if own_server:
        ctx.obj.overrides |= dict.fromkeys(NOT_OF_OWN_SERVER, "")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0, 1 failed, 2 wrong usage, 75 Redis away for now, 78 wrong configuration."""
    if sys.stdout is None:  # whoever started us closed it, and wants no output
        sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115 — as Python makes it: not a path, and never closed
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
            sys.stdout.close()  # else the interpreter tries once more to write, and complains
        if error.errno != errno.EPIPE:
            click.echo(f"courier: cannot write: {error.strerror}", err=True)
        sys.exit(EX_FAILED)


def _run(arguments: Sequence[str] | None) -> None:
    try:
        courier.main(args=arguments, prog_name="courier")
    except SystemExit:
        sys.stdout.flush()  # the interpreter would do it, too late for a line and an exit code
        raise


def exit_code(error: CourierError) -> int:
    """Return the exit code that tells a service manager what kind of trouble this is."""
    match error:
        case SettingsError() | ConfigError() | LedgerMisconfigured():
            return EX_CONFIG
        case LedgerUnavailable():
            return EX_TEMPFAIL
        case _:
            return EX_FAILED


def one_line(message: str) -> str:
    """Return a message without line breaks, and with what else a terminal does not show escaped."""
    return printable(re.sub(r"[\t\r\n]+", " ", message))


if __name__ == "__main__":
    main()
