"""The text of a template and where it is written. This is what the producer publishes of a template."""

from __future__ import annotations

from typing import Final

import msgspec

MAX_TEMPLATE_BYTES: Final = 64 * 1024
"""Bytes of one template, in courier.toml or in a file."""


class TemplateSource(msgspec.Struct, frozen=True):
    """The text of a template. `file` is the file that has it, empty if it is written in courier.toml itself."""

    text: str = ""
    file: str = ""

    def place(self, line: int) -> str:
        """Return the place of a line of the template for an error text; `line` counts from 1, 0 means unknown."""
        if self.file:
            return f"{self.file}:{line}" if line else self.file
        return f"line {line} of the template" if line else "the template"
