"""The files that a script receives, in a folder that no other user can read (D15).

Each transport has its own folder (mode 0700) and keeps it locked while it exists. A folder without a lock belongs to a
worker that was killed. Another worker removes it before it takes over the deliveries, or at a call. Before that, it
kills the scripts that use files of the folder: no worker watches them any more, and their deliveries are repeated.
The names of the files have the stock form.
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
from workers.process_identity import of_child, session_leaders, this_process
from workers.transports.script.checks import script_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from random import Random

    from workers.calls import ScriptCall
    from workers.transports.script.user import ScriptUser

PREFIX: Final = "courier-scripts-"
_UNLOCKED_PREFIX: Final = ".courier-new-"
SWEEP_INTERVAL_S: Final = 5.0
"""Seconds between two sweeps. Any user can fill /tmp; a sweep at every call would let that user slow down calls."""

_LONGEST_NAME_BYTES: Final = 180
"""Bytes of the integration's name in a file name, which may have 255 bytes in total."""

_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class PrivateFiles:
    """Creates the files of each call and removes them. `now` is the time of day in seconds, for their names.

    The folder is created in `base`; None means the system's temporary folder. `user` runs the scripts; None means this
    process's user. The files belong to `user`; the folder belongs to this process, so that `user` cannot replace it.
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
        """Yield the paths of the alert file and the options file, and remove the files after the block.

        Raises TransportError (script_unusable) if they cannot be written.
        """
        with ExitStack() as stack:
            try:
                self._sweep_if_due()
                alert = self._write(stack, call.name, ".alert", call.alert_file)
                stack.callback(_remove, _pid_file(alert))
                options = call.options_file
                paths = alert, None if options is None else self._write(stack, call.name, ".options", options)
            except OSError as error:
                raise script_error(f"its private files cannot be written in {self._base}: {error.strerror}") from None
            yield paths

    def _sweep_if_due(self) -> None:
        now_s = self._now()
        with self._lock:
            # abs: the clock may be set back
            if self._swept_s is not None and abs(now_s - self._swept_s) < SWEEP_INTERVAL_S:
                return
            self._swept_s = now_s
        remove_stale(self._base)

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
        """Return the folder. Create it at first use, and again if something has deleted it."""
        with self._lock:
            if self._folder is None or not exists(self._folder):
                self._base.mkdir(mode=0o711 if self._user else 0o700, parents=True, exist_ok=True)
                self._folder, descriptor = _create_locked(self._base, self._user)
                weakref.finalize(self, _release, self._folder, descriptor)
            return self._folder


def record_pid(alert: Path, pid: int) -> None:
    """Record the group leader that uses this alert file, so that another worker can kill the group.

    The target of a dangling symbolic link contains the text: it takes a tenth of the time of a file, at every call.
    """
    with suppress(OSError):
        _pid_file(alert).symlink_to(str(of_child(pid)))


def _pid_file(alert: Path) -> Path:
    return alert.with_suffix(".process")


def _create_locked(base: Path, user: ScriptUser | None) -> tuple[Path, int]:
    """Create a locked folder. It gets its final name only after it is locked, so that no sweep removes it in between.

    If the scripts have their own user, that user may enter the folder, but not list or change it.
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


def remove_stale(base: Path | None) -> None:
    """Remove the folders in `base` (None: the system's temporary folder) of killed workers, and kill their scripts."""
    base = base or Path(tempfile.gettempdir())
    for name in os.listdir(base) if exists(base) else ():  # noqa: PTH208 — the fastest way, and /tmp may be large
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
                    _kill_scripts(folder)
                    shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(descriptor)


def _kill_scripts(folder: Path) -> None:
    """Kill the scripts that still run and use a file of the folder.

    A record includes the start time, as the process id may have been reused. A worker that was killed right after it
    had started a script wrote no record of it; the script's first argument is the path of its alert file.
    """
    here = this_process()
    recorded = {here.running_pid(str(record.readlink())) for record in folder.glob("*.process")}
    for pid in recorded | session_leaders(f"/{folder.name}/"):
        if pid is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink()
