"""Generates settings.md from the packaged courier.toml.

    python -m ops.docs.render.settings

The file is read as blocks between blank lines: some comment, then a table's header or one key.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from common.settings.load import DEFAULTS_FILE
from common.settings.sources import FIXED
from common.settings.toml_lines import path_of

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE: Final = Path(__file__).parents[1] / "settings.md"

HEAD: Final = (
    "# Settings\n\n<!-- Written by `python -m ops.docs.render.settings` from common/settings/courier.toml. -->\n\n"
)
COLUMNS: Final = "| key | default | variable | meaning |\n|---|---|---|---|\n"


def render(source: str) -> str:
    """Return the reference page for the text of a courier.toml."""
    return HEAD + "".join(_pieces(source)).rstrip() + "\n"


def _pieces(source: str) -> Iterator[str]:
    table: tuple[str, ...] = ()
    for block in source.strip().split("\n\n"):
        lines = block.split("\n")
        comment = "\n".join(line.removeprefix("#").removeprefix(" ") for line in lines if line.startswith("#"))
        statement = lines[-1]
        if statement.startswith("#"):
            yield f"{_escaped(comment)}\n"
        elif statement.startswith("["):
            table = path_of(statement)
            yield f"\n## `{statement}`\n\n{_escaped(comment)}\n\n{COLUMNS}"
        else:
            yield _row(table, statement, " ".join(comment.split("\n")))


def _row(table: tuple[str, ...], statement: str, meaning: str) -> str:
    name, _, default = statement.partition(" = ")
    known = FIXED.get((*table, name))
    variable = f"`{known.variable}`" if known else ""
    return f"| `{name}` | `{default}` | {variable} | {_escaped(meaning).replace('|', chr(92) + '|')} |\n"


def _escaped(comment: str) -> str:
    """Return a comment as Markdown, with `<` escaped."""
    return comment.replace("<", "&lt;").replace("[", "\\[").replace("*", "\\*")


if __name__ == "__main__":
    PAGE.write_text(render(DEFAULTS_FILE.read_text(encoding="utf-8")), encoding="utf-8")
