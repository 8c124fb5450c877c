"""Waits until the alert log changes.

inotify reports a change within a millisecond. It does not report changes on network file systems, so the log is also
checked every `poll_s`. Both always run, so the kind of file system need not be configured.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import select
import time
from typing import TYPE_CHECKING, Final

from inotify_simple import INotify, flags

from common.logs import Condition

if TYPE_CHECKING:
    from pathlib import Path

_FOLDER_EVENTS: Final = flags.CREATE | flags.DELETE | flags.MOVED_FROM | flags.MOVED_TO | flags.ONLYDIR
_FILE_EVENTS: Final = flags.MODIFY

_log = logging.getLogger("courier.producer")


class Watcher:
    """Watches the `alerts.json` at `path`, which need not exist. Only `wake` is safe in other threads and signals."""

    def __init__(self, path: Path, *, poll_s: float) -> None:
        self._path, self._poll_s = str(path), poll_s
        self._folders = {str(path.parent)}
        self._wake_reader, self._wake_writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._poller = select.poll()
        self._poller.register(self._wake_reader, select.POLLIN)
        self._unwatched = Condition(_log)
        self._file_watch: int | None = None
        self._notifier = self._listen()
        self._seen = self._watch_paths()

    def wait(self, timeout_s: float) -> bool:
        """Return after `timeout_s`, or at once if the log has changed since the last call, or after `wake`.

        Return False only if the time has passed.
        """
        deadline_s = time.monotonic() + timeout_s
        while True:
            before, self._seen = self._seen, self._watch_paths()
            if before != self._seen:
                return True
            left_s = max(0.0, deadline_s - time.monotonic())
            if self._poller.poll(min(left_s, self._poll_s) * 1000):
                self._drain()
                # Add the watch before the caller reads, so that no write to a new file is missed.
                self._seen = self._watch_paths()
                return True
            if left_s <= self._poll_s:
                return False

    def wake(self) -> None:
        """End the current wait, or the next one. Safe in any thread and in signal handlers."""
        with contextlib.suppress(BlockingIOError):  # the pipe is full of earlier calls, which also end the wait
            os.write(self._wake_writer, b".")

    def close(self) -> None:
        """Close the inotify and pipe descriptors."""
        if self._notifier:
            self._notifier.close()
        os.close(self._wake_reader)
        os.close(self._wake_writer)

    def _listen(self) -> INotify | None:
        try:
            notifier = INotify()
        except OSError as error:
            self._warn_polling(error)
            return None
        self._poller.register(notifier, select.POLLIN)
        return notifier

    def _watch_paths(self) -> tuple[int, ...] | None:
        """Watch the file that is at the path now, and return a value that differs whenever the file changes.

        Watching the folder is not enough: it reports writes only if the file was opened by its name in that folder,
        and the manager opens it by its other name, the dated one.
        """
        if os.path.islink(self._path):  # noqa: PTH114 — as below
            # The target can change, and the link's folder does not report a new file in the target's folder.
            self._folders = {os.path.dirname(self._path), os.path.dirname(os.path.realpath(self._path))}  # noqa: PTH120 — as texts, which are compared
        if self._notifier:
            self._watch(self._notifier)
        try:
            status = os.stat(self._path)  # noqa: PTH116 — many times a second; a Path costs ten times as much
        except OSError:
            return None
        return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns

    def _watch(self, notifier: INotify) -> None:
        try:
            for folder in self._folders:
                notifier.add_watch(folder, _FOLDER_EVENTS)
            watch = notifier.add_watch(self._path, _FILE_EVENTS)
        except OSError as error:
            if error.errno not in {errno.ENOENT, errno.ENOTDIR}:
                self._warn_polling(error)
            return
        if self._file_watch not in {None, watch}:
            with contextlib.suppress(OSError):  # the kernel removed the watch together with its file
                notifier.rm_watch(self._file_watch)
        self._file_watch = watch

    def _warn_polling(self, error: OSError) -> None:
        self._unwatched.set(
            f"inotify is unavailable for {self._path} ({error.strerror}); polling every {self._poll_s:g} s; if it is a "
            "limit, raise fs.inotify.max_user_watches and max_user_instances"
        )

    def _drain(self) -> None:
        if self._notifier:
            self._notifier.read(timeout=0)
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake_reader, 4096)
