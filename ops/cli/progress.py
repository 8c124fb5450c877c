"""A progress bar on standard error, for commands that read long logs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class Step(Protocol):
    """One step of the work."""

    @property
    def part(self) -> float:
        """How much of the work is done, from 0 to 1."""


S = TypeVar("S", bound=Step)


def show_bar(steps: Iterable[S], title: str, describe: Callable[[S], str]) -> S | None:
    """Do all steps and show a bar, with a text for the latest step; return that step, None if there was none."""
    from rich.console import Console  # noqa: PLC0415 — slow to import, and needed only at a terminal
    from rich.progress import Progress  # noqa: PLC0415 — as above

    last: S | None = None
    with Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=1.0)
        for last in steps:
            bar.update(task, completed=last.part, description=describe(last))
        bar.update(task, completed=1.0)
    return last
