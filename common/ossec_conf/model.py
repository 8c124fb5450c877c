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
    """One ossec.conf: `integrations` in file order, `refused` one or more errors for each refused block.

    `damage` is one of the warnings: the file is not well-formed. It may be half written, and blocks be missing.
    """

    integrations: tuple[Integration, ...] = ()
    refused: tuple[ConfigError, ...] = ()
    warnings: tuple[ConfigWarning, ...] = ()
    damage: ConfigWarning | None = None

    @property
    def problems(self) -> list[str]:
        """What is wrong with it; if there is anything, it does not tell which integrations are configured no more."""
        return [*map(str, self.refused), *([str(self.damage)] if self.damage else [])]
