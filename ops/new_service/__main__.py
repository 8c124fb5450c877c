"""`python -m ops.new_service NAME`: what `make new-service NAME=zulip` runs, in the folder of a checkout.

It writes or changes nothing unless all of it can be done. Then it lets ruff sort imports and format.
"""

from __future__ import annotations

import keyword
import re
import subprocess
import sys
from importlib import resources
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Final

import click

from common.errors import CourierError
from common.services import SERVICES
from ops.admin.terminal import one_line
from ops.cli.main import exit_code
from ops.new_service.edits import EDITS, TESTS

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME: Final = re.compile(r"[a-z][a-z0-9]{1,29}(-[a-z0-9]{1,30})?")
NEW: Final = {"workers/integrations/$module.py": "module.txt", f"{TESTS}/test_$module.py": "test.txt"}
"""The new files, and the templates of their contents."""


def written(root: Path, name: str) -> dict[Path, str]:
    """Return the new content of each file, by path. Raises CourierError if there is something in the way."""
    if not NAME.fullmatch(name):
        raise CourierError("a name has lower-case letters and digits, and may have one hyphen, such as NAME=zulip")
    words = words_of(name)
    if name.startswith("custom-") or keyword.iskeyword(words["module"]) or keyword.iskeyword(words["Class"]):
        raise CourierError(f"{name} is a word of Python, or the name of a script as custom-… is: choose another name")
    new = {root / Template(path).substitute(words): template for path, template in NEW.items()}
    if name in SERVICES or any(path.exists() or path.with_suffix("").exists() for path in new):
        raise CourierError(f"there is a service {name}, or a file of its name: choose another name")
    files = {path: content_of(template, words) for path, template in new.items()}
    for edit in EDITS:
        path = root / edit.file
        content = files[path] if path in files else path.read_text("utf-8")
        files[path] = edit.apply(content, Template(edit.text).substitute(words))
    return files


def words_of(name: str) -> dict[str, str]:
    """Return what the templates can say of a service."""
    parts = name.split("-")
    return {
        "name": name,
        "module": "_".join(parts),
        "Class": "".join(map(str.capitalize, parts)),
        "title": " ".join(map(str.capitalize, parts)),
        "VARIABLE": "_".join(parts).upper(),
    }


def content_of(template: str, words: Mapping[str, str]) -> str:
    """Return the content of a new file."""
    return Template(resources.files("ops.new_service").joinpath(template).read_text("utf-8")).substitute(words)


@click.command()
@click.argument("name")
def main(name: str) -> None:
    """Write a module, tests, documentation and a demo for a new service NAME."""
    try:
        files = written(Path(), name)
    except (CourierError, OSError) as error:
        click.echo(f"new-service: {one_line(str(error))}", err=True)
        sys.exit(exit_code(error) if isinstance(error, CourierError) else 1)
    for path, content in files.items():
        path.write_text(content, "utf-8")
    code = [str(path) for path in files if path.suffix == ".py"]
    for command in (["check", "--quiet", "--fix"], ["format", "--quiet"]):
        subprocess.run([sys.executable, "-m", "ruff", *command, *code], check=True)
    click.echo("\n".join(sorted(map(str, files))))
    click.echo('Next: what the service really takes and responds (CONTRIBUTING.md, "Add a service module").')


if __name__ == "__main__":
    main()
