"""The result of reading an ossec.conf: integrations, refused blocks and warnings."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from producer.filters.agents import NO_AGENTS, AgentGroups

if TYPE_CHECKING:
    from collections.abc import Mapping

    from common.errors import ConfigError
    from common.integration import Integration
    from common.secret import Secret
    from common.silences import FileSilence
    from common.windows import Window


class ConfigWarning(NamedTuple):
    """A setting that is valid, but perhaps not what was meant; its `str` has the form of a ConfigError's.

    `block` is the id of its block; None if it is not about a block, or the block has no id.
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
    """An invalid block: its first line, its name (empty if unreadable) and its errors.

    If it is not an integration, it is something else of courier.toml, such as a silence or a window.
    """

    line: int
    name: str
    errors: tuple[ConfigError, ...]
    is_integration: bool = True


class Configuration(NamedTuple):
    """One ossec.conf: `integrations` and `refused_blocks` in file order, behind them those of courier.toml.

    `conditions` holds the valid named conditions of courier.toml, whose texts others use as `@name`, `windows` its
    windows, `silences` its valid silences, and `agents` the groups of agents. `endpoints` has, by id, each `endpoint`
    that is `env:NAME` or `file:PATH`, as the URL. `syntax_error` is one of the warnings: the file is not well-formed.
    It may be half written, with blocks missing.
    """

    integrations: tuple[Integration, ...] = ()
    refused_blocks: tuple[RefusedBlock, ...] = ()
    warnings: tuple[ConfigWarning, ...] = ()
    syntax_error: ConfigWarning | None = None
    conditions: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    windows: Mapping[str, Window] = MappingProxyType({})
    agents: AgentGroups = NO_AGENTS
    endpoints: Mapping[str, Secret] = MappingProxyType({})
    silences: tuple[FileSilence, ...] = ()

    @property
    def refused(self) -> tuple[ConfigError, ...]:
        """The errors of all refused blocks; each block has at least one."""
        return tuple(error for block in self.refused_blocks for error in block.errors)

    @property
    def problems(self) -> list[str]:
        """All errors. If there are any, an integration that is missing may still be configured."""
        return [*map(str, self.refused), *([str(self.syntax_error)] if self.syntax_error else [])]
