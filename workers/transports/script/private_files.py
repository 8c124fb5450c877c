"""The files that a script is given, where nobody else can read them (D15).

Each transport has a folder of its own (0700), which it keeps locked as long as it lives. A folder that nobody has
locked was left behind by a worker that was killed: another worker removes it, at its first call or seconds later.
Before that it ends the scripts that are noted there: nobody watches them any more, and what they do is done again.
Names keep the stock shape.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import tempfile
import threading
import weakref
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from common.files import exists
from workers.process_identity import of_child, this_process
from workers.transports.script.checks import script_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from random import Random

    from workers.calls import ScriptCall
    from workers.transports.script.user import ScriptUser

PREFIX: Final = "courier-scripts-"
_UNLOCKED_PREFIX: Final = ".courier-new-"
SWEEP_INTERVAL_S: Final = 5.0
"""Anybody can fill /tmp: to look through it at every call would make each of them as slow as he likes."""

_LONGEST_NAME_BYTES: Final = 180
"""Of the integration's name in a file's name, which has at most 255 bytes in all."""

_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class PrivateFiles:
    """Makes the files of each call and removes them. `now` is the time of day in seconds, for their names.

    `base` is where the folder is made: a folder of the operator's, or None for the system's temporary one. `user` runs
    the scripts, None for this process's own: the files are his, the folder stays ours, so that he cannot exchange it.
    """

    def __init__(
        self, base: Path | None, *, now: Callable[[], float], random: Random, user: ScriptUser | None = None
    ) -> None:
        self._base, self._now, self._random = base or Path(tempfile.gettempdir()), now, random
        self._user = user
        self._folder: Path | None = None
        self._swept_s: float | None = None
        self._lock = threading.Lock()

    @contextmanager
    def of(self, call: ScriptCall) -> Iterator[tuple[Path, Path | None]]:
        """Give the paths of the alert file and the options file while the block runs; then they are gone.

        Raises TransportError (script_unusable) if they cannot be written.
        """
        with ExitStack() as stack:
            try:
                self._sweep_now_and_then()
                alert = self._write(stack, call.name, ".alert", call.alert_file)
                stack.callback(_remove, _pid_file(alert))
                options = call.options_file
                paths = alert, None if options is None else self._write(stack, call.name, ".options", options)
            except OSError as error:
                raise script_error(f"its private files cannot be written in {self._base}: {error.strerror}") from None
            yield paths

    def _sweep_now_and_then(self) -> None:
        now_s = self._now()
        with self._lock:
            if self._swept_s is not None and abs(now_s - self._swept_s) < SWEEP_INTERVAL_S:  # a clock may be set back
                return
            self._swept_s = now_s
        _remove_stale(self._base)

    def _write(self, stack: ExitStack, name: str, ending: str, content: bytes) -> Path:
        path, descriptor = self._create(name, ending)
        stack.callback(_remove, path)
        with os.fdopen(descriptor, "wb") as file:
            if self._user:
                os.fchown(descriptor, self._user.uid, -1)
            file.write(content)
        return path

    def _create(self, name: str, ending: str) -> tuple[Path, int]:
        short = os.fsdecode(os.fsencode(name)[:_LONGEST_NAME_BYTES])
        while True:
            folder = self._existing_folder()
            path = folder / f"{short}-{int(self._now())}-{self._random.getrandbits(31)}{ending}"
            with suppress(FileExistsError):
                return path, os.open(path, _CREATE, 0o600)

    def _existing_folder(self) -> Path:
        """Return the folder; make it at first use, and again if somebody's cleaning took it."""
        with self._lock:
            if self._folder is None or not exists(self._folder):
                self._base.mkdir(mode=0o711 if self._user else 0o700, parents=True, exist_ok=True)
                self._folder, descriptor = _create_locked(self._base, self._user)
                weakref.finalize(self, _release, self._folder, descriptor)
            return self._folder


def record_pid(alert: Path, pid: int) -> None:
    """Write down which process was given this alert file, and leads a group, for those who find it unwatched.

    A link that leads nowhere holds the text: a tenth of what a file costs, at every call.
    """
    with suppress(OSError):
        _pid_file(alert).symlink_to(str(of_child(pid)))


def _pid_file(alert: Path) -> Path:
    return alert.with_suffix(".process")


def _create_locked(base: Path, user: ScriptUser | None) -> tuple[Path, int]:
    """Make a locked folder. It gets its final name only with the lock, so that no sweep takes it in between.

    A user of the scripts' own may enter it, but neither list nor change it.
    """
    fresh = Path(tempfile.mkdtemp(prefix=_UNLOCKED_PREFIX, dir=base))
    descriptor = os.open(fresh, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    if user:
        os.fchown(descriptor, -1, user.gid)
        os.fchmod(descriptor, 0o710)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    return fresh.rename(base / f"{PREFIX}{fresh.name.removeprefix(_UNLOCKED_PREFIX)}"), descriptor


def _release(folder: Path, descriptor: int) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    os.close(descriptor)


def _remove_stale(base: Path) -> None:
    """Remove our user's folders whose worker is gone, and end the scripts that it was running."""
    for name in os.listdir(base) if exists(base) else ():  # noqa: PTH208 — the fastest, and /tmp may be large
        if not name.startswith(PREFIX):
            continue
        folder = base / name
        with suppress(OSError):
            if os.lstat(folder).st_uid != os.geteuid():
                continue
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(descriptor).st_uid == os.geteuid():
                    _end_scripts(folder)
                    shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(descriptor)


def _end_scripts(folder: Path) -> None:
    """End those that still run: the note says when each was started, for its number may be another's by now."""
    for noted in folder.glob("*.process"):
        pid = this_process().running_pid(str(noted.readlink()))
        if pid is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink()
