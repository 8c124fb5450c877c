"""Checks whether a path that an operator named exists.

`Path.exists` and similar methods return False if the kernel denies permission (always since Python 3.14, before that
for some errors), so an existing file would be ignored silently. Here only "not found" means that the file is missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import os
    from pathlib import Path

NOT_FOUND: Final = (FileNotFoundError, NotADirectoryError)
"""ENOENT and ENOTDIR: the path does not exist. After any other error it may exist or not."""

FileSignature = tuple[int, int, int, int]
"""Inode, size in bytes, modification time and change time in nanoseconds. A new mode sets only the last one."""

SETTLE_S: Final = 0.3
"""A file that was written less than this ago is read at the next check: half a file can be a valid one, in which
integrations are missing."""


def stat_or_none(path: Path) -> os.stat_result | None:
    """Return the status of `path`, following links, or None if it does not exist. Raises OSError if that is unknown."""
    try:
        return path.stat()
    except NOT_FOUND:
        return None


def file_signature(path: Path) -> FileSignature | None:
    """Return what changes whenever a file does, None if it cannot be accessed."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def is_being_written(path: Path, now_s: float) -> bool:
    """Return whether a file was written a moment ago, so that it may be half of what it will be."""
    signature = file_signature(path)
    return signature is not None and 0 <= now_s - signature[2] / 1e9 < SETTLE_S


def exists(path: Path) -> bool:
    """Return whether `path` exists; a broken link counts. Raises OSError if that is unknown."""
    try:
        path.lstat()
    except NOT_FOUND:
        return False
    return True
