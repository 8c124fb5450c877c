"""What subcommands share: options that are settings, and the settings themselves.

@click.command()
@setting("state.dir", help="Folder for what Courier keeps on disk.")
@pass_settings
def command(settings: Settings) -> None: ...
"""

from __future__ import annotations

import os
from functools import update_wrapper
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

import click

from common.settings import load_settings
from common.settings_sources import FIXED

if TYPE_CHECKING:
    from collections.abc import Callable

    from common.settings import Settings

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound="Callable[..., Any]")


class Rate(click.FloatRange):
    """A number of something a second; FloatRange lets `nan` pass, and `inf` where there is no maximum."""

    def __init__(self) -> None:
        super().__init__(0.01)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number. Raises click.BadParameter."""
        rate = super().convert(value, param, ctx)
        if not isfinite(rate):
            self.fail(f"{value} is no finite number.", param, ctx)
        return rate


class Invocation:
    """One run of `courier`: the file that `--settings` named, and what options say, by dotted key."""

    def __init__(self, file: Path | None = None) -> None:
        self.file = file
        self.overrides: dict[str, str] = {}

    def settings(self) -> Settings:
        """Load the settings of this process. Raises SettingsError."""
        return load_settings(file=self.file, environment=os.environ, cwd=Path.cwd(), overrides=self.overrides)


def setting(name: str, *, help: str) -> Callable[[F], F]:  # noqa: A002 — click's word for it
    """Add the option of the setting `name`, such as `--state` of `state.dir`; its value goes into the settings."""

    def remember(ctx: click.Context, _option: click.Parameter, value: str | None) -> None:
        if value is not None:
            ctx.ensure_object(Invocation).overrides[name] = value

    key = FIXED[tuple(name.split("."))]
    return click.option(
        key.option,
        name.replace(".", "_"),
        metavar=key.name.upper(),
        help=help,
        expose_value=False,
        callback=remember,
    )


def pass_settings(function: Callable[Concatenate[Settings, P], R]) -> Callable[P, R]:
    """Give a command the settings as its first argument. Below the options, so that theirs are in them."""

    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        invocation = click.get_current_context().ensure_object(Invocation)
        return function(invocation.settings(), *args, **kwargs)

    return update_wrapper(run, function)
