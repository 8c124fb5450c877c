"""Every command can be learnt from its own help."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING

import click
import pytest
from click.testing import CliRunner

from ops.cli.main import courier

if TYPE_CHECKING:
    from collections.abc import Iterator


def commands(command: click.Command = courier, *path: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from commands(found, *path, name)


ALL = dict(commands())
NAMES = [" ".join(path) for path in ALL]


@pytest.mark.parametrize("path", ALL, ids=NAMES)
def test_help_has_an_example_that_can_be_typed(path: tuple[str, ...]) -> None:
    result = CliRunner().invoke(courier, [*path, "--help"])
    assert result.exit_code == 0
    _, found, examples = result.output.partition("Examples:\n")
    lines = [line.strip() for line in examples.splitlines() if line.strip()]
    assert found
    assert lines
    for line in lines:
        words = shlex.split(line.rpartition("| ")[2])
        assert words[0] == "courier"
        command: click.Command = courier
        rest = words[1:]
        while isinstance(command, click.Group):
            if rest[0] == "--settings":
                rest = rest[2:]
            found_command = command.get_command(click.Context(command), rest.pop(0))
            assert found_command is not None, line
            command = found_command
        known = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in rest if word.startswith("--")} <= known, line
        if not path or path == (words[1],):
            assert words[1 : 1 + len(path)] == list(path) or path == ()


@pytest.mark.parametrize("path", ALL, ids=NAMES)
def test_help_fits_into_80_columns(path: tuple[str, ...]) -> None:
    lines = CliRunner().invoke(courier, [*path, "--help"]).output.splitlines()
    assert [line for line in lines if len(line) > 80] == []


@pytest.mark.parametrize("option", ["--integration", "--redis-url", "--state"])
def test_an_option_is_the_same_everywhere(option: str) -> None:
    found = {
        (parameter.metavar, parameter.help, parameter.multiple)
        for command in ALL.values()
        for parameter in command.params
        if isinstance(parameter, click.Option) and option in parameter.opts
    }
    if option == "--state":  # the processes keep files there; whoever asks finds the server there
        assert {(metavar, multiple) for metavar, _, multiple in found} == {("DIR", False)}
    else:
        assert len(found) == 1


def test_every_command_that_asks_the_ledger_can_be_told_where_it_is() -> None:
    asking = [*ALL]
    for local in ((), ("up",), ("check",), ("init",), ("render",), ("shadow",), ("config",), ("health", "flower")):
        asking.remove(local)
    for path in asking:
        options = {option for parameter in ALL[path].params for option in parameter.opts}
        if not isinstance(ALL[path], click.Group):
            assert "--redis-url" in options, path


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        (["statu"], "status"),
        (["pasue"], "pause"),
        (["start"], "up"),
        (["dead-letters"], "dead"),
        (["stop"], "pause"),
        (["replaylog"], "replay-log"),
        (["dead", "lst"], "list"),
        (["dead", "delete"], "discard"),
        (["health", "workers"], "worker"),
    ],
)
def test_a_wrong_command_is_answered_with_the_right_one(wrong: list[str], right: str) -> None:
    result = CliRunner().invoke(courier, wrong)
    assert result.exit_code == 2
    assert f"Did you mean '{right}'?" in result.output


def test_a_wrong_command_like_nothing_is_answered_with_help() -> None:
    result = CliRunner().invoke(courier, ["xyzzy"])
    assert result.exit_code == 2
    assert "Did you mean" not in result.output
    assert "courier --help" in result.output


def test_the_shell_completes_commands_and_options() -> None:
    def completed(words: str, number: int) -> str:
        environment = os.environ | {
            "_COURIER_COMPLETE": "bash_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(number),
        }
        command = [sys.executable, "-m", "ops.cli.main"]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    assert "plain,pause" in completed("courier pa", 1)
    assert "plain,--reason" in completed("courier pause --rea", 2)
    assert "plain,replay" in completed("courier dead re", 2)


@pytest.mark.parametrize("text", ["2h", "now", "2026-01-31T08:00:00", "2026-01-31T08:00:00Z", "30s", "3d"])
@pytest.mark.parametrize("option", ["--older", "--newer"])
def test_a_time_may_be_said_in_any_form(text: str, option: str) -> None:
    context = ALL["dead", "list"].make_context("list", [option, text])
    assert context.params[option.removeprefix("--")].tzinfo is not None


@pytest.mark.parametrize("text", ["", "2", "2hours", "yesterday", "-2h", "99999999999999d", "2026-13-01"])
def test_what_is_no_time_is_refused_with_the_forms_that_there_are(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is not a time; use 2026-01-31T08:00:00"):
        ALL["replay-log",].make_context("replay-log", ["--from", text, "--integration", "slack"])
