"""What the reader returns."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from common.errors import ConfigError
    from common.integration import Integration


class ConfigWarning(NamedTuple):
    """Something that works, but perhaps not as meant; its `str` has the shape of a ConfigError's.

    `block` is the id of the block that it is about, None if it is about none, or about one without an id.
    """

    text: str
    file: str
    line: int
    element: str | None = None
    block: str | None = None

    def __str__(self) -> str:
        element = "" if self.element is None else f" <{self.element}>:"
        return f"{self.file}:{self.line}:{element} {self.text}"


class RefusedBlock(NamedTuple):
    """A block that cannot be used: where it begins, its name as far as it could be read, and what is wrong with it."""

    line: int
    name: str
    errors: tuple[ConfigError, ...]


class Configuration(NamedTuple):
    """One ossec.conf: `integrations` and `refused_blocks` in file order.

    `damage` is one of the warnings: the file is not well-formed. It may be half written, and blocks be missing.
    """

    integrations: tuple[Integration, ...] = ()
    refused_blocks: tuple[RefusedBlock, ...] = ()
    warnings: tuple[ConfigWarning, ...] = ()
    syntax_error: ConfigWarning | None = None

    @property
    def refused(self) -> tuple[ConfigError, ...]:
        """The errors of all refused blocks, one or more for each."""
        return tuple(error for block in self.refused_blocks for error in block.errors)

    @property
    def problems(self) -> list[str]:
        """What is wrong with it; if there is anything, it does not tell which integrations are configured no more."""
        return [*map(str, self.refused), *([str(self.syntax_error)] if self.syntax_error else [])]
