"""The help of every command: valid examples, 80 columns, shared options."""

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
def test_examples_in_help_are_valid_commands(path: tuple[str, ...]) -> None:
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
def test_shared_options_have_the_same_help(option: str) -> None:
    found = {
        (parameter.metavar, parameter.help, parameter.multiple)
        for command in ALL.values()
        for parameter in command.params
        if isinstance(parameter, click.Option) and option in parameter.opts
    }
    if option == "--state":  # for processes it holds their files; for operator commands it locates Redis
        assert {(metavar, multiple) for metavar, _, multiple in found} == {("DIR", False)}
    else:
        assert len(found) == 1


def test_commands_that_use_the_ledger_have_redis_options() -> None:
    asking = [*ALL]
    for local in (
        (),
        ("up",),
        ("check",),
        ("init",),
        ("render",),
        ("shadow",),
        ("preview",),
        ("config",),
        ("health", "flower"),
        ("health", "console"),
        ("health", "exporter"),
    ):
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
        (["silence", "rm"], "end"),
        (["silence", "stop"], "end"),
        (["silence", "create"], "add"),
        (["health", "workers"], "worker"),
    ],
)
def test_unknown_command_gets_a_suggestion(wrong: list[str], right: str) -> None:
    result = CliRunner().invoke(courier, wrong)
    assert result.exit_code == 2
    assert f"Did you mean '{right}'?" in result.output


def test_unknown_command_without_similar_one_points_to_help() -> None:
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
def test_time_formats_are_accepted(text: str, option: str) -> None:
    context = ALL["dead", "list"].make_context("list", [option, text])
    assert context.params[option.removeprefix("--")].tzinfo is not None


@pytest.mark.parametrize("text", ["", "2", "2hours", "yesterday", "-2h", "99999999999999d", "2026-13-01"])
def test_invalid_time_error_lists_the_formats(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is not a time; use 2026-01-31T08:00:00"):
        ALL["replay-log",].make_context("replay-log", ["--from", text, "--integration", "slack"])
