"""Determines which file follows another, and what is missing between them.

The dated names give the order, and a cursor holds the name of its file. Without a name, the fingerprint gives the time
of the file's first line. A copy of a file under a later name is read again: lines are repeated rather than lost.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from producer.alertlog.cursor import Cursor, dated_file_id
from producer.alertlog.directory import CURRENT, file_id_of
from producer.source import LossReason, SkippedRange

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from producer.alertlog.cursor import FileDate
    from producer.alertlog.directory import FileInfo


class NextFile(NamedTuple):
    """The file to continue with, and the files before it that cannot be read."""

    file: FileInfo
    unreadable_files: list[FileInfo]

    def skipped_files(self) -> list[SkippedRange]:
        """Return a skipped range for each file that cannot be read."""
        return [skipped_unreadable(file.path, "all of it", file.problem) for file in self.unreadable_files]

    def gaps(self, before: FileDate | None) -> list[SkippedRange]:
        """Return a skipped range for each gap in the names between `before` and this file."""
        names = [file.name for file in self.unreadable_files]
        between = [
            describe_gap(one, other) for one, other in zip([before, *names], [*names, self.file.name], strict=True)
        ]
        return [
            SkippedRange(LossReason.MISSING, f"{what}; continuing with {self.file.path}") for what in between if what
        ]


def start_of(file: FileInfo, files: Sequence[FileInfo]) -> Cursor:
    """Return the cursor before the first line of one of `files`."""
    return Cursor(file_id_of(file, files), 0, name=file.dated)


def copies_of(files: Sequence[FileInfo], cursor: Cursor) -> list[FileInfo]:
    """Return the files that can be the one of `cursor`, best first: plain before compressed, then the longest.

    A cursor of version 0.1 has no name, so files of several days can match: the oldest comes first.
    """
    found = [file for file in files if file.may_be(cursor) and _may_be_named(file, cursor)]

    def rank(file: FileInfo) -> tuple[object, ...]:
        # An `alerts.json` without a name can have the first line of a dated file: the cursor's file id decides.
        is_current = cursor.file == dated_file_id(file.fingerprint, CURRENT)
        is_other = file.name != cursor.name if cursor.name else is_current and not file.current
        return is_other, cursor.name or file.name, file.zipped, -file.size, not file.current

    return sorted(found, key=rank)


def _may_be_named(file: FileInfo, cursor: Cursor) -> bool:
    return not file.dated or not cursor.name or file.name == cursor.name


def next_file(files: Sequence[FileInfo], cursor: Cursor, *, is_copy: Callable[[FileInfo], bool]) -> NextFile | None:
    """Return the next one of `files` (oldest first) behind the file of `cursor`, if there is one with a line in it.

    `is_copy` says whether a file that matches `cursor` by first line and name is the same file or a copy of it.
    """
    ours = copies_of(files, cursor)
    later = [file for file in files_after(files, cursor) if file not in ours or not is_copy(file)]
    following = next((file for file in later if file.fingerprint), None)
    if not following:
        return None
    before = later[: later.index(following)]
    broken = [file for file in before if file.problem and file.name < following.name]
    return NextFile(following, broken)


def files_after(files: Sequence[FileInfo], cursor: Cursor) -> list[FileInfo]:
    """Return those of `files` that come after the one of `cursor`, judging by names and times."""
    name, began_at_s = name_of(files, cursor), cursor.first_line_at_s
    if not name:
        return [file for file in files if file.current or (began_at_s and _starts_later(file, began_at_s))]
    is_there = any(file.name == name and file.may_be(cursor) for file in files)
    return [
        file
        for file in files
        # A different file of the same day was written after ours was compressed, truncated or deleted.
        if file.name > name
        or (
            file.name == name
            and not file.may_be(cursor)
            and not (file.zipped and is_there)
            and (file.current or _starts_later(file, began_at_s) or not (is_there or file.zipped))
        )
    ]


def _starts_later(file: FileInfo, began_at_s: int) -> bool:
    return (Cursor(file.fingerprint, 0).first_line_at_s or file.modified_at_s) >= began_at_s


def name_of(files: Sequence[FileInfo], cursor: Cursor) -> FileDate | None:
    """Return the name of the file of `cursor`; if the cursor has none, that of the best matching file."""
    return cursor.name or next((file.name for file in copies_of(files, cursor)), None)


def skipped_unreadable(path: str, what: str, problem: str) -> SkippedRange:
    """Return the skipped range of a file that is damaged or not permitted to read."""
    return SkippedRange(LossReason.UNREADABLE, f"{path}: {what} cannot be read ({problem}) and was skipped")


def skipped_partial_line(path: str, offset: int, sample: bytes) -> SkippedRange:
    """Return the skipped range of a partial last line in a file that another file follows."""
    return SkippedRange(LossReason.UNFINISHED, f"{path}: the last line, at byte {offset}, is incomplete", sample)


def skipped_missing(cursor: Cursor, following: FileInfo) -> SkippedRange:
    """Return the skipped range of a file that no longer exists."""
    if cursor.file.startswith("?"):
        return SkippedRange(LossReason.MISSING, f"invalid cursor {cursor.file[1:]!r}; continuing with {following.path}")
    unknown = f"of {cursor.name}" if cursor.name else f"with fingerprint {cursor.file}"
    since = f"that began at {_time(cursor.first_line_at_s)}" if cursor.first_line_at_s else unknown
    next_s = Cursor(following.fingerprint, 0).first_line_at_s
    until = f", which begins at {_time(next_s)}" if next_s else ""
    detail = (
        f"the alerts file {since} was deleted or emptied: its data after byte {cursor.offset}, and everything before"
        f" {following.path}{until}, is missing; continuing there"
    )
    return SkippedRange(LossReason.MISSING, detail)


def skipped_truncated(cursor: Cursor, file: FileInfo) -> SkippedRange:
    """Return the skipped range of a file that was truncated or rewritten."""
    detail = f"{file.path} was truncated before byte {cursor.offset}: unread lines there are missing"
    return SkippedRange(LossReason.MISSING, detail)


def describe_gap(before: FileDate | None, after: FileDate) -> str:
    """Describe the days, or parts of a day, that are missing between two names; empty if there are none."""
    if not before or CURRENT in {before, after}:
        return ""
    day = timedelta(days=1)
    if before.day == after.day and after.part > before.part + 1:
        what = f"part {before.part + 1} to {after.part - 1} of {before.day}"
    elif after.day - before.day > day:
        what = f"every file of {before.day + day} to {after.day - day}"
    elif before.day != after.day and after.part > 0:
        what = f"what came before part {after.part} of {after.day}"
    else:
        return ""
    return f"{what} is missing (deleted, or there were no alerts)"


def _time(time_s: float) -> str:
    return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
