"""The stock Integrator on this host: whether it runs, its position in the alert log, and which integrations it shares.

The daemon stores no position on disk, but /proc shows the offset of its open log file. The offset is ahead of what was
sent: the C library reads whole blocks, and the current alert may be unsent. Unless the daemon is idle, Courier
therefore moves the position back by one block, to the start of a line: it may send a few alerts twice, but misses none.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from common.errors import ConfigError, CourierError
from common.settings.moments import LogPosition
from producer.alertlog.directory import LogDirectory, root_of
from producer.alertlog.log_file import open_log_file
from producer.configuration import read_configuration
from producer.ossec_conf import read_ossec_conf

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from common.integration import Integration
    from common.settings.load import Settings
    from producer.alertlog.directory import FileInfo

NAME: Final = "wazuh-integratord"
PROC: Final = Path("/proc")
POLLS: Final = 3
POLL_INTERVAL_S: Final = 0.1
"""A busy daemon runs one script after the other, so POLLS polls without a child process mean that it is idle."""

HEAD_BYTES: Final = 64 * 1024
_SHOWN_NAME: Final = NAME[:15]
"""The kernel truncates process names to 15 bytes (TASK_COMM_LEN)."""

_GZIP_SIZES: Final = 2**32
"""The last four bytes of a gzip file are the size of its content modulo this (RFC 1952)."""


class Daemon(NamedTuple):
    """A running stock Integrator and the /proc that shows it."""

    pid: int
    proc: Path = PROC

    @property
    def folder(self) -> Path:
        """The folder of the process in /proc."""
        return self.proc / str(self.pid)


class ReadProgress(NamedTuple):
    """The position of a daemon. `behind_bytes` of the file follow it. `idle` means that all alerts before it were sent.

    `dated` says whether the file keeps its name at a rotation.
    """

    pid: int
    position: LogPosition
    behind_bytes: int
    idle: bool
    dated: bool


def running(proc: Path = PROC) -> list[Daemon]:
    """Return the stock Integrators on this host, without their forked children that have not called exec yet."""
    found = {}
    for entry in os.listdir(proc):  # noqa: PTH208 — hundreds of names, few of them used
        if entry.isdigit() and (parent := _parent_if_daemon(proc / entry)) is not None:
            found[int(entry)] = parent
    return [Daemon(pid, proc) for pid, parent in sorted(found.items()) if parent not in found]


def read_progress(alerts: Path, daemons: Sequence[Daemon], *, sleep: Callable[[float], object]) -> ReadProgress:
    """Return the position of the daemon that reads this log. Raises CourierError if it cannot be determined."""
    if not daemons:
        raise CourierError(
            f"no {NAME} is running on this host; for one in a container, run this where its processes are visible"
        )
    files = list(LogDirectory(alerts).oldest_first())
    for daemon in daemons:
        try:
            found = _open_log(daemon, files)
            if found:
                return _read_progress(daemon, *found, alerts, sleep)
        except PermissionError:
            who = f"user {os.geteuid()}"
            raise CourierError(f"{who} cannot read the open files of {NAME} (pid {daemon.pid}); run as root") from None
        except OSError as error:
            raise CourierError(
                f"{NAME} (pid {daemon.pid}) exited during the check: {error.strerror}; run the command again"
            ) from None
    pids = ", ".join(str(daemon.pid) for daemon in daemons)
    raise CourierError(
        f"{NAME} (pid {pids}) has no file open in {alerts.parent}; give the path of its log with --alerts"
    )


def duplicated_targets(settings: Settings, daemons: Iterable[Daemon]) -> Iterator[tuple[int, str]]:
    """Yield the process id of each daemon, and as text the integrations that both it and Courier serve."""
    for daemon in daemons:
        try:
            ours = read_configuration(settings).integrations
            theirs = {_target(one) for one in read_ossec_conf(_config(daemon, settings)).integrations}
        except ConfigError:
            yield daemon.pid, "unknown: its ossec.conf cannot be read"
            continue
        both = [one.id for one in ours if _target(one) in theirs]
        yield daemon.pid, ", ".join(both) or "none in its ossec.conf; if that file changed, restart the manager"


def warn_if_running(settings: Settings, log: logging.Logger) -> None:
    """Log a warning for each stock Integrator on this host. If /proc is not readable, log nothing."""
    try:
        found = list(duplicated_targets(settings, running()))
    except OSError:
        return
    for pid, integrations in found:
        extra = {"pid": pid, "integrations": integrations}
        log.warning("%s is running on this host; stop it, otherwise alerts are sent twice", NAME, extra=extra)


def _parent_if_daemon(folder: Path) -> int | None:
    """Return the parent's process id if this is a running stock Integrator, else None."""
    try:
        if (folder / "comm").read_text().rstrip("\n") != _SHOWN_NAME:
            return None
        state, parent = (folder / "stat").read_text("ascii", "replace").rpartition(")")[2].split()[:2]
    except OSError:  # the process has exited
        return None
    return None if state in "ZX" else int(parent)


def _config(daemon: Daemon, settings: Settings) -> Path:
    """Return the path of its ossec.conf. Its working directory is the manager's home (spec, paths)."""
    own = daemon.folder / "cwd/etc/ossec.conf"
    return own if os.access(own, os.R_OK) else settings.worker.wazuh_home / "etc/ossec.conf"


def _target(integration: Integration) -> tuple[object, ...]:
    return integration.name, integration.hook_url, integration.api_key


def _open_log(daemon: Daemon, files: Sequence[FileInfo]) -> tuple[str, FileInfo] | None:
    """Return the descriptor with which it reads the log, and the log file."""
    folder = daemon.folder / "fd"
    for descriptor in os.listdir(folder):  # noqa: PTH208 — as above
        opened = folder / descriptor
        status = opened.stat()
        if not stat.S_ISREG(status.st_mode):
            continue
        inode = (status.st_dev, status.st_ino)
        same = [file for file in files if file.inode == inode and not file.zipped]
        if not same and re.search(r"alerts.*\.json( \(deleted\))?\Z", str(opened.readlink())):
            same = [file for file in files if file.zipped and _is_packed(opened, status.st_size, file)]
        if same:  # oldest first: a dated name before the current one, because it does not change
            return descriptor, same[0]
    return None


def _is_packed(opened: Path, size: int, file: FileInfo) -> bool:
    """Return whether `file` is the archive of the deleted log file that the daemon still reads."""
    with open(file.path, "rb") as packed:  # noqa: PTH123 — the path is a str
        packed.seek(-4, os.SEEK_END)
        if int.from_bytes(packed.read(4), "little") != size % _GZIP_SIZES:
            return False
    content = open_log_file(file.path, zipped=True)
    try:
        content.seek(0, "")
        head = b""
        while len(head) < min(size, HEAD_BYTES) and (more := content.read(HEAD_BYTES - len(head))):
            head += more
    finally:
        content.close()
    with opened.open("rb") as plain:
        return plain.read(len(head)) == head


def _read_progress(
    daemon: Daemon, descriptor: str, file: FileInfo, alerts: Path, sleep: Callable[[float], object]
) -> ReadProgress:
    at, idle = _offset(daemon, descriptor), not _has_children(daemon)
    for _ in range(POLLS - 1):
        sleep(POLL_INTERVAL_S)
        before, at = at, _offset(daemon, descriptor)
        idle = idle and at == before and not _has_children(daemon)
    with (daemon.folder / "fd" / descriptor).open("rb") as log:
        status = os.fstat(log.fileno())
        at = min(at, status.st_size)
        offset = _line_start(log.fileno(), at if idle else max(0, at - status.st_blksize))
    dated = not file.current
    folder = root_of(str(alerts)) if dated else alerts.parent
    name = str(Path(file.path.removesuffix(".gz")).relative_to(folder))
    return ReadProgress(daemon.pid, LogPosition(name, offset), status.st_size - offset, idle, dated)


def _offset(daemon: Daemon, descriptor: str) -> int:
    text = (daemon.folder / "fdinfo" / descriptor).read_text("ascii")
    return int(text.partition("pos:")[2].split(maxsplit=1)[0])


def _has_children(daemon: Daemon) -> bool:
    """Return whether the daemon is running a script."""
    stats = (daemon.proc / entry / "stat" for entry in os.listdir(daemon.proc) if entry.isdigit())  # noqa: PTH208 — as above
    return any(_parent(path) == daemon.pid for path in stats)


def _parent(path: Path) -> int:
    try:
        return int(path.read_text("ascii", "replace").rpartition(")")[2].split()[1])
    except OSError:
        return 0


def _line_start(log: int, offset: int) -> int:
    """Return the start of the line that contains byte `offset`; `offset` itself if it is the first byte of a line."""
    end = offset
    while end > 0:
        start = max(0, end - HEAD_BYTES)
        newline = os.pread(log, end - start, start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0
