"""Compiles what Courier imports, Python's own modules included, to bytecode: `python -m ops.deploy.bytecode`.

The root of a container is read-only: what is not compiled in the image is compiled at every start and every health
check. Compiling all that is installed would cost twice the space.
"""

from __future__ import annotations

import compileall
import importlib
import pkgutil
import sys
from contextlib import suppress
from py_compile import PycInvalidationMode

import celery
import kombu

import common
import ops
import producer
import workers

LAZY = (celery, kombu, common, ops, producer, workers)
"""Packages that import a part of themselves only when it is used."""


def imported_files() -> list[str]:
    """Return the source file of every module that Courier imports."""
    for package in LAZY:
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__"):
                with suppress(Exception):  # one that needs a library which is not installed is not used either
                    importlib.import_module(module.name)
    files = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
    return sorted(file for file in files if file and file.endswith(".py"))


if __name__ == "__main__":
    # Unchecked, since sources in an image don't change; with the time of the source it would differ in every build.
    done = [
        compileall.compile_file(file, quiet=1, invalidation_mode=PycInvalidationMode.UNCHECKED_HASH)
        for file in imported_files()
    ]
    sys.exit(not all(done))
