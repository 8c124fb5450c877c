"""Generates the Redis roles in remote-workers.md, the same as `courier init` creates.

python -m ops.docs.render.roles
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from ops.admin.redis_roles import ROLES
from ops.docs.render.generated_sections import begin, between

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE: Final = Path(__file__).parents[1] / "remote-workers.md"
BEGIN: Final = begin("ops.docs.render.roles")


def render(page: str) -> str:
    """Return the page with the generated part replaced. Raises ValueError if a marker is missing."""
    return between(page, BEGIN, "\n".join(_lines()))


def _lines() -> Iterator[str]:
    yield "| user | what it does | secrets besides its password |\n|---|---|---|"
    for role in ROLES:
        yield f"| `{role.name}` | {role.purpose} | {', '.join(f'`{one}`' for one in role.secrets) or 'none'} |"
    yield "\n```acl"
    yield from (role.acl_line("PASSWORD") for role in ROLES)
    yield "```\n"


if __name__ == "__main__":
    PAGE.write_text(render(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
