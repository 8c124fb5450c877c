"""The state directory of `courier up`: one at a time, and where its server is found by the operator's commands."""

from __future__ import annotations

import fcntl
import os
import time
from typing import TYPE_CHECKING, Final

from common.errors import CourierError, SettingsError

if TYPE_CHECKING:
    from pathlib import Path

    from common.settings import Settings

LOCK_LIMIT_S: Final = 10.0
"""How long a start waits for the processes of an earlier one that was killed: they are still ending their work."""

DEFAULT: Final = "default"


def lock(state_dir: Path) -> int:
    """Return the descriptor of the lock. Raises CourierError if another one holds it, SettingsError if unusable."""
    try:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(state_dir / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise SettingsError(
            f"{state_dir}: {error.strerror or error}; name a writable state directory (--state, COURIER_STATE_DIR)"
        ) from None
    deadline = time.monotonic() + LOCK_LIMIT_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.close(descriptor)
                raise CourierError(
                    f"another `courier up` runs in {state_dir}; stop it, or name another --state"
                ) from None
            time.sleep(0.1)
        else:
            return descriptor


def write_address(state_dir: Path, url: str) -> None:
    """Keep where the embedded server is, for this user only: the URL holds its password."""
    fresh = state_dir / ".redis.url"
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(url)
    fresh.rename(state_dir / "redis.url")


def redis_url(settings: Settings) -> str:
    """Return the address of the ledger: as set, else that of the server of `courier up` in the state directory."""
    if settings.origin["redis.url"] == DEFAULT:
        try:
            return (settings.state.dir / "redis.url").read_text()
        except OSError:
            pass
    return settings.redis.connection_url.reveal()
