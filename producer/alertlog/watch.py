"""Waits until the alert log has changed.

Where the kernel tells of changes this takes a millisecond and costs nothing; where it does not, as on network file
systems, the log is looked at every `poll_s`. Both go on side by side, so nobody has to know which kind it is.
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

if TYPE_CHECKING:
    from pathlib import Path

_FOLDER_EVENTS: Final = flags.CREATE | flags.DELETE | flags.MOVED_FROM | flags.MOVED_TO | flags.ONLYDIR
_FILE_EVENTS: Final = flags.MODIFY

_log = logging.getLogger("courier.producer")


class Watcher:
    """Watches the `alerts.json` at `path`, whether it is there or not. Only `wake` may be called from elsewhere."""

    def __init__(self, path: Path, *, poll_s: float) -> None:
        self._path, self._poll_s = str(path), poll_s
        self._folders = {str(path.parent)}
        self._wake_reader, self._wake_writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._poller = select.poll()
        self._poller.register(self._wake_reader, select.POLLIN)
        self._inotify_failed = False
        self._file_watch: int | None = None
        self._notifier = self._listen()
        self._seen = self._watch_paths()

    def wait(self, timeout_s: float) -> bool:
        """Return after `timeout_s`, or at once when the log has changed since the last call, or after `wake`.

        Say whether it was one of the latter.
        """
        deadline_s = time.monotonic() + timeout_s
        while True:
            before, self._seen = self._seen, self._watch_paths()
            if before != self._seen:
                return True
            left_s = max(0.0, deadline_s - time.monotonic())
            if self._poller.poll(min(left_s, self._poll_s) * 1000):
                self._drain()
                # Whoever reads now must hear of what is written from now on, to the file that is there now.
                self._seen = self._watch_paths()
                return True
            if left_s <= self._poll_s:
                return False

    def wake(self) -> None:
        """End the wait that is under way, or the next one. For any thread and for signal handlers."""
        with contextlib.suppress(BlockingIOError):  # full of earlier calls: they will do
            os.write(self._wake_writer, b".")

    def close(self) -> None:
        """Let go of the kernel's resources."""
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
        """Listen to what is at the path now, and return what changes whenever it does.

        The folder alone is not enough: it tells of writes only if the file was opened by its name in there, and the
        manager opens it by its other name, the dated one.
        """
        if os.path.islink(self._path):  # noqa: PTH114 — as below
            # Where it leads to can change, and a new file there is not told of in the folder of the link.
            self._folders = {os.path.dirname(self._path), os.path.dirname(os.path.realpath(self._path))}  # noqa: PTH120
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
            with contextlib.suppress(OSError):  # it ended with its file
                notifier.rm_watch(self._file_watch)
        self._file_watch = watch

    def _warn_polling(self, error: OSError) -> None:
        if not self._inotify_failed:
            _log.warning(
                "the kernel does not tell of changes of %s (%s): looking every %g s; if it is a limit,"
                " raise fs.inotify.max_user_watches and max_user_instances",
                *(self._path, error.strerror, self._poll_s),
            )
        self._inotify_failed = True

    def _drain(self) -> None:
        if self._notifier:
            self._notifier.read(timeout=0)
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake_reader, 4096)
