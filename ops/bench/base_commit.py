"""An older commit of Courier as a reference: checked out under `build/base/`, with its own environment.

The measuring code is always that of this checkout; it starts the `courier` command of the other one. The commands,
options, settings, files and keys that the steady benchmark uses have the same names since 07631ae:

    courier producer --config --alerts --node      courier worker --http --name
    courier up --config --alerts --node --state --flower-port      courier flower --flower-port
    COURIER_REDIS_URL, COURIER_STATE_DIR, COURIER_SETTINGS, COURIER_LOG_LEVEL; rate_limits, start_at
    redis.url in the state folder; cursor, totals and records in Redis

If one of them is renamed, its name at the base belongs here.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT: Final = Path(__file__).parents[2]
CACHE: Final = ROOT / "build" / "base"
DEFAULT: Final = "07631ae"


def courier_of(commit: str) -> Path:
    """Return the path of the commit's `courier` command; install it first if it is not there yet.

    Raises SystemExit if git doesn't know the commit or the installation fails.
    """
    name = _run(["git", "rev-parse", "--verify", "--quiet", "--short=12", f"{commit}^{{commit}}"], commit).strip()
    folder = CACHE / name
    if not (folder / "Makefile").exists():
        # --force: `make clean` deletes the folder, but not git's record of it
        _run(["git", "worktree", "add", "--force", "--detach", str(folder), name], commit)
    python = Path(sys.base_prefix, "bin", f"python3.{sys.version_info.minor}")
    _run(["make", "--directory", str(folder), "install", f"PYTHON={python}"], commit)
    return folder / ".venv" / "bin" / "courier"


def _run(command: Sequence[str], commit: str) -> str:
    # Options of a `make bench-steady` around us are not for the make within.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    try:
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        said = (getattr(error, "stderr", None) or str(error)).strip()[-600:]
        raise SystemExit(f"cannot install the base {commit}; `--base none` runs without one:\n{said}") from None
    return done.stdout
