"""Reads the file of `agents.file`: which agent is in which groups. It has one of two forms.

The JSON that the manager's API returns for `GET /agents?select=id,name,group&limit=100000`
(https://documentation.wazuh.com/current/user-manual/api/reference.html, `getAgents`):

    {"data": {"affected_items": [{"id": "001", "name": "web01", "group": ["default", "prod"]}]}}

Or text: on each line the id of an agent, a blank, and its groups with commas between them, as a manager before 4.4 has
them in `queue/agent-groups/ID`. Empty lines and lines that begin with `#` do not count.

The other sources on a manager are no use here: `etc/client.keys` has no groups, and `queue/db/global.db` is a database
that belongs to wazuh-db.
"""

from __future__ import annotations

import codecs
import re
import stat
from typing import TYPE_CHECKING, Final

import msgspec

from common.errors import ConfigError, SettingsError
from common.permissions import explain, read_trusted
from common.printable import printable
from producer.filters.agents import AgentGroups

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAX_BYTES: Final = 64 * 1024 * 1024
"""100,000 agents with ten long groups each take a third of this."""

_NAME: Final = re.compile(r"[^\s,]{1,255}")
"""An id or a group. Wazuh allows letters, digits, `_`, `-` and `.` in groups, and at most 255 of them."""

_SHOWN_CHARS: Final = 80


class _Agent(msgspec.Struct):
    id: str
    group: list[str] | None = None


class _Data(msgspec.Struct):
    affected_items: list[_Agent]
    total_affected_items: int | None = None


class _Export(msgspec.Struct):
    data: _Data


def read_agents(path: Path) -> AgentGroups:
    """Return the groups of all agents in the file. Raises ConfigError if anything in it is wrong."""
    try:
        status = path.stat()
        # Reading a pipe or a device can block. For a folder, reading gives the error.
        if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
            raise ConfigError("is a device or a pipe; agents.file names a file", file=str(path))
        if (size := status.st_size) > MAX_BYTES:
            problem = f"has {size:,} bytes, at most {MAX_BYTES:,} are allowed: export only id, name and group"
            raise ConfigError(problem, file=str(path))
        content = read_trusted(path, "agents.file", MAX_BYTES)
    except OSError as error:
        raise ConfigError(f"agents.file cannot be read: {explain(error)}", file=str(path)) from None
    except SettingsError as error:
        raise ConfigError(str(error), file=str(path)) from None
    return parse_agents(content, str(path))


def parse_agents(content: bytes, file: str) -> AgentGroups:
    """Return the groups of all agents. `file` is the path for errors. Raises ConfigError."""
    by_id: dict[str, tuple[str, ...]] = {}
    content = content.removeprefix(codecs.BOM_UTF8)  # as editors on Windows write it
    is_export = content.lstrip().startswith(b"{")
    for place, line, agent_id, groups in (_of_export if is_export else _of_text)(content, file):
        wrong = next((one for one in (agent_id, *groups) if not _NAME.fullmatch(one)), None)
        if wrong is not None:
            problem = f"{place}{_quoted(wrong)} is not the id of an agent or the name of a group"
            raise ConfigError(problem, file=file, line=line)
        if agent_id in by_id:
            problem = f"{place}agent {_quoted(agent_id)} is listed twice: keep one of them"
            raise ConfigError(problem, file=file, line=line)
        by_id[agent_id] = tuple(groups)
    return AgentGroups(by_id)


_Listed = tuple[str, int | None, str, list[str]]
"""The place in the JSON or the line in the text, id and groups of an agent."""


def _of_export(content: bytes, file: str) -> Iterator[_Listed]:
    try:
        data = msgspec.json.decode(content, type=_Export).data
    except (ValueError, RecursionError) as error:  # of msgspec, and UnicodeDecodeError
        problem = f"is not what the API returns for `GET /agents?select=id,name,group`: {printable(str(error))}"
        raise ConfigError(problem, file=file) from None
    listed, total = len(data.affected_items), data.total_affected_items
    if total is not None and total > listed:
        problem = f"has {listed:,} of {total:,} agents, one page: export all, with `limit=100000` in the request"
        raise ConfigError(problem, file=file)
    for number, agent in enumerate(data.affected_items):
        yield f"data.affected_items[{number}]: ", None, agent.id, agent.group or []


def _of_text(content: bytes, file: str) -> Iterator[_Listed]:
    for number, line in enumerate(content.split(b"\n"), start=1):
        try:
            agent_id, *rest = line.decode().split(maxsplit=1) or [""]
        except UnicodeDecodeError:
            raise ConfigError("the line is not UTF-8 text", file=file, line=number) from None
        if agent_id and not agent_id.startswith("#"):
            yield "", number, agent_id, [one.strip() for one in rest[0].split(",")] if rest else []


def _quoted(text: str) -> str:
    return repr(text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}…")
