"""Runs a module of Courier in a process of its own: `python -P ops/module_runner.py MODULE [ARGUMENT ...]`.

As `python -m MODULE`, except that it finds the module beside this file: in a wheel the four folders are inside the
package `courier` (decision 10). `python -m` would also search the current folder, and first, where another user may
have put a file of that name. It imports only the standard library, so that it starts within milliseconds.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path


def module_command(module: str, *arguments: str) -> list[str]:
    """Return the command that runs a module such as `ops.cli.main` with this Python."""
    return [sys.executable, "-P", __file__, module, *arguments]


def main() -> None:
    """Run the module that the command line names."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
