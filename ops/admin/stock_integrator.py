"""The stock Integrator on this host: whether it runs, how far it has read the alert log, and what it also sends.

It keeps no position on disk; but the kernel knows where in the log its open file stands, and shows it in /proc. That is
ahead of what has been sent: the C library reads a block at a time, and the alert in hand may not be through. So unless
the daemon is seen to be idle, the position goes back by that block, to the start of a line: a few alerts come twice
rather than one never.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from common.errors import ConfigError, CourierError
from common.settings.values import LogPosition
from producer.alertlog.directory import LogDirectory, root_of
from producer.alertlog.log_file import open_log_file
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
"""A daemon that has alerts in hand runs a script for each, one after the other: so often it is not seen without one."""

HEAD_BYTES: Final = 64 * 1024
_SHOWN_NAME: Final = NAME[:15]
"""The kernel keeps 15 bytes of a process's name (TASK_COMM_LEN)."""

_GZIP_SIZES: Final = 2**32
"""An archive's last four bytes are the size of its content, modulo this (RFC 1952)."""


class Daemon(NamedTuple):
    """A running stock Integrator, with the /proc in which it was found."""

    pid: int
    proc: Path = PROC

    @property
    def folder(self) -> Path:
        """Its folder in /proc."""
        return self.proc / str(self.pid)


class ReadProgress(NamedTuple):
    """How far a daemon has read. `behind_bytes` follow in the same file; `idle` if all before was surely sent.

    `dated` says whether the file's name stays after a rotation.
    """

    pid: int
    position: LogPosition
    behind_bytes: int
    idle: bool
    dated: bool


def running(proc: Path = PROC) -> list[Daemon]:
    """Return the stock Integrators that run on this host, without the children that they are about to exec."""
    found = {}
    for entry in os.listdir(proc):  # noqa: PTH208 — hundreds of names, of which few matter
        if entry.isdigit() and (parent := _parent_if_daemon(proc / entry)) is not None:
            found[int(entry)] = parent
    return [Daemon(pid, proc) for pid, parent in sorted(found.items()) if parent not in found]


def read_progress(alerts: Path, daemons: Sequence[Daemon], *, sleep: Callable[[float], object]) -> ReadProgress:
    """Return how far the daemon that follows this log has come. Raises CourierError if that cannot be told."""
    if not daemons:
        raise CourierError(f"no {NAME} runs on this host; in a container, run this where its processes can be seen")
    files = list(LogDirectory(alerts).oldest_first())
    for daemon in daemons:
        try:
            found = _open_log(daemon, files)
            if found:
                return _read_progress(daemon, *found, alerts, sleep)
        except PermissionError:
            who = f"user {os.geteuid()}"
            raise CourierError(f"the open files of {NAME} ({daemon.pid}) cannot be seen by {who}; use root") from None
        except OSError as error:
            raise CourierError(f"{NAME} ({daemon.pid}) ended meanwhile: {error.strerror}; start it again") from None
    pids = ", ".join(str(daemon.pid) for daemon in daemons)
    raise CourierError(f"{NAME} ({pids}) has no file of {alerts.parent} open; name its log with --alerts")


def duplicated_targets(settings: Settings, daemons: Iterable[Daemon]) -> Iterator[tuple[int, str]]:
    """Yield the process id of each running daemon, and the integrations of ours that it also sends, for a person."""
    for daemon in daemons:
        try:
            ours = read_ossec_conf(settings.producer.config).integrations
            theirs = {_target(one) for one in read_ossec_conf(_config(daemon, settings)).integrations}
        except ConfigError:
            yield daemon.pid, "not known: its ossec.conf cannot be read"
            continue
        both = [one.id for one in ours if _target(one) in theirs]
        yield daemon.pid, ", ".join(both) or "none of its ossec.conf; if that changed, restart the manager"


def warn_if_running(settings: Settings, log: logging.Logger) -> None:
    """Log a warning for each stock Integrator that runs here; a host that does not show its processes says nothing."""
    try:
        found = list(duplicated_targets(settings, running()))
    except OSError:
        return
    for pid, integrations in found:
        extra = {"pid": pid, "integrations": integrations}
        log.warning("%s runs on this host: stop it, or its alerts are sent twice", NAME, extra=extra)


def _parent_if_daemon(folder: Path) -> int | None:
    """Return the parent's process id if this is a stock Integrator that lives."""
    try:
        if (folder / "comm").read_text().rstrip("\n") != _SHOWN_NAME:
            return None
        state, parent = (folder / "stat").read_text("ascii", "replace").rpartition(")")[2].split()[:2]
    except OSError:  # it has ended
        return None
    return None if state in "ZX" else int(parent)


def _config(daemon: Daemon, settings: Settings) -> Path:
    """Return its ossec.conf: its working directory is the manager's home (spec, paths)."""
    own = daemon.folder / "cwd/etc/ossec.conf"
    return own if os.access(own, os.R_OK) else settings.worker.wazuh_home / "etc/ossec.conf"


def _target(integration: Integration) -> tuple[object, ...]:
    return integration.name, integration.hook_url, integration.api_key


def _open_log(daemon: Daemon, files: Sequence[FileInfo]) -> tuple[str, FileInfo] | None:
    """Return the descriptor with which it reads the log, and the file that this is."""
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
        if same:  # its dated name, if it has one: that stays
            return descriptor, same[0]
    return None


def _is_packed(opened: Path, size: int, file: FileInfo) -> bool:
    """Say whether an archive holds what the daemon still reads of a file that was removed."""
    with open(file.path, "rb") as packed:  # noqa: PTH123 — File has the path as a text
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
    """Say whether it runs a script right now."""
    stats = (daemon.proc / entry / "stat" for entry in os.listdir(daemon.proc) if entry.isdigit())  # noqa: PTH208 — as above
    return any(_parent(path) == daemon.pid for path in stats)


def _parent(path: Path) -> int:
    try:
        return int(path.read_text("ascii", "replace").rpartition(")")[2].split()[1])
    except OSError:
        return 0


def _line_start(log: int, offset: int) -> int:
    """Return where the line starts that holds byte `offset`: `offset` itself if one ends right before."""
    end = offset
    while end > 0:
        start = max(0, end - HEAD_BYTES)
        newline = os.pread(log, end - start, start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0
