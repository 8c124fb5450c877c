from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import click
import pytest

from common.errors import (
    ConfigError,
    CourierError,
    LedgerError,
    LedgerMisconfigured,
    LedgerUnavailable,
    SettingsError,
)
from common.ledger import Ledger
from common.outcome import Reason
from ops.admin.terminal import one_line
from ops.cli.main import COMMANDS, courier, exit_code, main
from ops.cli.options import Invocation, pass_settings, setting_option

if TYPE_CHECKING:
    from pathlib import Path

    import redis

    from common.settings.load import Settings
    from ops.standalone.embedded_redis import EmbeddedServer


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    code = end.value.code
    assert isinstance(code, int)
    return code


def test_help_lists_every_command_without_importing_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--help") == 0
    text = capsys.readouterr().out
    assert all(name in text for name in COMMANDS)
    probe = "import sys, ops.cli.main as m\ntry: m.main(['--help'])\nexcept SystemExit: pass\n"
    probe += "sys.exit(any(f'ops.cli.{name}' in sys.modules for name in m.COMMANDS) or 'rich' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", probe], check=False, capture_output=True).returncode == 0


def test_every_command_can_be_imported() -> None:
    context = click.Context(courier)
    assert all(isinstance(courier.get_command(context, name), click.Command) for name in COMMANDS)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--version") == 0
    assert capsys.readouterr().out.startswith("courier 0.")


def test_unknown_command_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("deliver") == 2
    assert "No such command 'deliver'" in capsys.readouterr().err


def test_error_is_one_line_and_an_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--settings", str(tmp_path), "config") == 78
    assert capsys.readouterr().err == f"courier: {tmp_path}: is a folder; name the file in it\n"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (SettingsError("x"), 78),
        (ConfigError("x", file="f"), 78),
        (LedgerUnavailable("x"), 75),
        (LedgerMisconfigured("x"), 78),
        (LedgerError("x"), 1),
        (CourierError("x"), 1),
    ],
)
def test_exit_codes(error: CourierError, code: int) -> None:
    assert exit_code(error) == code


def test_control_characters_in_a_message_are_escaped() -> None:
    assert one_line("a\n\x1b[2Jb\u202e") == "a \\u001b[2Jb\\u202e"


# A pipe whose reader is gone before the first byte is written; everything that a shell has for it is a race.
UNREAD = (
    "import os, sys; there, here = os.pipe(); os.close(there); os.dup2(here, 1); os.execv(sys.argv[1], sys.argv[1:])"
)
OUTPUTS = {"full": 'exec "$@" >/dev/full', "closed": 'exec "$@" >&-', "unread": f'exec "$1" -c \'{UNREAD}\' "$@"'}


def with_output(to: str, server: EmbeddedServer, *arguments: str) -> tuple[int, str]:
    """Run `courier` with a standard output that cannot be written; return its exit code and standard error."""
    ended = subprocess.run(
        ["/bin/sh", "-c", OUTPUTS[to], "sh", sys.executable, "-m", "ops.cli.main", *arguments],
        env=os.environ | {"COURIER_REDIS_URL": server.url},
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    return ended.returncode, ended.stderr


@pytest.mark.parametrize("arguments", [("config",), ("config", "--json"), ("status",), ("dead", "export", "-")])
def test_unwritable_standard_output_is_one_error_line_or_none(
    server: EmbeddedServer, client: redis.Redis, arguments: tuple[str, ...]
) -> None:
    a_dead_letter(client)
    exported = "1 exported\n" if "export" in arguments else ""
    assert with_output("full", server, *arguments) == (
        1,
        "courier: cannot write to standard output: No space left on device\n",
    )
    assert with_output("unread", server, *arguments) == (1, "")
    assert with_output("closed", server, *arguments) == (0, exported)


def a_dead_letter(client: redis.Redis) -> None:
    ledger = Ledger(client)
    ledger.commit(
        "manager",
        node="n",
        expected="",
        cursor="1",
        deliveries=[("d", b"{}")],
        max_backlog=1,
        max_backlog_bytes=1000,
    )
    ledger.bury("manager", reason=Reason.BURIED, limit=1)


def test_option_overrides_setting_and_is_its_source() -> None:
    seen: list[Settings] = []

    @click.command()
    @setting_option("state.dir", help="Where.")
    @setting_option("worker.max_tasks", help="How many.")
    @click.option("--fast", is_flag=True)
    @pass_settings
    def command(settings: Settings, fast: bool) -> None:
        assert fast
        seen.append(settings)

    command.main(["--state", "/srv", "--max-tasks", "7", "--fast"], standalone_mode=False, obj=Invocation())
    (settings,) = seen
    assert (str(settings.state.dir), settings.worker.max_tasks) == ("/srv", 7)
    assert (settings.origin["state.dir"], settings.origin["worker.max_tasks"]) == ("--state", "--max-tasks")
