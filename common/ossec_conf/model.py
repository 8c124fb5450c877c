"""What the reader returns."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from common.errors import ConfigError
    from common.integration import Integration


class ConfigWarning(NamedTuple):
    """Something that works, but perhaps not as meant; its `str` has the shape of a ConfigError's."""

    text: str
    file: str
    line: int
    element: str | None = None

    def __str__(self) -> str:
        element = "" if self.element is None else f" <{self.element}>:"
        return f"{self.file}:{self.line}:{element} {self.text}"


class Configuration(NamedTuple):
    """One ossec.conf: `integrations` in file order, `refused` one or more errors for each refused block."""

    integrations: tuple[Integration, ...] = ()
    refused: tuple[ConfigError, ...] = ()
    warnings: tuple[ConfigWarning, ...] = ()
