"""Wheels of a test's own, for what installs packages."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def wheel_of(folder: Path, name: str, version: str, files: dict[str, str]) -> Path:
    """Write a wheel with these files: path in the wheel → content."""
    path, info = folder / f"{name}-{version}-py3-none-any.whl", f"{name}-{version}.dist-info"
    about = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": "".join(f"{one},,\n" for one in [*files, f"{info}/METADATA", f"{info}/WHEEL"]),
    }
    with zipfile.ZipFile(path, "w") as wheel:
        for file, content in (files | about).items():
            member = zipfile.ZipInfo(file)
            member.external_attr = 0o100755 << 16  # scripts can be run; for other files it does not matter
            wheel.writestr(member, content)
    return path
