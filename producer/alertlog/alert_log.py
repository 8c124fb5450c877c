"""The alert log as a `Source`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from producer.alertlog import find, seek
from producer.alertlog.cursor import NO_FILE_YET, Cursor
from producer.alertlog.directory import LogDirectory
from producer.alertlog.follower import Follower
from producer.alertlog.lag import lag
from producer.alertlog.open_files import OpenFiles
from producer.alertlog.watch import Watcher

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from datetime import datetime
    from pathlib import Path

    from common.settings.moments import LogPosition
    from common.settings.schema import ProducerSettings
    from producer.source import Batch, Lag, Line


class AlertLog:
    """The alert log whose current file is `path`; a `SearchableSource`, for one thread at a time.

    Lines above `max_line_bytes` are skipped. While waiting it looks at the file every `poll_s`, if not notified before.
    `now` returns seconds since 1970. `before_read` is called before each block is read; what it raises ends the search
    of an operator who has waited long enough, since the decompression of an archive may take minutes.
    """

    def __init__(
        self,
        path: Path,
        *,
        max_line_bytes: int,
        poll_s: float = 1.0,
        now: Callable[[], float] = time.time,
        before_read: Callable[[], object] | None = None,
    ) -> None:
        self._path, self._poll_s, self._now = path, poll_s, now
        self._directory = LogDirectory(path)
        self._open_files = OpenFiles(self._directory, max_line_bytes, before_read)
        self._follower = Follower(path, self._directory, self._open_files, now)
        self._watcher: Watcher | None = None

    @classmethod
    def of(cls, settings: ProducerSettings, *, before_read: Callable[[], object] | None = None) -> AlertLog:
        """Return the alert log that the settings name."""
        return cls(
            settings.alerts,
            max_line_bytes=settings.max_line_bytes,
            poll_s=settings.poll_interval_s,
            before_read=before_read,
        )

    def beginning(self) -> str:
        """Return the cursor before the oldest line."""
        return str(seek.beginning(self._directory))

    def end(self) -> str:
        """Return the cursor behind the newest complete line; without one, a cursor before all lines from now on."""
        found = seek.end(self._directory, self._open_files, self._now())
        if found.file == NO_FILE_YET:
            self._open_files.keep_empty_open(found, self._follower.files(found))
        return str(found)

    def at(self, moment: datetime) -> str:
        """Return the cursor before the first line whose timestamp is `moment` or later."""
        found = seek.at(self._directory, self._open_files, moment.timestamp())
        return str(found) if found else self.end()

    def position(self, position: LogPosition) -> str:
        """Return the cursor for a file and an offset; if the file is missing, for the start of the next file."""
        found = seek.position(self._directory, self._open_files, position)
        return str(found) if found else self.end()

    def read(self, cursor: str, max_bytes: int) -> Batch:
        """Return the lines from `cursor` on, about `max_bytes` of them. Never raises for what a log can look like."""
        return self._follower.read(Cursor.parse(cursor), max_bytes)

    def wait(self, seconds: float) -> None:
        """Return after `seconds`, or when the log has changed since the last call, or after `wake`.

        The first call begins to watch the log and returns at once, since it may have changed before.
        """
        if self._watcher:
            self._watcher.wait(seconds)
        else:
            self._watcher = Watcher(self._path, poll_s=self._poll_s)

    def wake(self) -> None:
        """End the current wait, or the next one. Safe in any thread and in signal handlers."""
        if watcher := self._watcher:
            watcher.wake()

    def close_unused(self, cursors: Collection[str]) -> None:
        """Close the readers that none of these cursors needs: an open descriptor keeps a deleted file on the disk."""
        self._open_files.close_unused([Cursor.parse(cursor) for cursor in cursors])

    def close(self) -> None:
        """Close every file, and stop watching."""
        self._open_files.close()
        watcher, self._watcher = self._watcher, None  # before it closes: a signal handler can call `wake` at any time
        if watcher:
            watcher.close()

    def lag(self, cursor: str) -> Lag:
        """Return how far `cursor` is behind the newest byte of the log."""
        parsed = Cursor.parse(cursor)
        return lag(parsed, self._directory.oldest_first(parsed.since), self._now())

    def line(self, line_id: str) -> Line | None:
        """Return the line with this id, or the part of a damaged line; None if no file has it any more."""
        return find.line(self._directory, self._open_files, line_id)

    def last(self, count: int) -> list[Line]:
        """Return the last `count` complete lines, oldest first; fewer if the log has no more."""
        return find.last(self._directory, self._open_files, count)

    def is_behind(self, cursor: str, line: Line) -> bool | None:
        """Return whether `cursor` is behind `line`, so that its reader has read the line; None if that is unknown."""
        return find.is_behind(self._directory, Cursor.parse(cursor), line)
