"""Copies the version of pyproject.toml to where a file must repeat it: `python -m ops.release.copy_version [--check]`.

These are the image's tags in Compose files, in the manifests and on pages, and Compose's build argument. With `--check`
it changes nothing, and exits with 1 if a file has another version.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).parents[2]
COPY: Final = re.compile(
    r"(?<=\bcourier:)\d+\.\d+\.\d+\b|(?<=\bVERSION: )\d+\.\d+\.\d+\b|(?<=\bnewTag: )\d+\.\d+\.\d+\b"
)
KINDS: Final = ("*.yaml", "*.md")
HISTORY: Final = "CHANGELOG.md"


def copies(root: Path, version: str) -> Iterator[tuple[Path, str]]:
    """Yield each file that has another version, and its text with this one."""
    listed = subprocess.run(["git", "ls-files", "-z", *KINDS], cwd=root, capture_output=True, text=True, check=True)  # noqa: S607 — the maintainer's own git
    for name in filter(None, listed.stdout.split("\0")):
        text = (root / name).read_text(encoding="utf-8")
        if name != HISTORY and (new := COPY.sub(version, text)) != text:
            yield root / name, new


def main(arguments: list[str], root: Path = ROOT) -> int:
    """Write or check the copies. Return the exit status."""
    version = tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"]
    is_check, different = "--check" in arguments, list(copies(root, version))
    for file, text in different:
        if not is_check:
            file.write_text(text, encoding="utf-8")
        print(f"{file.relative_to(root)}: {'has another version than' if is_check else 'now'} {version}")
    return int(is_check and bool(different))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
