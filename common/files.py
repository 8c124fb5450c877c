"""Questions about a path that an operator named.

`Path.exists` and its relatives answer *no* where the kernel said *not permitted* (since Python 3.14 always, before it
for some errors): a file that is there would then be ignored in silence. Here only "not found" means that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import os
    from pathlib import Path

NOT_FOUND: Final = (FileNotFoundError, NotADirectoryError)
"""ENOENT and ENOTDIR: nothing has this name. Any other error leaves the question open."""


def stat_or_none(path: Path) -> os.stat_result | None:
    """Return the status of what `path` leads to, None if there is nothing. Raises OSError if that cannot be known."""
    try:
        return path.stat()
    except NOT_FOUND:
        return None


def exists(path: Path) -> bool:
    """Say whether `path` names anything, a broken link included. Raises OSError if that cannot be known."""
    try:
        path.lstat()
    except NOT_FOUND:
        return False
    return True
