"""Checks every locked package against the advisory database: `python -m ops.release.audit [FILE ...]`.

Exits with 1 if a package has a known vulnerability. If no database is reachable, for example behind a mirror, it prints
NOT AUDITED and exits with 0; this does not mean that the packages are safe.
"""

from __future__ import annotations

import json
import subprocess
import sys

LOCKS = ("requirements-run.lock", "requirements.lock")


def main(files: list[str]) -> int:
    """Audit each lock file. Return 1 if a package has a known vulnerability, else 0."""
    return max(_audit(file) for file in files or LOCKS)


def _audit(file: str) -> int:
    command = [sys.executable, "-m", "pip_audit", "--requirement", file, "--require-hashes", "--disable-pip"]
    run = subprocess.run([*command, "--format", "json"], capture_output=True, text=True, check=False)
    if not run.stdout:
        print(f"!!! NOT AUDITED: {file}: {run.stderr.strip().rpartition(chr(10))[2]}")
        return 0
    packages = json.loads(run.stdout)["dependencies"]
    unknown = [package["name"] for package in packages if "skip_reason" in package]
    vulnerable = [package for package in packages if package.get("vulns")]
    for package in vulnerable:
        ids = ", ".join(
            f"{found['id']} (fixed in {found['fix_versions'] or 'no version'})" for found in package["vulns"]
        )
        print(f"{package['name']} {package['version']}: {ids}")
    print(f"{file}: {len(packages) - len(unknown)} of {len(packages)} packages audited, {len(vulnerable)} vulnerable")
    if unknown:
        print(f"!!! NOT AUDITED: {len(unknown)} packages of {file} are unknown to the advisory database")
    return int(bool(vulnerable))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
