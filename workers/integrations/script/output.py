"""Extracts the last line of a script's output for a dead letter, without the secrets that the script received.

A failing script often prints the URL that it called, and the path of a Slack hook is a secret.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from workers.redaction import Redactor

MAX_LINE_CHARS: Final = 500
"""Characters that are kept of the line; a dead letter contains one line for each attempt."""

_BLANKS: Final = re.compile(r"\t+")


def last_line(output: str, redactor: Redactor) -> str:
    """Return the last line of `output` that is not blank, with every secret masked."""
    line = redactor.text(output).rstrip().rpartition("\n")[2]
    clean = _BLANKS.sub(" ", line).strip()
    return clean if len(clean) <= MAX_LINE_CHARS else f"{clean[:MAX_LINE_CHARS]}…"
