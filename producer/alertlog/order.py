"""Which file comes after which, and what is missing in between.

The names say the order, and a cursor knows that of its file. Where it has none, its fingerprint says when the file
began. A copy under a later name of something that was read is read again: twice rather than never.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from producer.alertlog.folder import CURRENT, mark_of
from producer.alertlog.position import Place, dated_mark
from producer.source import Loss, Passed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from producer.alertlog.folder import File
    from producer.alertlog.position import Name


class Step(NamedTuple):
    """The file to go on with, and the ones before it that cannot be read."""

    file: File
    broken: list[File]

    def unreadable(self) -> list[Passed]:
        """Tell of the ones that cannot be read."""
        return [unreadable(file.path, "all of it", file.problem) for file in self.broken]

    def gaps(self, before: Name | None) -> list[Passed]:
        """Tell which files seem to be missing between the one called `before` and this one."""
        names = [file.name for file in self.broken]
        between = [gap(one, other) for one, other in zip([before, *names], [*names, self.file.name], strict=True)]
        return [Passed(Loss.MISSING, f"{what}; going on with {self.file.path}") for what in between if what]


def start_of(file: File, files: Sequence[File]) -> Place:
    """Return the place before the first line of one of `files`."""
    return Place(mark_of(file, files), 0, name=file.dated)


def copies(files: Sequence[File], place: Place) -> list[File]:
    """Return the files that may be the one of `place`, the one to try first: plain before packed, then the longest.

    A cursor of version 0.1 has no name, so that files of several days may be: the oldest comes first.
    """
    found = [file for file in files if file.begins_as(place) and _may_be_named(file, place)]

    def rank(file: File) -> tuple[object, ...]:
        # An `alerts.json` without a name may begin as dated files do: what is known of the place decides.
        is_current = place.file == dated_mark(file.fingerprint, CURRENT)
        is_other = file.name != place.name if place.name else is_current and not file.current
        return is_other, place.name or file.name, file.zipped, -file.size, not file.current

    return sorted(found, key=rank)


def _may_be_named(file: File, place: Place) -> bool:
    return not file.dated or not place.name or file.name == place.name


def step(files: Sequence[File], place: Place, *, is_copy: Callable[[File], bool]) -> Step | None:
    """Return the next one of `files` (oldest first) behind the file of `place`, if there is one with a line in it.

    `is_copy` says whether a file that may be the one of `place` is another one after all.
    """
    ours = copies(files, place)
    later = [file for file in behind(files, place) if file not in ours or not is_copy(file)]
    following = next((file for file in later if file.fingerprint), None)
    if not following:
        return None
    before = later[: later.index(following)]
    broken = [file for file in before if file.problem and file.name < following.name]
    return Step(following, broken)


def behind(files: Sequence[File], place: Place) -> list[File]:
    """Return those of `files` that come after the one of `place`, as far as names and times tell."""
    name, began_at_s = name_of(files, place), place.began_at_s
    if not name:
        return [file for file in files if file.current or (began_at_s and _began_later(file, began_at_s))]
    is_there = any(file.name == name and file.begins_as(place) for file in files)
    return [
        file
        for file in files
        # Of the same day and yet another one: written after ours was packed, cut or removed, whatever it begins with.
        if file.name > name
        or (
            file.name == name
            and not file.begins_as(place)
            and not (file.zipped and is_there)
            and (file.current or _began_later(file, began_at_s) or not (is_there or file.zipped))
        )
    ]


def _began_later(file: File, began_at_s: int) -> bool:
    return (Place(file.fingerprint, 0).began_at_s or file.changed_at_s) >= began_at_s


def name_of(files: Sequence[File], place: Place) -> Name | None:
    """Return the name of the file of `place`; if the cursor has none, that of the file to try first."""
    return place.name or next((file.name for file in copies(files, place)), None)


def unreadable(path: str, what: str, problem: str) -> Passed:
    """Tell that a file is damaged or may not be read."""
    return Passed(Loss.UNREADABLE, f"{path}: {what} cannot be read ({problem}) and was passed over")


def unfinished(path: str, offset: int, sample: bytes) -> Passed:
    """Tell that a file ends in half a line and another file follows."""
    return Passed(Loss.UNFINISHED, f"{path}: the last line, at byte {offset}, was never finished", sample)


def gone(place: Place, following: File) -> Passed:
    """Tell that the file of `place` is nowhere, and what therefore is missing."""
    if place.file.startswith("?"):
        return Passed(Loss.MISSING, f"the cursor {place.file[1:]!r} is none; going on with {following.path}")
    unknown = f"of {place.name}" if place.name else f"with fingerprint {place.file}"
    since = f"that began at {_time(place.began_at_s)}" if place.began_at_s else unknown
    next_s = Place(following.fingerprint, 0).began_at_s
    until = f", which begins at {_time(next_s)}" if next_s else ""
    detail = (
        f"the alerts file {since} is gone or was emptied: what it had behind byte {place.offset}, and what else came"
        f" before {following.path}{until}, is missing; going on there"
    )
    return Passed(Loss.MISSING, detail)


def cut(place: Place, file: File) -> Passed:
    """Tell that a file is shorter than it was, or was written again."""
    detail = f"{file.path} was cut before byte {place.offset}: what it had there is missing if it was not read yet"
    return Passed(Loss.MISSING, detail)


def gap(before: Name | None, after: Name) -> str:
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
