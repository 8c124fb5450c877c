"""Runs the commands in the pages of ops/docs exactly as an operator copies them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "ops/docs"


class Block(NamedTuple):
    """The commands of one code block; `section` is the heading above it."""

    section: str
    commands: str


def blocks(page: Path) -> list[Block]:
    """Return every `sh` block of the page in order, also those in lists."""
    found, section = [], ""
    pieces = re.split(r"^(#+ .+|[ ]*```sh\n(?:.*\n)*?[ ]*```)$", page.read_text(), flags=re.MULTILINE)
    for piece in pieces:
        if piece.startswith("#"):
            section = piece.lstrip("# ")
        elif piece.lstrip().startswith("```sh\n"):
            indent = len(piece) - len(piece.lstrip())
            lines = [line[indent:] for line in piece.splitlines()[1:-1]]
            found.append(Block(section, "\n".join(lines) + "\n"))
    return found


class Shell:
    """A folder with a copy of this repository, in which blocks run as for an operator.

    `instead` has, for each placeholder of the pages, such as a host's name, what stands for it here. `tools` are
    programs of the test's own, by name, that are found before those of `path` (default: the system's).
    """

    def __init__(
        self, folder: Path, *, instead: dict[str, str], tools: dict[str, str], path: str = "", **environment: str
    ) -> None:
        self.folder, self._instead = folder / "courier", instead
        own = folder / "tools"
        own.mkdir(parents=True)
        for name, script in tools.items():
            (own / name).write_text(f"#!/bin/sh\n{script}\n")
            (own / name).chmod(0o755)
        ours = {name: value for name, value in os.environ.items() if not name.startswith(("COURIER_", "COMPOSE_"))}
        self._environment = ours | environment | {"PATH": f"{own}:{path or ours['PATH']}"}
        checkout(folder / "origin", self.folder)

    def run(self, block: Block) -> str:
        """Run the commands, each of which must succeed, and return what they printed."""
        commands = block.commands
        for placeholder, value in self._instead.items():
            commands = commands.replace(placeholder, value)
        print(f"--- {block.section}\n{commands}", end="")
        done = subprocess.run(
            ["/bin/sh", "-eu", "-c", commands],
            cwd=self.folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{block.section}:\n{commands}\n{done.stdout}"
        return done.stdout

    def do(self, commands: str) -> str:
        """Run commands that are not on a page."""
        return self.run(Block("(the test itself)", commands))


def checkout(origin: Path, folder: Path) -> None:
    """Create a repository of the current working tree and a clone of it in which `git pull` works."""
    listed = ("git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    for name in subprocess.run(listed, capture_output=True, check=True).stdout.decode().split("\0"):
        if name and (ROOT / name).is_file():
            (origin / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, origin / name)
    git = str(shutil.which("git"))
    who = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    for command in (("init", "--quiet"), ("add", "."), (*who, "commit", "--quiet", "--message", "As it is")):
        subprocess.run([git, *command], cwd=origin, check=True)
    subprocess.run([git, "clone", "--quiet", str(origin), str(folder)], check=True)
