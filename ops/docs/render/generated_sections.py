"""Pages in which a script generates the part between two markers; the rest is written by hand."""

from __future__ import annotations

from typing import Final

END: Final = "<!-- Written by hand again. -->\n"


def begin(module: str) -> str:
    """Return the marker before the part that `python -m MODULE` generates."""
    return f"<!-- Written by `python -m {module}`, down to the next mark. -->\n"


def between(page: str, mark: str, text: str) -> str:
    """Return the page with `text` between `mark` and END. Raises ValueError if a marker is missing."""
    head, found, rest = page.partition(mark)
    _, end, tail = rest.partition(END)
    if not found or not end:
        raise ValueError(f"the page lacks one of the markers {mark.strip()} and {END.strip()}")
    return f"{head}{mark}\n{text}\n{end}{tail}"
