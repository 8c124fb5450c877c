"""Which file comes after which, and what is missing in between.

The names say the order, and a cursor knows that of its file. Where it has none, its fingerprint says when the file
began. A copy under a later name of something that was read is read again: twice rather than never.
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
    """The file to go on with, and the ones before it that cannot be read."""

    file: FileInfo
    unreadable_files: list[FileInfo]

    def skipped_files(self) -> list[SkippedRange]:
        """Tell of the ones that cannot be read."""
        return [skipped_unreadable(file.path, "all of it", file.problem) for file in self.unreadable_files]

    def gaps(self, before: FileDate | None) -> list[SkippedRange]:
        """Tell which files seem to be missing between the one called `before` and this one."""
        names = [file.name for file in self.unreadable_files]
        between = [
            describe_gap(one, other) for one, other in zip([before, *names], [*names, self.file.name], strict=True)
        ]
        return [SkippedRange(LossReason.MISSING, f"{what}; going on with {self.file.path}") for what in between if what]


def start_of(file: FileInfo, files: Sequence[FileInfo]) -> Cursor:
    """Return the place before the first line of one of `files`."""
    return Cursor(file_id_of(file, files), 0, name=file.dated)


def copies_of(files: Sequence[FileInfo], place: Cursor) -> list[FileInfo]:
    """Return the files that may be the one of `place`, the one to try first: plain before packed, then the longest.

    A cursor of version 0.1 has no name, so that files of several days may be: the oldest comes first.
    """
    found = [file for file in files if file.may_be(place) and _may_be_named(file, place)]

    def rank(file: FileInfo) -> tuple[object, ...]:
        # An `alerts.json` without a name may begin as dated files do: what is known of the place decides.
        is_current = place.file == dated_file_id(file.fingerprint, CURRENT)
        is_other = file.name != place.name if place.name else is_current and not file.current
        return is_other, place.name or file.name, file.zipped, -file.size, not file.current

    return sorted(found, key=rank)


def _may_be_named(file: FileInfo, place: Cursor) -> bool:
    return not file.dated or not place.name or file.name == place.name


def next_file(files: Sequence[FileInfo], place: Cursor, *, is_copy: Callable[[FileInfo], bool]) -> NextFile | None:
    """Return the next one of `files` (oldest first) behind the file of `place`, if there is one with a line in it.

    `is_copy` says whether a file that may be the one of `place` is another one after all.
    """
    ours = copies_of(files, place)
    later = [file for file in files_after(files, place) if file not in ours or not is_copy(file)]
    following = next((file for file in later if file.fingerprint), None)
    if not following:
        return None
    before = later[: later.index(following)]
    broken = [file for file in before if file.problem and file.name < following.name]
    return NextFile(following, broken)


def files_after(files: Sequence[FileInfo], place: Cursor) -> list[FileInfo]:
    """Return those of `files` that come after the one of `place`, as far as names and times tell."""
    name, began_at_s = name_of(files, place), place.first_line_at_s
    if not name:
        return [file for file in files if file.current or (began_at_s and _starts_later(file, began_at_s))]
    is_there = any(file.name == name and file.may_be(place) for file in files)
    return [
        file
        for file in files
        # Of the same day and yet another one: written after ours was packed, cut or removed, whatever it begins with.
        if file.name > name
        or (
            file.name == name
            and not file.may_be(place)
            and not (file.zipped and is_there)
            and (file.current or _starts_later(file, began_at_s) or not (is_there or file.zipped))
        )
    ]


def _starts_later(file: FileInfo, began_at_s: int) -> bool:
    return (Cursor(file.fingerprint, 0).first_line_at_s or file.modified_at_s) >= began_at_s


def name_of(files: Sequence[FileInfo], place: Cursor) -> FileDate | None:
    """Return the name of the file of `place`; if the cursor has none, that of the file to try first."""
    return place.name or next((file.name for file in copies_of(files, place)), None)


def skipped_unreadable(path: str, what: str, problem: str) -> SkippedRange:
    """Tell that a file is damaged or may not be read."""
    return SkippedRange(LossReason.UNREADABLE, f"{path}: {what} cannot be read ({problem}) and was passed over")


def skipped_partial_line(path: str, offset: int, sample: bytes) -> SkippedRange:
    """Tell that a file ends in half a line and another file follows."""
    return SkippedRange(LossReason.UNFINISHED, f"{path}: the last line, at byte {offset}, was never finished", sample)


def skipped_missing(place: Cursor, following: FileInfo) -> SkippedRange:
    """Tell that the file of `place` is nowhere, and what therefore is missing."""
    if place.file.startswith("?"):
        return SkippedRange(
            LossReason.MISSING, f"the cursor {place.file[1:]!r} is none; going on with {following.path}"
        )
    unknown = f"of {place.name}" if place.name else f"with fingerprint {place.file}"
    since = f"that began at {_time(place.first_line_at_s)}" if place.first_line_at_s else unknown
    next_s = Cursor(following.fingerprint, 0).first_line_at_s
    until = f", which begins at {_time(next_s)}" if next_s else ""
    detail = (
        f"the alerts file {since} is gone or was emptied: what it had behind byte {place.offset}, and what else came"
        f" before {following.path}{until}, is missing; going on there"
    )
    return SkippedRange(LossReason.MISSING, detail)


def skipped_truncated(place: Cursor, file: FileInfo) -> SkippedRange:
    """Tell that a file is shorter than it was, or was written again."""
    detail = f"{file.path} was cut before byte {place.offset}: what it had there is missing if it was not read yet"
    return SkippedRange(LossReason.MISSING, detail)


def describe_gap(before: FileDate | None, after: FileDate) -> str:
    """Say which files seem to be missing between two, by their names: days, or parts of one."""
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
    return f"{what} is not there (removed, or there were no alerts)"


def _time(time_s: float) -> str:
    return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
