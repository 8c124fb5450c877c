"""Writes the bills of materials (CycloneDX 1.6): `python -m ops.release.sbom [--image NAME]`, into `dist/`.

That of the wheel describes the environment that the lock gives, `sbom-wheel.cdx.json`; that of the image describes the
environment inside of it and the packages of its Debian, `sbom-image.cdx.json`. Prints the licence of each package.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

DIST: Final = Path("dist")
PACKAGES: Final = "/opt/courier/lib"
"""Path of the environment in the image (Dockerfile)."""


def main() -> int:
    """Write the bill of the wheel, or with `--image` that of the image."""
    parser = argparse.ArgumentParser(prog="python -m ops.release.sbom")
    parser.add_argument("--image", help="an image of Courier, as built by `docker compose build`")
    image = parser.parse_args().image
    DIST.mkdir(exist_ok=True)
    with TemporaryDirectory() as folder:
        environment = Path(folder) / "environment"
        _run("uv", "venv", "--quiet", "--python", sys.executable, str(environment))
        python = str(environment / "bin" / "python")
        if image:
            _copy_packages(image, environment)
            bill = _bill_of(python)
            bill["components"] += _debian_packages(image)
            _write(bill, DIST / "sbom-image.cdx.json")
        else:
            _run("uv", "pip", "sync", "--quiet", "--python", python, "--require-hashes", "requirements-run.lock")
            _write(_bill_of(python), DIST / "sbom-wheel.cdx.json")
    return 0


def _bill_of(python: str) -> dict[str, Any]:
    command = ("cyclonedx_py", "environment", "--pyproject", "pyproject.toml", "--output-reproducible", python)
    bill: dict[str, Any] = json.loads(_run(sys.executable, "-m", *command))
    return bill


def _copy_packages(image: str, environment: Path) -> None:
    container = _run("docker", "create", image).strip()
    try:
        _run("docker", "cp", "--quiet", f"{container}:{PACKAGES}/.", str(environment / "copied"))
    finally:
        _run("docker", "rm", container)
    (packages,) = (environment / "copied").glob("python3*/site-packages")
    (own,) = (environment / "lib").glob("python3*/site-packages")
    (own / "copied.pth").write_text(f"{packages}\n")


def _debian_packages(image: str) -> list[dict[str, Any]]:
    query = ("--show", "--showformat", r"${Package} ${Version} ${Architecture}\n")
    listed = _run("docker", "run", "--rm", "--entrypoint", "dpkg-query", image, *query)
    return [
        {"type": "library", "name": name, "version": version, "purl": f"pkg:deb/debian/{name}@{version}?arch={arch}"}
        for name, version, arch in map(str.split, listed.splitlines())
    ]


def _write(bill: dict[str, Any], file: Path) -> None:
    file.write_text(json.dumps(bill, indent=2) + "\n")
    for component in bill["components"]:
        print(f"{component['name']:40} {component['version']:24} {', '.join(_licences(component)) or '-'}")
    print(f"{file}: {len(bill['components'])} components")


def _licences(component: dict[str, Any]) -> list[str]:
    found = (entry.get("expression") or entry.get("license", {}) for entry in component.get("licenses", []))
    return sorted({one if isinstance(one, str) else one.get("id") or one.get("name", "?") for one in found})


def _run(*command: str) -> str:
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


if __name__ == "__main__":
    sys.exit(main())
