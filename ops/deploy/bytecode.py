"""Compiles the modules that Courier imports, Python's included, to bytecode: `python -m ops.deploy.bytecode`.

The root file system of a container is read-only: Python compiles a module without bytecode again at every start and
every health check. Compiling everything that is installed would need twice the space.
"""

from __future__ import annotations

import compileall
import importlib
import pkgutil
import sys
from contextlib import suppress
from pathlib import Path
from py_compile import PycInvalidationMode

import celery
import kombu

import common
import ops
import producer
import workers

LAZY = (celery, kombu, common, ops, producer, workers)
"""Packages that import some of their modules only on use."""


def imported_files() -> list[str]:
    """Return the source file of every module that Courier imports."""
    for package in LAZY:
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__"):
                with suppress(Exception):  # a module whose library is not installed is not used
                    importlib.import_module(module.name)
    files = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
    files |= {str(file) for file in Path(common.__file__).parents[1].glob("__*__.py")}  # of the package courier itself
    return sorted(file for file in files if file and file.endswith(".py"))


if __name__ == "__main__":
    # Unchecked, because sources in an image do not change; a check by the source's time would differ in every build.
    results = [
        compileall.compile_file(file, quiet=1, invalidation_mode=PycInvalidationMode.UNCHECKED_HASH)
        for file in imported_files()
    ]
    sys.exit(not all(results))
