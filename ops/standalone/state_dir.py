"""The state directory of `courier up`: its lock (one `courier up` per directory) and the address of its Redis."""

from __future__ import annotations

import fcntl
import os
import secrets
import time
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from common.connection.urls import LOCAL_SCHEME
from common.errors import CourierError, SettingsError
from common.files import NOT_FOUND
from common.permissions import explain, refuse_other_writers

if TYPE_CHECKING:
    from pathlib import Path

    from common.settings.load import Settings

LOCK_LIMIT_S: Final = 5.0
"""How long a start waits for the Redis server of a killed run, which writes its data to disk before it exits."""

DEFAULT: Final = "default"
STATE_OPTION: Final = "--state"
ADDRESS_FILE: Final = "redis.url"


def lock(state_dir: Path) -> int:
    """Lock the directory and return the lock's descriptor; closing it releases the lock.

    Raises CourierError if another `courier up` holds the lock, and SettingsError if the directory cannot be used or
    other users can write to it.
    """
    try:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        refuse_other_writers(state_dir, state_dir.stat(), str(state_dir))
        descriptor = os.open(state_dir / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise SettingsError(
            f"{state_dir}: {explain(error)}; set a writable state directory (--state, COURIER_STATE_DIR)"
        ) from None
    deadline = time.monotonic() + LOCK_LIMIT_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.close(descriptor)
                raise CourierError(
                    f"another `courier up` runs in {state_dir}; stop it or set another --state"
                ) from None
            time.sleep(0.1)
        else:
            return descriptor


def load_or_create_password(state_dir: Path) -> str:
    """Return the last run's password, which workers that outlived a killed run still use, or a new password."""
    return urlsplit(_last_url(state_dir)).password or secrets.token_urlsafe(24)


def write_address(state_dir: Path, url: str) -> None:
    """Store the URL of the embedded Redis in a file of mode 0600: the URL holds its password."""
    fresh = state_dir / ".redis.url"
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(url)
    fresh.rename(state_dir / ADDRESS_FILE)


def redis_url(settings: Settings) -> str:
    """Return the URL of Redis: `redis.url` if it is set, else that of `courier up` in the state directory.

    Raises SettingsError if the directory was set on the command line and no `courier up` ever ran there.
    """
    if settings.origin["redis.url"] != DEFAULT:
        return settings.redis.connection_url.reveal()
    local = _last_url(settings.state.dir)
    if not local and settings.origin["state.dir"] == STATE_OPTION:
        raise SettingsError(
            f"no `courier up` of this version has run in {settings.state.dir}; set its state directory with --state, "
            "or Redis with --redis-url"
        )
    return local or settings.redis.connection_url.reveal()


def is_local(settings: Settings) -> bool:
    """Return whether Redis is the embedded server of `courier up` in the state directory."""
    return settings.origin["redis.url"] == DEFAULT and bool(_last_url(settings.state.dir))


def _last_url(state_dir: Path) -> str:
    """Return the stored URL, empty if there is none. Raises SettingsError if the file cannot be read.

    A URL of a TCP port is ignored: earlier versions listened on one, and another user may listen there now. The folder
    may belong to the user of `courier up`, but a URL that others can write could name a server of theirs.
    """
    path = state_dir / ADDRESS_FILE
    try:
        status, folder = path.stat(), state_dir.stat()
        refuse_other_writers(state_dir, folder, str(path), owner=folder.st_uid)
        refuse_other_writers(path, status, str(path), owner=folder.st_uid)
        url = path.read_text()
    except NOT_FOUND:
        return ""
    except OSError as error:
        raise SettingsError(
            f"{path}: cannot be read: {error.strerror or error}; run this as the user of "
            "`courier up`, or set Redis with --redis-url"
        ) from None
    return url if urlsplit(url).scheme == LOCAL_SCHEME else ""
