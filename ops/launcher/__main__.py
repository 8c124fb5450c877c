"""The command `courier`, and `python -m courier`.

In a wheel this file is `courier/__main__.py`, and the folders common, producer, workers and ops are beside it (decision
10). In a checkout it is `ops/launcher/__main__.py`.
"""

from __future__ import annotations

import sys
from pathlib import Path


def main() -> None:
    """Run the command. Does not return."""
    here = Path(__file__).parent
    home = here if (here / "ops").is_dir() else here.parents[1]
    sys.path.insert(0, str(home))  # first, because another package of the environment may be called `common` too

    from ops.cli.main import main as run  # noqa: PLC0415 — only now it can be found

    run()


if __name__ == "__main__":
    main()
