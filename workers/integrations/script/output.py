"""What a script said last, fit for a dead letter: one line, short, and without the secrets that it was given.

Scripts print what they failed on, and that is often the URL they called: the path of a Slack hook is its secret.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from workers.redaction import Redactor

MAX_LINE_CHARS: Final = 500
"""Characters kept of the line; a dead letter carries one for each attempt."""

_BLANKS: Final = re.compile(r"\t+")


def last_line(output: str, redactor: Redactor) -> str:
    """Return the last line of `output` that is not blank, with every secret masked."""
    line = redactor.text(output).rstrip().rpartition("\n")[2]
    clean = _BLANKS.sub(" ", line).strip()
    return clean if len(clean) <= MAX_LINE_CHARS else f"{clean[:MAX_LINE_CHARS]}…"
